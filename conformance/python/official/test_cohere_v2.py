"""cohere.ClientV2: the official SDK, `POST /v2/rerank`."""

import cohere
import pytest

from support.cohere import ERRORS
from support.contract import (
    AnyModelName,
    Ask,
    Client,
    EmptyList,
    Ranks,
    Refusals,
    SendsKey,
    TopN,
    WaitsOutRateLimits,
)
from support.scores import Hit
from support.stage import Site, Stage
from support.upstream import RATE_LIMITED, Upstream


class CohereV2(Client):
    errors = ERRORS

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        answer = cohere.ClientV2(site.key, base_url=site.url).rerank(
            model=ask.model,
            query=ask.query,
            documents=ask.passages,
            top_n=ask.top_n,
            request_options=None if ask.retries else {"max_retries": 0},
        )
        assert answer.id
        return [Hit(result.index, result.relevance_score) for result in answer.results]


class TestCohereV2(Ranks, SendsKey, AnyModelName, TopN, EmptyList, Refusals, WaitsOutRateLimits):
    client = CohereV2()

    def test_retry_after_reaches_the_client(self, stage: Stage, upstream: Upstream) -> None:
        upstream.reply_always(RATE_LIMITED)
        with pytest.raises(cohere.TooManyRequestsError) as raised:
            self.client.rank(stage.sites["open"], Ask())
        assert raised.value.headers["retry-after"] == RATE_LIMITED.headers["Retry-After"]

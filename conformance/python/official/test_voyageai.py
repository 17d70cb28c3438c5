"""voyageai.Client: the official SDK, `POST /v1/rerank` with `top_k` and `truncation`."""

import voyageai

from support.contract import (
    AnyModelName,
    Ask,
    EmptyList,
    Ranks,
    Refusals,
    SendsKey,
    TopN,
    WaitsOutRateLimits,
)
from support.scores import Hit
from support.stage import Site, Stage
from support.voyageai import VoyageClient


class VoyageAI(VoyageClient):
    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        client = voyageai.Client(site.key, base_url=f"{site.url}/v1", max_retries=3 if ask.retries else 0)
        answer = client.rerank(ask.query, ask.passages, ask.model, top_k=ask.top_n)
        return [Hit(result.index, result.relevance_score) for result in answer.results]


class TestVoyageAI(Ranks, SendsKey, AnyModelName, TopN, EmptyList, Refusals, WaitsOutRateLimits):
    client = VoyageAI()

    def test_tokens_are_counted(self, stage: Stage) -> None:
        site, ask = stage.sites["open"], Ask()
        answer = voyageai.Client(site.key, base_url=f"{site.url}/v1").rerank(
            ask.query, ask.passages, ask.model
        )
        assert isinstance(answer.total_tokens, int)

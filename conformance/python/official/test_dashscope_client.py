"""dashscope.Client().rerank: the 2.x client of the same path, with typed errors and retries."""

import dashscope
from dashscope.v2 import errors

from support.contract import (
    AnyModelName,
    Ask,
    Client,
    Echoes,
    Ranks,
    Refusals,
    SendsKey,
    TopN,
    WaitsOutRateLimits,
)
from support.scores import Hit
from support.stage import Site


class DashScopeClient(Client):
    errors = {
        400: errors.BadRequestError,
        401: errors.AuthenticationError,
        404: errors.NotFoundError,
        413: errors.RequestTooLargeError,
        429: errors.RateLimitError,
        502: errors.APIStatusError,
    }

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        client = dashscope.Client(
            api_key=site.key, base_url=f"{site.url}/api/v1", max_retries=2 if ask.retries else 0
        )
        answer = client.rerank.create(
            model=ask.model,
            query=ask.query,
            documents=ask.passages,
            top_n=ask.top_n,
            return_documents=ask.echo,
        )
        return [
            Hit(hit.index, hit.relevance_score, hit.document and hit.document.text) for hit in answer.results
        ]


class TestDashScopeClient(Ranks, SendsKey, AnyModelName, TopN, Echoes, Refusals, WaitsOutRateLimits):
    client = DashScopeClient()

"""dashscope.TextReRank: `POST …/services/rerank/text-rerank/text-rerank`, errors as answers."""

import dashscope
from dashscope.api_entities.dashscope_response import ReRankResponse, ReRankResult

from support.contract import AnyModelName, Ask, Client, Echoes, Ranks, Refusals, SendsKey, TopN
from support.scores import Hit
from support.stage import Site


class Refused(Exception):
    """What dashscope hands out as an answer, raised so that all clients are alike."""

    def __init__(self, answer: ReRankResponse) -> None:
        super().__init__(answer.message)
        self.status_code = answer.status_code
        assert answer.code
        assert answer.request_id


class DashScope(Client):
    errors = dict.fromkeys([400, 401, 404, 413, 429, 502], Refused)

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        answer = dashscope.TextReRank.call(
            model=ask.model,
            query=ask.query,
            documents=ask.passages,
            top_n=ask.top_n,
            return_documents=ask.echo,
            api_key=site.key,
            base_address=f"{site.url}/api/v1",
        )
        if answer.status_code != 200:
            raise Refused(answer)
        assert answer.request_id
        assert answer.usage.total_tokens >= 0
        return [Hit(hit.index, hit.relevance_score, _text(hit)) for hit in answer.output.results]


def _text(hit: ReRankResult) -> str | None:
    # The attribute is hidden by a default of the class; the item is not.
    return hit["document"]["text"] if hit["document"] else None


class TestDashScope(Ranks, SendsKey, AnyModelName, TopN, Echoes, Refusals):
    client = DashScope()

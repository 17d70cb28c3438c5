"""infinity_client: the generated client of Infinity, `POST /rerank` with `raw_scores`."""

from infinity_client import AuthenticatedClient
from infinity_client.api.default import rerank
from infinity_client.errors import UnexpectedStatus
from infinity_client.models import RerankInput
from infinity_client.types import UNSET

from support.contract import AnyModelName, Ask, Client, Echoes, EmptyList, Ranks, Refusals, SendsKey, TopN
from support.scores import Hit
from support.stage import Site


class Infinity(Client):
    errors = dict.fromkeys([400, 401, 404, 413, 429, 502], UnexpectedStatus)

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        body = RerankInput(
            query=ask.query,
            documents=ask.passages,
            model=ask.model,
            return_documents=ask.echo,
            top_n=UNSET if ask.top_n is None else ask.top_n,
        )
        # Without this setting the client turns every error into None.
        client = AuthenticatedClient(base_url=site.url, token=site.key, raise_on_unexpected_status=True)
        answer = rerank.sync(client=client, body=body)
        return [
            Hit(result.index, result.relevance_score, None if result.document is UNSET else result.document)
            for result in answer.results
        ]


class TestInfinity(Ranks, SendsKey, AnyModelName, TopN, EmptyList, Echoes, Refusals):
    client = Infinity()

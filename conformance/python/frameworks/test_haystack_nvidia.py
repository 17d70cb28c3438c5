"""Haystack NvidiaRanker: `POST /v1/ranking`."""

from haystack.utils import Secret
from haystack_integrations.components.rankers.nvidia import NvidiaRanker

from support.contract import AnyModelName, Ask, Client, Ranks, Refusals, SendsKey, TopN
from support.haystack import most, run
from support.logit import from_logits
from support.scores import Hit
from support.stage import Site


class HaystackNvidia(Client):
    # The text of the answer is in the error, its status is not.
    errors = dict.fromkeys([400, 401, 404, 413, 429, 502], ValueError)

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        ranker = NvidiaRanker(
            model=ask.model,
            api_url=f"{site.url}/v1",
            api_key=Secret.from_token(site.key),
            top_k=most(ask),
        )
        return from_logits(run(ranker, ask))

    def status(self, error: ValueError) -> None:
        return None


class TestNvidiaRanker(Ranks, SendsKey, AnyModelName, TopN, Refusals):
    client = HaystackNvidia()

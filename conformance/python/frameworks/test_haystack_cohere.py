"""Haystack CohereRanker: `POST /v2/rerank` by the Cohere SDK, empty lists included."""

from haystack.utils import Secret
from haystack_integrations.components.rankers.cohere import CohereRanker

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
from support.haystack import most, run
from support.scores import Hit
from support.stage import Site


class HaystackCohere(Client):
    errors = ERRORS

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        # The SDK's retries cannot be switched off from here.
        ranker = CohereRanker(
            ask.model, top_k=most(ask), api_key=Secret.from_token(site.key), api_base_url=site.url
        )
        return run(ranker, ask)


class TestCohereRanker(Ranks, SendsKey, AnyModelName, TopN, EmptyList, Refusals, WaitsOutRateLimits):
    client = HaystackCohere()

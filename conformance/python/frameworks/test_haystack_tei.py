"""Haystack HuggingFaceTEIRanker: `POST /rerank` with `texts`; cuts by itself, retries 429."""

from haystack.utils import Secret
from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker

from support.contract import Ask, Client, Ranks, Refusals, SendsKey, TopN, WaitsOutRateLimits
from support.haystack import most, run
from support.scores import Hit
from support.stage import Site


class HaystackTei(Client):
    bad_input_status = 422
    errors = dict.fromkeys([400, 401, 413, 429, 502], RuntimeError)

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        ranker = HuggingFaceTEIRanker(
            url=site.url,
            top_k=most(ask),
            token=Secret.from_token(site.key),
            max_retries=3 if ask.retries else 1,
        )
        return run(ranker, ask)

    def status(self, error: RuntimeError) -> int:
        return error.__cause__.response.status_code


class TestTeiRanker(Ranks, SendsKey, TopN, Refusals, WaitsOutRateLimits):
    client = HaystackTei()

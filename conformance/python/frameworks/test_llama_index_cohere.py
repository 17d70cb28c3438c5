"""llama_index CohereRerank: `POST /v2/rerank` by the Cohere SDK, wrapped in attempts of its own."""

from llama_index.postprocessor.cohere_rerank import CohereRerank

from support.cohere import ERRORS
from support.contract import AnyModelName, Ask, Client, Ranks, Refusals, SendsKey, TopN, WaitsOutRateLimits
from support.llama_index import most, postprocess
from support.scores import Hit
from support.stage import Site


class LlamaIndexCohere(Client):
    errors = ERRORS

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        # The SDK's retries cannot be switched off from here.
        reranker = CohereRerank(
            api_key=site.key, base_url=site.url, model=ask.model, top_n=most(ask), max_retries=1
        )
        return postprocess(reranker, ask)


class TestCohereRerank(Ranks, SendsKey, AnyModelName, TopN, Refusals, WaitsOutRateLimits):
    client = LlamaIndexCohere()

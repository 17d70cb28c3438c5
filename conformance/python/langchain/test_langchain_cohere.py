"""langchain_cohere.CohereRerank: `POST /v2/rerank` by cohere 5, with nulls."""

from langchain_cohere import CohereRerank

from support.cohere import ERRORS
from support.contract import AnyModelName, Ask, Client, Ranks, Refusals, SendsKey, TopN, WaitsOutRateLimits
from support.langchain import compress
from support.scores import Hit
from support.stage import Site


class LangChainCohere(Client):
    errors = ERRORS

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        # The SDK's retries cannot be switched off from here.
        reranker = CohereRerank(model=ask.model, cohere_api_key=site.key, base_url=site.url, top_n=ask.top_n)
        return compress(reranker, ask)


class TestCohereRerank(Ranks, SendsKey, AnyModelName, TopN, Refusals, WaitsOutRateLimits):
    client = LangChainCohere()

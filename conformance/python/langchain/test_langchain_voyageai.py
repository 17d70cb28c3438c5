"""langchain_voyageai.VoyageAIRerank: the Voyage SDK, which never retries here."""

from langchain_voyageai import VoyageAIRerank

from support.contract import AnyModelName, Ask, Ranks, Refusals, SendsKey, TopN
from support.langchain import compress
from support.scores import Hit
from support.stage import Site
from support.voyageai import VoyageClient


class LangChainVoyageAI(VoyageClient):
    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        reranker = VoyageAIRerank(
            api_key=site.key, base_url=f"{site.url}/v1", model=ask.model, top_k=ask.top_n
        )
        return compress(reranker, ask)


class TestVoyageAIRerank(Ranks, SendsKey, AnyModelName, TopN, Refusals):
    client = LangChainVoyageAI()

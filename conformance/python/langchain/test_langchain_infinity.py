"""langchain_community InfinityRerank: infinity_client, cut by LangChain. Errors end as a TypeError."""

from infinity_client import Client as InfinityClient
from langchain_community.document_compressors.infinity_rerank import InfinityRerank

from support.contract import AnyModelName, Ask, Client, Ranks, SendsKey, TopN
from support.langchain import compress
from support.scores import Hit
from support.stage import Site


class LangChainInfinity(Client):
    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        # The compressor takes no AuthenticatedClient, only this.
        client = InfinityClient(base_url=site.url, headers={"Authorization": f"Bearer {site.key}"})
        return compress(InfinityRerank(client=client, model=ask.model, top_n=ask.top_n), ask)


class TestInfinityRerank(Ranks, SendsKey, AnyModelName, TopN):
    client = LangChainInfinity()

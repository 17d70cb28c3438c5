"""langchain_community JinaRerank: `{query, documents, model, top_n}`, read by shape, not by status."""

from unittest import mock

from langchain_community.document_compressors import jina_rerank

from support.contract import AnyModelName, Ask, Client, Ranks, Refusals, SendsKey, TopN
from support.langchain import compress
from support.scores import Hit
from support.stage import Site


class LangChainJina(Client):
    errors = dict.fromkeys([400, 401, 404, 413, 429, 502], RuntimeError)

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        # There is no setting for the endpoint: a constant of the module is the only place.
        with mock.patch.object(jina_rerank, "JINA_API_URL", f"{site.url}/v1/rerank"):
            reranker = jina_rerank.JinaRerank(jina_api_key=site.key, model=ask.model, top_n=ask.top_n)
            return compress(reranker, ask)

    def status(self, error: RuntimeError) -> None:
        return None


class TestJinaRerank(Ranks, SendsKey, AnyModelName, TopN, Refusals):
    client = LangChainJina()

"""llama_index JinaRerank: `{query, documents, model, top_n}`, answers read by shape, not by status."""

from llama_index.postprocessor.jinaai_rerank import JinaRerank

from support.contract import AnyModelName, Ask, Client, Ranks, Refusals, SendsKey, TopN
from support.llama_index import most, postprocess
from support.scores import Hit
from support.stage import Site


class LlamaIndexJina(Client):
    errors = dict.fromkeys([400, 401, 404, 413, 429, 502], RuntimeError)

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        reranker = JinaRerank(api_key=site.key, base_url=f"{site.url}/v1", model=ask.model, top_n=most(ask))
        return postprocess(reranker, ask)

    def status(self, error: RuntimeError) -> None:
        return None


class TestJinaRerank(Ranks, SendsKey, AnyModelName, TopN, Refusals):
    client = LlamaIndexJina()

"""llama_index SiliconFlowRerank: the full URL, `return_documents` and fields that nobody else sends."""

from llama_index.postprocessor.siliconflow_rerank import SiliconFlowRerank

from support.contract import AnyModelName, Ask, Client, Ranks, Refusals, SendsKey, TopN
from support.llama_index import most, postprocess
from support.scores import Hit
from support.stage import Site


class LlamaIndexSiliconFlow(Client):
    # The whole answer is the error.
    errors = dict.fromkeys([400, 401, 404, 413, 429, 502], RuntimeError)

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        reranker = SiliconFlowRerank(
            base_url=f"{site.url}/v1/rerank", api_key=site.key, model=ask.model, top_n=most(ask)
        )
        return postprocess(reranker, ask)

    def status(self, error: RuntimeError) -> None:
        return None


class TestSiliconFlowRerank(Ranks, SendsKey, AnyModelName, TopN, Refusals):
    client = LlamaIndexSiliconFlow()

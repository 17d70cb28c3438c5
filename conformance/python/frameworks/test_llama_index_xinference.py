"""llama_index XinferenceRerank: `POST /v1/rerank`; cuts by itself, and cannot send a key."""

from llama_index.postprocessor.xinference_rerank import XinferenceRerank

from support.contract import AnyModelName, Ask, Client, Ranks, Refusals, TopN
from support.llama_index import most, postprocess
from support.scores import Hit
from support.stage import Site


class LlamaIndexXinference(Client):
    # 400, 404 and 413 would need a service that asks for no key and refuses model names.
    errors = dict.fromkeys([401, 429, 502], Exception)

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        return postprocess(XinferenceRerank(base_url=site.url, model=ask.model, top_n=most(ask)), ask)

    def status(self, error: Exception) -> int:
        return int(str(error).partition("status code ")[2][:3])


class TestXinferenceRerank(Ranks, AnyModelName, TopN, Refusals):
    client = LlamaIndexXinference()

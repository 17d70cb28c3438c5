"""llama_index NVIDIARerank: `GET /v1/models` when constructed, `POST /v1/ranking` in batches of 64."""

import httpx
from llama_index.postprocessor.nvidia_rerank import NVIDIARerank

from support.contract import Ask, Client, Ranks, Refusals, SendsKey, TopN
from support.llama_index import most, postprocess
from support.logit import from_logits
from support.scores import Hit
from support.stage import Site


class LlamaIndexNvidia(Client):
    # An unknown model is refused by the client itself, after it read the list of models.
    errors = dict.fromkeys([400, 401, 413, 429, 502], httpx.HTTPStatusError)

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        reranker = NVIDIARerank(base_url=f"{site.url}/v1", api_key=site.key, model=ask.model, top_n=most(ask))
        return from_logits(postprocess(reranker, ask))

    def status(self, error: httpx.HTTPStatusError) -> int:
        return error.response.status_code

    def message(self, error: httpx.HTTPStatusError) -> str:
        return error.response.text


class TestNvidiaRerank(Ranks, SendsKey, TopN, Refusals):
    client = LlamaIndexNvidia()

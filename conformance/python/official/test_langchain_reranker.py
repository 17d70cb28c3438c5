"""langchain_reranker.init_reranker("custom:…"): any Cohere-style endpoint, `POST {base}/rerank`."""

import httpx
from langchain_reranker.rerankers import init_reranker

from support.contract import AnyModelName, Ask, Client, EmptyList, Ranks, Refusals, SendsKey, TopN
from support.langchain import compress
from support.scores import Hit
from support.stage import Site


class HttpReranker(Client):
    errors = dict.fromkeys([400, 401, 404, 413, 429, 502], httpx.HTTPStatusError)

    def __init__(self, provider: str) -> None:
        self.provider = provider

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        reranker = init_reranker(
            f"{self.provider}:{ask.model}", base_url=f"{site.url}/v1", api_key=site.key, top_n=ask.top_n
        )
        return compress(reranker, ask)

    def status(self, error: httpx.HTTPStatusError) -> int:
        return error.response.status_code

    def message(self, error: httpx.HTTPStatusError) -> str:
        return error.response.json()["message"]


class TestCustom(Ranks, SendsKey, AnyModelName, TopN, EmptyList, Refusals):
    client = HttpReranker("custom")


class TestLlamaServer(Ranks):
    client = HttpReranker("llama_server")


class TestSiliconFlow(Ranks):
    client = HttpReranker("siliconflow")

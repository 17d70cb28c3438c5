"""langchain_nvidia_ai_endpoints.NVIDIARerank: `GET /v1/models`, then `POST /v1/ranking` in batches of 32."""

from langchain_nvidia_ai_endpoints import NVIDIARerank

from support.contract import Ask, Client, Ranks, Refusals, SendsKey, TopN
from support.langchain import compress
from support.logit import from_logits
from support.scores import Hit
from support.stage import Site


class LangChainNvidia(Client):
    # The package raises bare exceptions; the status is in their text.
    errors = dict.fromkeys([400, 401, 404, 413, 429, 502], Exception)

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        top_n = len(ask.passages) if ask.top_n is None else ask.top_n
        reranker = NVIDIARerank(model=ask.model, api_key=site.key, base_url=f"{site.url}/v1", top_n=top_n)
        return from_logits(compress(reranker, ask))

    def status(self, error: Exception) -> int:
        return int(str(error)[1:4])


class TestNvidiaRerank(Ranks, SendsKey, TopN, Refusals):
    client = LangChainNvidia()

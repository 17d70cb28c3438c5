"""Haystack JinaRanker: the full URL, `top_n: null`; it needs `model` and `usage`, and looks at no status."""

from haystack.utils import Secret
from haystack_integrations.components.rankers.jina import JinaRanker

from support.contract import AnyModelName, Ask, Client, Ranks, Refusals, SendsKey, TopN
from support.haystack import run
from support.scores import Hit
from support.stage import Site


class HaystackJina(Client):
    errors = dict.fromkeys([400, 401, 404, 413, 429, 502], RuntimeError)

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        ranker = JinaRanker(
            ask.model, Secret.from_token(site.key), top_k=ask.top_n, base_url=f"{site.url}/v1/rerank"
        )
        return run(ranker, ask)

    def status(self, error: RuntimeError) -> None:
        return None


class TestJinaRanker(Ranks, SendsKey, AnyModelName, TopN, Refusals):
    client = HaystackJina()

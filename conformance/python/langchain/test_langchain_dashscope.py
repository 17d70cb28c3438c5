"""langchain_community DashScopeRerank: dashscope.TextReRank."""

import dashscope
from langchain_community.document_compressors.dashscope_rerank import DashScopeRerank

from support.contract import AnyModelName, Ask, Client, Ranks, SendsKey, TopN, assert_ranking
from support.langchain import compress
from support.scores import Hit
from support.stage import Site, Stage


class LangChainDashScope(Client):
    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        # DashScope's own way of naming another endpoint.
        dashscope.base_http_api_url = f"{site.url}/api/v1"
        reranker = DashScopeRerank(
            client=dashscope.TextReRank, model=ask.model, api_key=site.key, top_n=ask.top_n
        )
        return compress(reranker, ask)


class TestDashScopeRerank(Ranks, SendsKey, AnyModelName, TopN):
    client = LangChainDashScope()

    def test_the_hard_coded_model_is_served(self, stage: Stage) -> None:
        """Without a client of the user's own the compressor replaces the model's name."""
        site, ask = stage.sites["open"], Ask()
        dashscope.base_http_api_url = f"{site.url}/api/v1"
        reranker = DashScopeRerank(dashscope_api_key=site.key, top_n=None)
        assert_ranking(compress(reranker, ask), ask.passages)

"""cohere.Client: the official SDK's first version, `POST /v1/rerank`."""

import cohere

from support.cohere import ERRORS
from support.contract import (
    AnyModelName,
    Ask,
    Client,
    Echoes,
    EmptyList,
    Ranks,
    Refusals,
    SendsKey,
    TopN,
    WaitsOutRateLimits,
    assert_ranking,
)
from support.scores import Hit
from support.stage import Site, Stage


class CohereV1(Client):
    errors = ERRORS

    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        answer = cohere.Client(site.key, base_url=site.url).rerank(
            model=ask.model,
            query=ask.query,
            documents=ask.passages,
            top_n=ask.top_n,
            return_documents=ask.echo,
            request_options=None if ask.retries else {"max_retries": 0},
        )
        assert answer.id
        return [
            Hit(result.index, result.relevance_score, result.document and result.document.text)
            for result in answer.results
        ]


class TestCohereV1(Ranks, SendsKey, AnyModelName, TopN, EmptyList, Echoes, Refusals, WaitsOutRateLimits):
    client = CohereV1()

    def test_billed_units_are_integers(self, stage: Stage) -> None:
        site, ask = stage.sites["open"], Ask()
        answer = cohere.Client(site.key, base_url=site.url).rerank(query=ask.query, documents=ask.passages)
        assert answer.meta.billed_units.search_units == 1

    def test_rank_fields_choose_what_is_read(self, stage: Stage) -> None:
        """Only the named fields of a document are its passage; the document comes back whole."""
        site, ask = stage.sites["open"], Ask()
        documents = [
            {"text": passage, "source": f"page {number}"} for number, passage in enumerate(ask.passages)
        ]
        answer = cohere.Client(site.key, base_url=site.url).rerank(
            query=ask.query, documents=documents, rank_fields=["text"], return_documents=True
        )
        hits = [Hit(result.index, result.relevance_score) for result in answer.results]
        assert_ranking(hits, ask.passages)
        assert all(result.document.source == f"page {result.index}" for result in answer.results)

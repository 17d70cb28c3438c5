"""A key bound to a dialect: what no path and no body can tell apart, the key does."""

import litellm

from support.contract import Ask, assert_ranking
from support.scores import Hit
from support.stage import Stage


def test_the_key_makes_it_infinity(stage: Stage) -> None:
    site, ask = stage.sites["infinity_key"], Ask(echo=True)
    answer = litellm.rerank(
        model=f"infinity/{ask.model}",
        api_base=site.url,
        api_key=site.key,
        query=ask.query,
        documents=ask.passages,
        return_documents=True,
    )
    assert_ranking([Hit(hit["index"], hit["relevance_score"]) for hit in answer.results], ask.passages)
    assert [hit["document"]["text"] for hit in answer.results] == [
        ask.passages[hit["index"]] for hit in answer.results
    ]

"""What people paste as the base URL of cohere.ClientV2: a prefix, a version, a slash too many."""

import cohere
import pytest

from support.contract import Ask, assert_ranking
from support.scores import Hit
from support.stage import Stage


@pytest.mark.parametrize("base", ["", "/", "/v1", "/v1/", "/cohere", "/cohere/v1", "/some/gateway"])
def test_the_last_segments_decide(stage: Stage, base: str) -> None:
    site, ask = stage.sites["open"], Ask()
    client = cohere.ClientV2(site.key, base_url=site.url + base)
    answer = client.rerank(model=ask.model, query=ask.query, documents=ask.passages)
    assert_ranking([Hit(result.index, result.relevance_score) for result in answer.results], ask.passages)

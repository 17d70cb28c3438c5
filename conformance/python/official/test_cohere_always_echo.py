"""`server.always_return_documents`: MaxKB reads `document.text` of `/v2/rerank`, unasked."""

import cohere

from support.contract import Ask
from support.stage import Stage


def test_documents_come_back_unasked(stage: Stage) -> None:
    site, ask = stage.sites["echoing"], Ask()
    answer = cohere.ClientV2(site.key, base_url=site.url).rerank(
        model=ask.model, query=ask.query, documents=ask.passages
    )
    # As MaxKB does: the field is unknown to the SDK, which keeps it as a dictionary.
    assert [result.document.get("text") for result in answer.results] == [
        ask.passages[result.index] for result in answer.results
    ]

"""The snippets of docs/clients.md, before a rerankd without any configuration or key."""

import pytest

from support.snippets import Snippet, all_snippets, output_of, snippets_of
from support.stage import Stage


@pytest.mark.parametrize("snippet", snippets_of("official"), ids=str)
def test_a_snippet_finds_the_capital(stage: Stage, snippet: Snippet) -> None:
    assert "Seoul" in output_of(snippet, stage.sites["bare"].url)


def test_every_block_of_code_is_announced() -> None:
    assert [snippet.code for snippet in all_snippets() if snippet.name is None] == []

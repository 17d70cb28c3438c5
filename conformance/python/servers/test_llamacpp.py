"""llama.cpp's server with a BERT cross-encoder."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import Program
from support.servers import weights
from support.servers.behind import KEY, UNKNOWN, WRONG_KEY, Behind
from support.servers.contract import EXACT, Direct, Reranks, assert_golden, golden_errors
from support.servers.passages import ENGLISH, LONG

#: The row of rerankd that speaks to it.
PROVIDER = "llamacpp"

PATH = "/v1/rerank"
SCALE = "logit"
#: The server's default, and what its users are told to raise it to.
USUAL_BATCH, LARGE_BATCH = 512, 2048
PATIENCE_SECONDS = 30

# Starting a server is part of its first test.
pytestmark = pytest.mark.timeout(PATIENCE_SECONDS + 30)


def start(file: Path, batch: int) -> Program:
    command = [sys.executable, "-m", "support.servers.llamacpp", file, KEY, str(batch)]
    return Program(command, {**os.environ}, r"listening on (http://\S+)", PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights.write_gguf(weights.fetch(), tmp_path_factory.mktemp("llamacpp") / "minilm.gguf")


@pytest.fixture(scope="module")
def direct(file: Path) -> Iterator[Direct]:
    program = start(file, USUAL_BATCH)
    yield Direct(program.url, PATH, weights.MODEL, SCALE)
    program.stop()


@pytest.fixture(scope="module")
def large(file: Path) -> Iterator[Direct]:
    program = start(file, LARGE_BATCH)
    yield Direct(program.url, PATH, weights.MODEL, SCALE)
    program.stop()


class TestLlamaCpp(Reranks):
    def test_every_model_name_is_served(self, direct: Direct, behind: Behind) -> None:
        """By the one model that there is, under the name that was asked."""
        own = direct.scores(ENGLISH.query, ENGLISH.passages)
        scores = behind.rerank(ENGLISH.query, ENGLISH.passages, UNKNOWN).scores()
        assert scores == pytest.approx(own, abs=EXACT)

    def test_a_long_passage_has_no_score(self, behind: Behind) -> None:
        """The server refuses the whole call, with 500; rerankd finds the passage and scores the others."""
        answer = behind.rerank("which passage is too long", [LONG, "one passage", "another passage"])
        results = answer.json()["results"]
        assert [result["index"] for result in results if result["relevance_score"] is None] == [0]
        assert answer.json()["meta"]["rerankd"]["degraded"] == ["passages_refused"]

    def test_a_long_query_is_refused(self, behind: Behind) -> None:
        answer = behind.rerank(LONG, ["one passage"])
        assert (answer.status, answer.json()["code"]) == (400, "upstream_rejected")
        assert "too large to process" in answer.json()["message"]


@pytest.mark.parametrize("name", golden_errors(PROVIDER))
def test_golden_errors(name: str, direct: Direct, large: Direct) -> None:
    usual = {"model": weights.MODEL, "query": ENGLISH.query, "documents": ENGLISH.passages}
    provoke = {
        "400-documents": lambda: direct.ask({**usual, "documents": []}),
        "400-query": lambda: direct.ask({"documents": ENGLISH.passages}),
        "400-json": lambda: direct.ask(b'{"query":'),
        "400-larger-than-context": lambda: large.ask({**usual, "documents": [LONG]}),
        "401-wrong-key": lambda: direct.ask(usual, WRONG_KEY),
        "500-over-batch": lambda: direct.ask({**usual, "documents": [LONG]}),
    }
    assert_golden(PROVIDER, name, provoke[name])

"""Infinity's server with an ONNX cross-encoder."""

import os
import sys
from collections.abc import Iterator

import pytest

from support.program import Program
from support.servers import weights
from support.servers.behind import KEY, UNKNOWN, WRONG_KEY, Behind
from support.servers.contract import EXACT, Direct, Reranks, assert_golden, golden_errors
from support.servers.passages import ENGLISH, LONG

#: The row of rerankd that speaks to it.
PROVIDER = "infinity"

PATH = "/rerank"
SCALE = "probability"
#: The server takes 2,048 passages unless it is told otherwise; so few make its refusal cheap to see.
MOST_PASSAGES = 16
PATIENCE_SECONDS = 60

# Starting a server is part of its first test.
pytestmark = pytest.mark.timeout(PATIENCE_SECONDS + 30)


def start(directories: list[str], names: list[str]) -> Program:
    """One server of several models, all of them the same weights."""
    command = [sys.executable, "-m", "support.servers.infinity", "v2", "--port", "0", "--host", "127.0.0.1"]
    for directory, name in zip(directories, names, strict=True):
        command += ["--model-id", directory, "--served-model-name", name]
        command += ["--engine", "optimum", "--device", "cpu", "--no-model-warmup"]
        # This model is quantized anew in each batch, so its neighbours move a score: alone, a pair has one.
        command += ["--batch-size", "1"]
    environment = {
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "INFINITY_API_KEY": KEY,
        "INFINITY_MAX_CLIENT_BATCH_SIZE": str(MOST_PASSAGES),
    }
    return Program(command, {**os.environ, **environment}, r"running on (http://\S+)", PATIENCE_SECONDS)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(weights.write_transformers(weights.fetch(), tmp_path_factory.mktemp("infinity") / "model"))


@pytest.fixture(scope="module")
def direct(directory: str) -> Iterator[Direct]:
    program = start([directory], [weights.MODEL])
    yield Direct(program.url, PATH, weights.MODEL, SCALE)
    program.stop()


class TestInfinity(Reranks):
    def test_every_model_name_is_served(self, direct: Direct, behind: Behind) -> None:
        """By the one model that there is, whose name the reply tells."""
        assert direct.rerank(ENGLISH.query, ENGLISH.passages).json()["model"] == weights.MODEL
        own = direct.scores(ENGLISH.query, ENGLISH.passages)
        scores = behind.rerank(ENGLISH.query, ENGLISH.passages, UNKNOWN).scores()
        assert scores == pytest.approx(own, abs=EXACT)

    def test_long_passages_are_cut_in_silence(self, direct: Direct, behind: Behind) -> None:
        """What stands behind the first 512 tokens of a pair counts for nothing."""
        passages = [f"{LONG}{end}" for end in ("Heat pumps do.", "Bananas do.")]
        scores = behind.rerank(ENGLISH.query, passages).scores()
        assert scores[0] == scores[1]
        assert scores == pytest.approx(direct.scores(ENGLISH.query, passages), abs=EXACT)

    def test_tokens_are_characters(self, direct: Direct) -> None:
        """Unless it is started with --lengths-via-tokenize, its usage counts characters."""
        query, passage = "0123456789", "0123456789" * 10
        usage = direct.rerank(query, [passage, passage]).json()["usage"]
        assert usage["total_tokens"] == pytest.approx(2 * (len(query) + len(passage)), abs=10)


class TestTwoModels:
    @pytest.fixture(scope="class")
    def two(self, directory: str) -> Iterator[Direct]:
        program = start([directory, directory], [weights.MODEL, "other"])
        yield Direct(program.url, PATH, weights.MODEL, SCALE)
        program.stop()

    @pytest.fixture(scope="class")
    def behind_two(self, two: Direct) -> Iterator[Behind]:
        behind = Behind(two.url, PROVIDER, weights.MODEL)
        yield behind
        behind.stop()

    def test_unknown_model(self, behind_two: Behind) -> None:
        answer = behind_two.rerank(ENGLISH.query, ENGLISH.passages, UNKNOWN)
        assert (answer.status, answer.json()["code"]) == (400, "upstream_rejected")
        assert "Invalid model" in answer.json()["message"]

    @pytest.mark.parametrize("name", golden_errors(PROVIDER))
    def test_golden_errors(self, name: str, two: Direct) -> None:
        usual = {"model": weights.MODEL, "query": ENGLISH.query, "documents": ENGLISH.passages}
        provoke = {
            "400-invalid-model": lambda: two.ask({**usual, "model": "nobody-serves-this"}),
            "401-wrong-key": lambda: two.ask(usual, WRONG_KEY),
            "422-too-many-passages": lambda: two.ask({**usual, "documents": ["x"] * (MOST_PASSAGES + 1)}),
            "422-long-passage": lambda: two.ask({**usual, "documents": ["x" * 122_881]}),
            "422-no-query": lambda: two.ask({"documents": ENGLISH.passages}),
        }
        assert_golden(PROVIDER, name, provoke[name])

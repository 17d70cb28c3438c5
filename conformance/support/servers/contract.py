"""What holds for every server behind rerankd, and whether the golden error bodies are what a server says."""

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from support.servers.behind import CHUNKED, KEY, UNLOCKED, WRONG_KEY, Answer, Behind, post
from support.servers.passages import ENGLISH, LONG, QUESTIONS, Question

#: Half a unit in the sixth place: a score passes through as it is.
EXACT = 1e-6

_GOLDEN = Path(__file__).resolve().parents[3] / "tests" / "golden" / "providers"


class Direct:
    """A server as its own clients see it."""

    def __init__(self, url: str, path: str, model: str, scale: str) -> None:
        self.url = url
        self.scale = scale
        self._address = url + path
        self._model = model

    def ask(self, body: object, key: str | None = KEY) -> Answer:
        return post(self._address, body, key)

    def rerank(self, query: str, passages: list[str]) -> Answer:
        return self.ask({"model": self._model, "query": query, "documents": passages})

    def scores(self, query: str, passages: list[str]) -> dict[int, float]:
        """Its scores as rerankd hands them out, best first: logits become probabilities."""
        scores = self.rerank(query, passages).scores()
        if self.scale != "logit":
            return scores
        return {index: 1 / (1 + math.exp(-score)) for index, score in scores.items()}


class Serves:
    """Parts for every server. The module gives the fixtures `direct` and `behind`."""

    #: How rerankd tells that the server refused its key.
    wrong_key = (502, "upstream_unauthorized")

    @pytest.mark.parametrize("question", QUESTIONS, ids=str)
    def test_scores_are_the_servers_own(self, direct: Direct, behind: Behind, question: Question) -> None:
        own = direct.scores(question.query, question.passages)
        scores = behind.rerank(question.query, question.passages).scores()
        assert scores == pytest.approx(own, abs=EXACT)
        assert list(scores) == list(own)

    def test_known_pairs_are_not_asked_again(self, direct: Direct, behind: Behind) -> None:
        query, passages = "what comes from the cache", ["one passage", "another passage"]
        first = behind.rerank(query, passages)
        again = behind.rerank(query, passages)
        assert _pairs(first) == (2, 0)
        assert _pairs(again) == (0, 2)
        assert again.scores() == first.scores()
        more = behind.rerank(query, [*passages, "and a third"])
        assert _pairs(more) == (1, 2)
        own = direct.scores(query, [*passages, "and a third"])
        assert more.scores() == pytest.approx(own, abs=EXACT)

    def test_blank_passages(self, direct: Direct, behind: Behind) -> None:
        query, passages = "what is said by nothing", ["", "one passage", "  \n"]
        own = direct.scores(query, passages)
        assert behind.rerank(query, passages).scores() == pytest.approx(own, abs=EXACT)

    def test_many_passages(self, direct: Direct, behind: Behind) -> None:
        """More than Infinity takes at once, as this suite starts it."""
        query, passages = "what is said of the number five", [f"of number {number}" for number in range(40)]
        scores = behind.rerank(query, passages).scores()
        assert len(scores) == len(passages)
        own = direct.scores(query, passages[:16])
        assert {index: scores[index] for index in own} == pytest.approx(own, abs=EXACT)

    def test_wrong_key(self, behind: Behind) -> None:
        answer = behind.rerank("who may ask", ["one passage"], UNLOCKED)
        assert (answer.status, answer.json()["code"]) == self.wrong_key
        assert WRONG_KEY not in answer.body


class Reranks(Serves):
    """Parts for servers with a model that ranks."""

    @pytest.mark.parametrize("question", QUESTIONS, ids=str)
    def test_best_first(self, behind: Behind, question: Question) -> None:
        scores = behind.rerank(question.query, question.passages).scores()
        assert next(iter(scores)) == question.best

    def test_long_passages_in_pieces(self, behind: Behind) -> None:
        """The way out of every limit of length: the answer at the end of a long passage is found."""
        long = LONG.replace("Heat pumps", "Bananas").replace("cold weather", "ships")
        answer = ENGLISH.passages[ENGLISH.best]
        passages = [ENGLISH.passages[0], f"{long}{answer}", ENGLISH.passages[1], long]
        scores = behind.rerank(ENGLISH.query, passages, CHUNKED).scores()
        assert next(iter(scores)) == 1
        assert len(scores) == len(passages)


def _pairs(answer: Answer) -> tuple[int, int]:
    """How many pairs the server scored, and how many were known."""
    pairs = answer.json()["meta"]["rerankd"]["pairs"]
    return pairs["scored"], pairs["hit"]


def golden_errors(provider: str) -> list[str]:
    """The names of PROVIDER's error bodies that a real server said."""
    files = sorted((_GOLDEN / provider / "errors").glob("*.json"))
    names = [file.stem for file in files if json.loads(file.read_text()).get("evidence") == "server"]
    assert names, f"{provider} has error bodies that its server said"
    return names


def assert_golden(provider: str, name: str, provoke: Callable[[], Answer]) -> None:
    """The file tells what the server says to PROVOKE, but for numbers and for what it quotes."""
    golden = json.loads((_GOLDEN / provider / "errors" / f"{name}.json").read_text())
    said = provoke()
    assert (said.status, _shape(said.body)) == (golden["status"], _shape(golden["body"]))


def _shape(body: str) -> str:
    return re.sub(r'"input":.*?(?=,"ctx"|\}\])', '"input":…', re.sub(r"\d+", "0", body))

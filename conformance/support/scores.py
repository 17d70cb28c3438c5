"""What the fake model thinks, and the answer that follows from it."""

import hashlib
import uuid
from dataclasses import dataclass

#: A passage without anything to read is not sent to Cohere; it gets the floor of the scale.
BLANK_SCORE = 0.0


@dataclass(frozen=True)
class Hit:
    """One result as a client's user sees it: a passage's index, relevance score, and text if it came back."""

    index: int
    score: float
    text: str | None = None


def score(passage: str) -> float:
    """A relevance score in (0, 1) of the passage alone; `node/support/scores.js` computes the same."""
    number = int.from_bytes(hashlib.sha256(passage.encode()).digest()[:4], "big")
    return (number + 1) / (2**32 + 1)


def relevance_score(passage: str) -> float:
    """The score that must reach the client."""
    return score(passage) if passage.strip() else BLANK_SCORE


def ranking(passages: list[str], top_n: int | None = None) -> list[Hit]:
    """The right answer: best first, ties in input order."""
    hits = [Hit(index, relevance_score(passage)) for index, passage in enumerate(passages)]
    return sorted(hits, key=lambda hit: (-hit.score, hit.index))[:top_n]


def fresh_query() -> str:
    """A query that no test asked before, since rerankd remembers every score."""
    return f"query {uuid.uuid4()}"

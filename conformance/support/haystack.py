"""How Haystack's users see documents; for the suite that has Haystack installed."""

from typing import Any

from haystack import Document

from support.contract import Ask
from support.scores import Hit


def run(ranker: Any, ask: Ask) -> list[Hit]:
    """What a pipeline does. The index travels as the document's id."""
    documents = [Document(id=str(index), content=passage) for index, passage in enumerate(ask.passages)]
    ranked = ranker.run(query=ask.query, documents=documents)["documents"]
    return [Hit(int(document.id), document.score) for document in ranked]


def most(ask: Ask) -> int:
    """These rankers cut at 10 or 5 by themselves; this is how their users say "all of them"."""
    return max(1, len(ask.passages)) if ask.top_n is None else ask.top_n

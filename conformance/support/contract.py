"""What every client must see, whatever it is. A test class picks the parts that its client can show.

A client is unmodified: an adapter only says how a user would construct it, call it and read its answer.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from support.scores import Hit, fresh_query, ranking
from support.stage import MODEL, SMALL_BODY_BYTES, Site, Stage
from support.upstream import BROKEN, RATE_LIMITED, Upstream

PASSAGES = [f"passage {number}" for number in range(7)]
#: Equal passages and ones without a letter: each must keep its own index.
AWKWARD_PASSAGES = ["twin", "", "single", "twin", " \n", "twin", "naïve — 漢字 🦀"]


@dataclass(frozen=True)
class Ask:
    """One request as a client's user thinks of it."""

    query: str = field(default_factory=fresh_query)
    passages: list[str] = field(default_factory=lambda: list(PASSAGES))
    top_n: int | None = None
    model: str = MODEL
    echo: bool = False
    #: Whether the client may do what it does by itself after a failure. Off wherever it can be switched off.
    retries: bool = False


class Client(ABC):
    """An adapter: one entry point of one package."""

    #: By the status that rerankd answers: the class of what the client raises, exactly.
    errors: Mapping[int, type[Exception]] = {}
    #: How bad input is told in this client's dialect.
    bad_input_status = 400

    @abstractmethod
    def rank(self, site: Site, ask: Ask) -> list[Hit]:
        """Asks as the client's user would; reads the answer as the client hands it out, in its order."""

    def status(self, error: Any) -> int | None:
        """The HTTP status as the error tells it; `None` if this client's errors do not."""
        return error.status_code

    def message(self, error: Exception) -> str | None:
        """What the error says; `None` if this client's errors drop the server's message."""
        return str(error)


@dataclass(frozen=True)
class Situation:
    """Something that goes wrong, the status it must be told with, and a part of the message."""

    name: str
    status: int
    says: str
    site: str = "guarded"
    change: Callable[[Ask], Ask] = lambda ask: ask
    upstream: Callable[[Upstream], None] = lambda upstream: None

    def __str__(self) -> str:
        return self.name


SITUATIONS = [
    Situation("blank_query", 400, "query is blank", change=lambda ask: replace(ask, query="   ")),
    Situation("wrong_key", 401, "key", site="wrong_key"),
    Situation(
        "unknown_model",
        404,
        "there is no model unheard-of",
        change=lambda ask: replace(ask, model="unheard-of"),
    ),
    Situation(
        "body_too_large",
        413,
        "max_body_bytes",
        change=lambda ask: replace(ask, passages=["x" * SMALL_BODY_BYTES]),
    ),
    Situation(
        "rate_limited", 429, "too many requests", "open", upstream=lambda up: up.reply_always(RATE_LIMITED)
    ),
    Situation(
        "upstream_broken", 502, "internal server error", "open", upstream=lambda up: up.reply_always(BROKEN)
    ),
]


def assert_ranking(hits: list[Hit], passages: list[str], top_n: int | None = None) -> None:
    expected = ranking(passages, top_n)
    assert [hit.index for hit in hits] == [hit.index for hit in expected]
    assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in expected], abs=1e-6)


class _Contract:
    client: Client


class Ranks(_Contract):
    """The model's ranking and scores, the same through every client, and every passage in it."""

    def test_the_ranking_is_the_models(self, stage: Stage) -> None:
        ask = Ask()
        assert_ranking(self.client.rank(stage.sites["open"], ask), ask.passages)

    def test_a_long_list_is_complete(self, stage: Stage) -> None:
        ask = Ask(passages=[f"passage {number} of a long list" for number in range(150)])
        assert_ranking(self.client.rank(stage.sites["open"], ask), ask.passages)

    def test_duplicates_and_blanks_keep_their_index(self, stage: Stage, upstream: Upstream) -> None:
        ask = Ask(passages=AWKWARD_PASSAGES)
        assert_ranking(self.client.rank(stage.sites["open"], ask), ask.passages)
        sent = [passage for call in upstream.calls for passage in call["documents"]]
        assert sorted(sent) == sorted({passage for passage in AWKWARD_PASSAGES if passage.strip()})


class SendsKey(_Contract):
    """`server.api_keys`: the key arrives, in whatever header and form."""

    def test_the_right_key_is_let_in(self, stage: Stage) -> None:
        ask = Ask()
        assert_ranking(self.client.rank(stage.sites["guarded"], ask), ask.passages)


class AnyModelName(_Contract):
    """`aliases = ["*"]`: tools with a fixed model name can be pointed at rerankd."""

    def test_a_model_name_nobody_configured_is_served(self, stage: Stage) -> None:
        ask = Ask(model="vendor/reranker-v9-multilingual")
        assert_ranking(self.client.rank(stage.sites["open"], ask), ask.passages)


class TopN(_Contract):
    """How many results come back is the client's choice."""

    def test_the_best_are_kept(self, stage: Stage) -> None:
        ask = Ask(top_n=3)
        assert_ranking(self.client.rank(stage.sites["open"], ask), ask.passages, 3)

    def test_more_than_there_are_is_all(self, stage: Stage) -> None:
        ask = Ask(top_n=len(PASSAGES) + 5)
        assert_ranking(self.client.rank(stage.sites["open"], ask), ask.passages)


class EmptyList(_Contract):
    """A retriever that found nothing is not an error. Only for clients that do send the empty list."""

    def test_nothing_to_rank_is_nothing(self, stage: Stage) -> None:
        assert self.client.rank(stage.sites["open"], Ask(passages=[])) == []


class Echoes(_Contract):
    """Documents come back in the client's shape if asked for, and only then."""

    def test_documents_come_back_on_request(self, stage: Stage) -> None:
        ask = Ask(passages=AWKWARD_PASSAGES, echo=True)
        hits = self.client.rank(stage.sites["open"], ask)
        assert_ranking(hits, ask.passages)
        assert [hit.text for hit in hits] == [ask.passages[hit.index] for hit in hits]

    def test_documents_stay_away_unasked(self, stage: Stage) -> None:
        hits = self.client.rank(stage.sites["open"], Ask())
        assert [hit.text for hit in hits] == [None] * len(PASSAGES)


class Refusals(_Contract):
    """What goes wrong arrives as the client's own exception; conftest chooses by the client's `errors`."""

    def test_an_error_is_the_clients_own(
        self, stage: Stage, upstream: Upstream, situation: Situation
    ) -> None:
        situation.upstream(upstream)
        with pytest.raises(Exception) as raised:  # noqa: PT011, the exact class is compared below
            self.client.rank(stage.sites[situation.site], situation.change(Ask()))
        error = raised.value
        assert type(error) is self.client.errors[situation.status], repr(error)
        expected = self.client.bad_input_status if situation.status == 400 else situation.status
        assert self.client.status(error) in (expected, None)
        message = self.client.message(error)
        assert message is None or situation.says in message


class WaitsOutRateLimits(_Contract):
    """One 429 of the upstream, with the `Retry-After` it came with, is waited out by clients that retry."""

    def test_a_passing_429_is_retried(self, stage: Stage, upstream: Upstream) -> None:
        upstream.reply_next(RATE_LIMITED)
        ask = Ask(retries=True)
        assert_ranking(self.client.rank(stage.sites["open"], ask), ask.passages)
        assert len(upstream.calls) == 2

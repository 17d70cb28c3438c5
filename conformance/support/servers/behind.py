"""A rerankd with one server behind it, and plain calls of both."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass

from support.service import Service

KEY = "conformance-server-key"
WRONG_KEY = "conformance-wrong-key"

#: The names of the models of `Behind`.
USUAL, UNKNOWN, UNLOCKED, CHUNKED = "usual", "unknown", "locked-out", "chunked"
#: A model that no server has.
NOBODYS = "nobody-serves-this"

_PATIENCE_SECONDS = 25

_UPSTREAM = """
[upstreams.{upstream}]
provider = "{provider}"
base_url = "{url}"
api_key = "env:{key}"
max_attempts = 1
breaker = {{ consecutive_failures = 0 }}
{settings}

[models.{name}]
targets = [{{ upstream = "{upstream}", model = "{model}" }}]
"""

_FACTS = """
[providers.{provider}.models."{model}"]
scoring = "pointwise"
scale = "{scale}"
"""


@dataclass(frozen=True)
class Answer:
    status: int
    body: str

    def json(self) -> dict:
        return json.loads(self.body)

    def scores(self) -> dict[int, float]:
        """The relevance scores by the place of the passage, best first."""
        assert self.status == 200, self.body
        return {result["index"]: result["relevance_score"] for result in self.json()["results"]}


def post(url: str, body: object, key: str | None = None) -> Answer:
    """Sends BODY as JSON, or as it is if it is bytes."""
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, payload, headers)
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS) as reply:
            return Answer(reply.status, reply.read().decode())
    except urllib.error.HTTPError as refusal:
        with refusal:
            return Answer(refusal.code, refusal.read().decode())


class Behind:
    """A rerankd whose models all lead to the server at URL: `usual`; `unknown`, by a name that it does
    not have; `locked-out`, with a wrong key; `chunked`, with long passages in pieces."""

    def __init__(self, url: str, provider: str, model: str, scale: str | None = None) -> None:
        """`scale` is that of a pointwise model, where the provider's row cannot know it."""

        def upstream(name: str, key: str = "SERVER_KEY", model: str = model, settings: str = "") -> str:
            return _UPSTREAM.format(
                upstream=name, name=name, provider=provider, url=url, key=key, model=model, settings=settings
            )

        pieces = 'long_passages = "chunk_max"\nmax_passage_tokens = 300\n'
        config = (
            upstream(USUAL)
            + upstream(UNKNOWN, model=NOBODYS)
            + upstream(UNLOCKED, key="WRONG_KEY")
            + upstream(CHUNKED, settings=pieces)
        )
        if scale:
            config += _FACTS.format(provider=provider, model=model, scale=scale)
        self._service = Service(config, {"SERVER_KEY": KEY, "WRONG_KEY": WRONG_KEY})

    def rerank(self, query: str, passages: list[str], model: str = USUAL) -> Answer:
        body = {"model": model, "query": query, "documents": passages}
        return post(f"{self._service.url}/v1/rerank", body)

    def stop(self) -> None:
        self._service.stop()

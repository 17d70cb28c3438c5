"""The fake upstream and the rerankd processes that the tests talk to.

As a program (`python3 -m support.stage`) it prints where everything is, as a line of JSON, and ends when its
input does: so suites of other languages use the same stage, and none outlives its suite.
"""

import json
import sys
from dataclasses import asdict, dataclass

from support.service import Service
from support.upstream import Upstream

KEY = "conformance-key"
INFINITY_KEY = "conformance-infinity-key"
MODEL = "m"
#: Bodies over this are refused by the guarded service.
SMALL_BODY_BYTES = 8192

_ENVIRONMENT = {"APP_KEY": KEY, "INFINITY_KEY": INFINITY_KEY, "UPSTREAM_KEY": "conformance-upstream-key"}

#: Blank variables count as not set: no key of whoever runs this makes an upstream.
_NO_KEYS = {
    name: ""
    for name in (
        "COHERE_API_KEY",
        "CO_API_KEY",
        "JINA_API_KEY",
        "JINAAI_API_KEY",
        "JINA_AI_API_KEY",
        "VOYAGE_API_KEY",
        "MXBAI_API_KEY",
    )
}

_CONFIG = """
[server]
{server}

[upstreams.up]
provider = "cohere"
base_url = "{upstream}"
api_key = "env:UPSTREAM_KEY"
max_attempts = 1  # what the upstream says must reach the client
breaker = {{ consecutive_failures = 0 }}  # however often it says it

[models.m]
targets = [{{ upstream = "up", model = "rerank-v3.5" }}]
"""

_ANY_NAME = """
[models.default]
targets = [{ upstream = "up", model = "rerank-v3.5" }]
aliases = ["*"]
"""


@dataclass(frozen=True)
class Site:
    """What a user of a client configures: where the service is, and the key."""

    url: str
    key: str


class Stage:
    """One upstream, four services in front of it and one with nothing, ended with the context."""

    def __init__(self) -> None:
        self.upstream = Upstream()
        self._services: list[Service] = []
        try:
            self.sites = self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        for service in self._services:
            service.stop()
        self.upstream.stop()

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> dict[str, Site]:
        keys = 'api_keys = ["env:APP_KEY", { key = "env:INFINITY_KEY", dialect = "infinity" }]'
        open_to_all = self._serve("", _ANY_NAME)
        guarded = self._serve(f"{keys}\nmax_body_bytes = {SMALL_BODY_BYTES}", "")
        keyed = self._serve(keys, _ANY_NAME)
        echoing = self._serve("always_return_documents = true", _ANY_NAME)
        return {
            # No keys, any model name.
            "open": Site(open_to_all, "any-key"),
            # Keys, one model name, small bodies: everything a client can do wrong is refused here.
            "guarded": Site(guarded, KEY),
            "wrong_key": Site(guarded, "wrong-key"),
            # The key settles the dialect.
            "infinity_key": Site(keyed, INFINITY_KEY),
            # Documents come back unasked.
            "echoing": Site(echoing, "any-key"),
            # Neither upstreams nor models, as after the installation.
            "bare": Site(self._start_service("", _NO_KEYS), "any-key"),
        }

    def _serve(self, server: str, models: str) -> str:
        return self._start_service(
            _CONFIG.format(server=server, upstream=self.upstream.url) + models, _ENVIRONMENT
        )

    def _start_service(self, config: str, environment: dict[str, str]) -> str:
        service = Service(config, environment)
        self._services.append(service)
        return service.url


def main() -> None:
    with Stage() as stage:
        sites = {name: asdict(site) for name, site in stage.sites.items()}
        print(json.dumps({"upstream": stage.upstream.url, "sites": sites, "model": MODEL}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()

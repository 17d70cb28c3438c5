"""LiteLLM's proxy before a scripted Cohere: what a gateway passes on, and what it makes of failures."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.program import Program
from support.servers.behind import KEY, UNKNOWN, WRONG_KEY, Behind
from support.servers.contract import Direct, Serves, assert_golden, golden_errors
from support.stage import Stage
from support.upstream import Reply, Upstream

#: The row of rerankd that speaks to it.
PROVIDER = "litellm"

PATH = "/v1/rerank"
MODEL = "my-reranker"
SCALE = "probability"
#: It takes half a minute to start on a busy machine.
PATIENCE_SECONDS = 120

# Starting the proxy is part of the first test.
pytestmark = pytest.mark.timeout(PATIENCE_SECONDS + 30)

_CONFIG = """
model_list:
  - model_name: {model}
    litellm_params:
      model: cohere/rerank-v3.5
      api_base: {upstream}/v2/rerank
      api_key: conformance-upstream-key
general_settings:
  master_key: {key}
litellm_settings:
  num_retries: 0
router_settings:
  disable_cooldowns: true
"""

#: What Cohere says, what the proxy makes of it, and what that is to rerankd.
FAILURES = [
    (Reply(400, body='{"message": "invalid request"}'), 400, "upstream_rejected"),
    (Reply(401, body='{"message": "invalid api token"}'), 401, "upstream_unauthorized"),
    (Reply(404, body='{"message": "model not found"}'), 404, "upstream_rejected"),
    (Reply(429, {"Retry-After": "7"}, '{"message": "too many requests"}'), 429, "upstream_rate_limited"),
    (Reply(500, body='{"message": "internal server error"}'), 500, "upstream_unavailable"),
    (Reply(503, body="no healthy upstream"), 503, "upstream_unavailable"),
]


@pytest.fixture(scope="module")
def direct(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Direct]:
    file = tmp_path_factory.mktemp("litellm") / "config.yaml"
    file.write_text(_CONFIG.format(model=MODEL, upstream=stage.upstream.url, key=KEY))
    litellm = Path(sys.executable).with_name("litellm")
    command = [litellm, "--config", file, "--host", "127.0.0.1", "--port", "0"]
    program = Program(command, {**os.environ}, r"running on (http://\S+)", PATIENCE_SECONDS)
    yield Direct(program.url, PATH, MODEL, SCALE)
    program.stop()


@pytest.fixture(scope="module")
def behind(direct: Direct) -> Iterator[Behind]:
    behind = Behind(direct.url, PROVIDER, MODEL, SCALE)
    yield behind
    behind.stop()


class TestLiteLlmProxy(Serves):
    def test_blank_passages(self, behind: Behind) -> None:
        """They are kept from the proxy, because providers behind it refuse them."""
        scores = behind.rerank("what is said by nothing", ["", "one passage"]).scores()
        assert (list(scores), scores[0]) == ([1, 0], 0.0)

    def test_unknown_model(self, behind: Behind) -> None:
        answer = behind.rerank("who is there", ["one passage"], UNKNOWN)
        assert (answer.status, answer.json()["code"]) == (400, "upstream_rejected")
        assert "Invalid model name" in answer.json()["message"]

    @pytest.mark.parametrize(
        ("failure", "status", "code"), FAILURES, ids=lambda value: getattr(value, "status", value)
    )
    def test_failures(
        self, direct: Direct, behind: Behind, upstream: Upstream, failure: Reply, status: int, code: str
    ) -> None:
        upstream.reply_always(failure)
        assert direct.rerank("what fails", ["one passage"]).status == status
        answer = behind.rerank(f"what fails with {status}", ["one passage"])
        assert answer.json()["code"] == code
        assert KEY not in answer.body

    def test_no_scores_at_all(self, direct: Direct, behind: Behind, upstream: Upstream) -> None:
        """What Cohere never says is passed on with 200, as `"results": null`."""
        upstream.reply_always(Reply(200, body='{"id": "fake"}'))
        said = direct.rerank("what has no scores", ["one passage"])
        assert (said.status, said.json()["results"]) == (200, None)
        answer = behind.rerank("what has no scores", ["one passage"])
        assert (answer.status, answer.json()["code"]) == (502, "upstream_invalid_reply")

    @pytest.mark.parametrize("name", golden_errors(PROVIDER))
    def test_golden_errors(self, name: str, direct: Direct, upstream: Upstream) -> None:
        usual = {"model": MODEL, "query": "q", "documents": ["one passage"]}
        failing = {f"{reply.status}-of-cohere": reply for reply, _, _ in FAILURES}
        if reply := failing.get(name):
            upstream.reply_always(reply)
        provoke = {
            "400-invalid-model": lambda: direct.ask({**usual, "model": "nobody-serves-this"}),
            "400-wrong-key": lambda: direct.ask(usual, WRONG_KEY),
            "400-no-query": lambda: direct.ask({"model": MODEL, "documents": ["one passage"]}),
        }
        assert_golden(PROVIDER, name, provoke.get(name, lambda: direct.ask(usual)))

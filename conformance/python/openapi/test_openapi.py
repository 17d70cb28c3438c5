"""schemathesis: whatever the OpenAPI document allows gets an answer that the document knows, and no 5xx.

Left out are three of its checks. Server errors are checked by `hooks`, because a deadline of a millisecond
asks for one. Requests that break the schema are not refused as such, since clients send all kinds of things
beside what matters; and some that keep to it are refused for what no schema can say (documents without any of
the fields to rank, two different queries).
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.stage import Site, Stage
from support.upstream import RATE_LIMITED

#: Each situation is tried for this long.
SECONDS = 25


def assert_conforms(site: Site, directory: Path) -> None:
    command = [
        Path(sys.executable).with_name("st"),
        "run",
        f"{site.url}/openapi.json",
        f"--header=Authorization: Bearer {site.key}",
        "--checks=all",
        "--exclude-checks=not_a_server_error,negative_data_rejection,positive_data_acceptance",
        "--suppress-health-check=all",
        "--warnings=off",
        "--no-color",
        f"--max-time={SECONDS}",
        # The same requests every time, as far as the time reaches.
        "--seed=1",
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(Path(__file__).with_name("hooks.py"))}
    run = subprocess.run(
        command,
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=4 * SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "No issues found" in run.stdout, run.stdout


@pytest.mark.timeout(5 * SECONDS)
class TestOpenApi:
    def test_open_to_all(self, stage: Stage, tmp_path: Path) -> None:
        assert_conforms(stage.sites["open"], tmp_path)

    def test_with_keys_and_small_bodies(self, stage: Stage, tmp_path: Path) -> None:
        assert_conforms(stage.sites["guarded"], tmp_path)

    def test_when_the_provider_limits_the_rate(self, stage: Stage, tmp_path: Path) -> None:
        stage.upstream.reply_always(RATE_LIMITED)
        assert_conforms(stage.sites["open"], tmp_path)

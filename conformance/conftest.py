"""Fixtures of every Python suite."""

import os
from collections.abc import Iterator

import pytest

# Before it is imported, so that its assertions explain themselves.
pytest.register_assert_rewrite("support.contract")

from support.contract import SITUATIONS
from support.stage import Stage
from support.upstream import Upstream

# No client may look beyond this machine: not for telemetry, not for price lists.
os.environ.update(
    {
        "HAYSTACK_TELEMETRY_ENABLED": "False",
        "LANGSMITH_TRACING": "false",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
)


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


@pytest.fixture(autouse=True)
def upstream(stage: Stage) -> Upstream:
    stage.upstream.reset()
    return stage.upstream


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "situation" in metafunc.fixturenames:
        known = [situation for situation in SITUATIONS if situation.status in metafunc.cls.client.errors]
        metafunc.parametrize("situation", known, ids=str)

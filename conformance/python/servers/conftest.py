"""A rerankd before the server of a module that runs the real model."""

from collections.abc import Iterator

import pytest

from support.servers import weights
from support.servers.behind import Behind
from support.servers.contract import Direct


@pytest.fixture(scope="module")
def behind(request: pytest.FixtureRequest, direct: Direct) -> Iterator[Behind]:
    """By the row that the module names PROVIDER."""
    behind = Behind(direct.url, request.module.PROVIDER, weights.MODEL)
    yield behind
    behind.stop()

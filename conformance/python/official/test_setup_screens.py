"""What set-up screens and probes of many tools ask for before they send a passage."""

import json
from typing import Any
from urllib.request import Request, urlopen

import pytest

from support.stage import MODEL, Site, Stage


def get(site: Site, path: str) -> Any:
    request = Request(site.url + path, headers={"Authorization": f"Bearer {site.key}"})
    with urlopen(request, timeout=10) as answer:
        return json.loads(answer.read() or "null")


@pytest.mark.parametrize("path", ["/v1/models", "/models", "/jina/v1/models"])
def test_models_are_listed(stage: Stage, path: str) -> None:
    models = {model["id"]: model for model in get(stage.sites["guarded"], path)["data"]}
    assert models[MODEL]["model_type"] == "rerank"


def test_one_model_is_described(stage: Stage) -> None:
    assert get(stage.sites["guarded"], f"/v1/models/{MODEL}")["model_type"] == "rerank"


def test_tei_says_what_it_is(stage: Stage) -> None:
    info = get(stage.sites["open"], "/info")
    assert "reranker" in info["model_type"]
    assert isinstance(info["max_input_length"], int)


@pytest.mark.parametrize(("site", "auth"), [("open", False), ("guarded", True)])
def test_xinference_learns_whether_a_key_is_needed(stage: Stage, site: str, auth: bool) -> None:
    assert get(stage.sites[site], "/v1/cluster/auth") == {"auth": auth}


@pytest.mark.parametrize("path", ["/health", "/v1/health/ready", "/.well-known/ready", "/meta"])
def test_probes_are_answered(stage: Stage, path: str) -> None:
    get(stage.sites["open"], path)

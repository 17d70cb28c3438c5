"""A check for schemathesis: no 5xx but those that a request asks for by a deadline or by `only-if-cached`."""

import schemathesis

ASKED_FOR = {"deadline_exceeded", "not_cached"}


@schemathesis.check
def no_unasked_server_error(_context, response, case) -> None:
    if response.status_code < 500:
        return
    headers = case.headers or {}
    body = case.body if isinstance(case.body, dict) else {}
    by_header = "x-request-timeout-ms" in headers or "cache-control" in headers
    assert by_header or body.get("timeout_ms") is not None, f"{response.status_code} without being asked for"
    assert response.json()["code"] in ASKED_FOR, response.json()

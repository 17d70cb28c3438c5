"""A scripted upstream that speaks Cohere v2: `POST /v2/rerank`.

It scores by itself until a test tells it what to answer instead. Suites of other languages script it over
HTTP: `POST /control/next` (a list of replies), `POST /control/always` (one reply or null), `POST
/control/reset`, `GET /control/calls`.
"""

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.scores import score


@dataclass(frozen=True)
class Reply:
    """What the upstream answers instead of scores."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = '{"message": "scripted failure"}'


RATE_LIMITED = Reply(429, {"Retry-After": "1"}, '{"message": "too many requests"}')
BROKEN = Reply(500, body='{"message": "internal server error"}')


class Upstream:
    """The fake provider. `calls` are the bodies it was sent since the last `reset`."""

    def __init__(self) -> None:
        self.calls: list[dict] = []
        self._next: deque[Reply] = deque()
        self._always: Reply | None = None
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host}:{port}"

    def reply_next(self, *replies: Reply) -> None:
        """Answers the next calls with these, one each, then scores again."""
        with self._lock:
            self._next.extend(replies)

    def reply_always(self, reply: Reply | None) -> None:
        """Answers every call with this until the next `reset`: clients retry as often as they like."""
        with self._lock:
            self._always = reply

    def reset(self) -> None:
        with self._lock:
            self.calls.clear()
            self._next.clear()
            self._always = None

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, body: dict) -> Reply:
        """Records a call and chooses its reply."""
        with self._lock:
            self.calls.append(body)
            if self._next:
                return self._next.popleft()
            if self._always:
                return self._always
        return _scored(body)


def _scored(body: dict) -> Reply:
    results = [
        {"index": index, "relevance_score": score(text)} for index, text in enumerate(body["documents"])
    ]
    results.sort(key=lambda result: -result["relevance_score"])
    answer = {"id": "fake", "results": results, "meta": {"billed_units": {"search_units": 1}}}
    return Reply(200, body=json.dumps(answer))


def _handler(upstream: Upstream) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # One packet an answer: the body after the headers would wait for the peer's delayed acknowledgement.
        wbufsize = -1

        def do_GET(self) -> None:
            if self.path == "/control/calls":
                self._send(Reply(200, body=json.dumps(upstream.calls)))
            else:
                self._send(Reply(404))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or "null")
            match self.path:
                case "/v2/rerank":
                    self._send(upstream.answer(body))
                case "/control/next":
                    upstream.reply_next(*(Reply(**reply) for reply in body))
                    self._send(Reply(200, body="{}"))
                case "/control/always":
                    upstream.reply_always(body and Reply(**body))
                    self._send(Reply(200, body="{}"))
                case "/control/reset":
                    upstream.reset()
                    self._send(Reply(200, body="{}"))
                case _:
                    self._send(Reply(404))

        def _send(self, reply: Reply) -> None:
            payload = reply.body.encode()
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            """Says nothing: what was called is in `calls`."""

    return Handler

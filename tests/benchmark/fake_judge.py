"""A chat endpoint in OpenAI's form on loopback, that answers as a test tells it to.

The server is real HTTP over real sockets: status codes, headers, half replies and silence are what
a client meets outside.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """What the server sends back; ``body`` overrides the chat completion made of ``text``."""

    text: Any = "Rating: 5"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    after_seconds: float = 0.0
    ended: str = "stop"

    def content(self) -> bytes:
        if self.body is not None:
            return self.body
        choice = {
            "message": {"role": "assistant", "content": self.text},
            "finish_reason": self.ended,
        }
        return json.dumps({"choices": [choice], "usage": {"total_tokens": 40}}).encode()


@dataclass
class FakeJudge:
    """``answer`` maps (prompt of the user, how often it was asked before) to a Reply."""

    answer: Callable[[str, int], Reply]
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    busiest: int = 0
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, request: dict[str, Any], authorization: str) -> Reply:
        prompt = request["messages"][-1]["content"]
        with self._lock:
            before = sum(r["messages"][-1]["content"] == prompt for r in self.requests)
            self.requests.append(request)
            self.authorizations.append(authorization)
            self._now += 1
            self.busiest = max(self.busiest, self._now)
        try:
            reply = self.answer(prompt, before)
            time.sleep(reply.after_seconds)
            return reply
        finally:
            with self._lock:
                self._now -= 1


@contextmanager
def fake_judge(answer: Callable[[str, int], Reply]) -> Iterator[FakeJudge]:
    """Serve until the block ends."""
    judge = FakeJudge(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                request = json.loads(content)
            except ValueError:
                return  # The client went away in the middle of its request.
            path = self.path
            known = path == "/v1/chat/completions"
            reply = (
                judge.handle(request, self.headers.get("Authorization", ""))
                if known
                else Reply(status=404, body=b"no such path")
            )
            content = reply.content()
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in reply.headers:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except (BrokenPipeError, ConnectionResetError):
                pass  # The client has given up waiting, as some tests want it to.

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    judge.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield judge
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

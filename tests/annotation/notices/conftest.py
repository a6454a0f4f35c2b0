from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from annotation.models import Notice, NoticeChoice, User, Webhook
from annotation.notices import writing
from tests import factories


class Receiver:
    """A server that remembers what it was sent, and answers ``status``."""

    def __init__(self) -> None:
        self.status, self.headers, self.got = 200, {}, []  # type: ignore[var-annotated]
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), sent))
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: Any) -> None: ...

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook"

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(sent) for _, sent in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()
    made.thread.join()


@pytest.fixture
def webhook(db: None, receiver: Receiver) -> Webhook:
    return Webhook.objects.create(name="lab", address=receiver.address)


@pytest.fixture
def person(db: None) -> User:
    return factories.make_user(email="noor@example.org")


def choose(person: User, **how: Any) -> None:
    NoticeChoice.objects.create(person=person, kind="run_failed", **how)


def tell(*people: User, event: str = "run_failed:1") -> Notice | None:
    writing.tell("run_failed", people, event=event, title="Run 1 has failed", link="/training/")
    return Notice.objects.first()

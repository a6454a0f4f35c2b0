"""The site with four more addresses for tests, and with no patience under TEST_IMPATIENCE,
and little memory under TEST_LITTLE_MEMORY."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse

from config.proxies import ClientAddress
from config.server import connections
from config.wsgi import application as site

if os.environ.get("TEST_IMPATIENCE"):
    connections.GRACE_SECONDS, connections.BYTES_A_SECOND = 0.5, 10**9
if os.environ.get("TEST_LITTLE_MEMORY"):
    connections.MOST_HELD_BYTES = 4 * 2**20
CHUNK = b"0123456789abcdef" * 4096


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if not path.startswith("/test/"):
        return site(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/plain")])
    found = {"echo": echo, "stream": stream, "wait": wait, "address": address}
    return found[path.removeprefix("/test/")](environ)


def echo(environ: dict[str, Any]) -> list[bytes]:
    body = environ["wsgi.input"].read()
    said = {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    return [json.dumps(said).encode()]


def address(environ: dict[str, Any]) -> list[bytes]:
    """What the site would take for the client's."""
    seen: list[str] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request.META["REMOTE_ADDR"])
        return HttpResponse()

    ClientAddress(view)(WSGIRequest(environ))
    return [json.dumps(seen[0]).encode()]


def stream(environ: dict[str, Any]) -> Iterator[bytes]:
    for _ in range(int(environ["QUERY_STRING"])):
        yield CHUNK


def wait(environ: dict[str, Any]) -> Iterator[bytes]:
    """Says on one pipe that it has begun, and waits for another one to be opened."""
    pipes = Path(environ["QUERY_STRING"])
    (pipes / "begun").write_bytes(b"x")
    yield (pipes / "go").read_bytes()

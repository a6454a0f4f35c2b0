"""Carries out what writes to storage, and dies where perf.storage_faults says.

One process loads everything, then forks for each order, a line of JSON on stdin:

    {"scenario": NAME, "arguments": {...}, "storage": FOLDER, "die_at": N,
     "die_after_bytes": N, "most_bytes": N, "bucket": {...}, "die_at_request": N, "torn": true}

The fork kills itself with SIGKILL at the Nth line that it executes of the modules that handle
storage, or is killed by the kernel in the middle of a write that makes a file longer than N bytes
(SIGXFSZ). With ``most_bytes`` such a write fails instead, half done, as on a full disk. Where
storage is a ``bucket`` (options of its backend), it kills itself before it sends the Nth request to
it, or when half of that request's body is sent (``torn``). The answer is a line of JSON: how many
lines there were, if it lived, which requests ("PUT 2048": method and length), and what it raised.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

import django
from botocore.httpsession import URLLib3Session
from django.conf import settings
from django.test import override_settings

ROOT = Path(__file__).resolve().parent.parent
WATCHED = {
    str(ROOT / name)
    for name in (
        "durable.py",
        "annotation/storage/bucket.py",
        "annotation/storage/contents.py",
        "annotation/storage/folder.py",
        "annotation/storage/whole_files.py",
        "annotation/exporting/folders.py",
        "annotation/exporting/training_data.py",
        "annotation/images.py",
        "annotation/importing/one_import.py",
        "annotation/jobs.py",
        "annotation/releases/freezing.py",
        "training/checkpoints/checkpoint_files.py",
        "training/checkpoints/registry.py",
        "training/runs/execution.py",
        "training/runs/kinds.py",
    )
}


class Tracer:
    """Counts the lines executed in WATCHED, and ends the process at one of them."""

    def __init__(self, die_at: int) -> None:
        self.count = 0
        self._die_at = die_at

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename in WATCHED else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self.count += 1
            if self.count == self._die_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return self._line


class Requests:
    """Counts the requests to a bucket, and ends the process at one of them."""

    def __init__(self, die_at: int, *, torn: bool) -> None:
        self.sent: list[str] = []
        self._die_at, self._torn = die_at, torn
        self._send: Any = URLLib3Session.send

    def __call__(self, session: URLLib3Session, request: Any) -> Any:
        length = int(request.headers.get("Content-Length") or 0)
        self.sent.append(f"{request.method} {length}")
        if len(self.sent) == self._die_at:
            if not self._torn:
                os.kill(os.getpid(), signal.SIGKILL)
            request.body = HalfSent(request.body)
        return self._send(session, request)


class HalfSent:
    """The body of a request whose process is killed when half of it is sent."""

    def __init__(self, body: Any) -> None:
        data = body if isinstance(body, bytes | bytearray) else body.read()
        self._half = bytes(data[: len(data) // 2])

    def read(self, size: int = -1) -> bytes:
        if not self._half:
            os.kill(os.getpid(), signal.SIGKILL)
        size = size if size > 0 else len(self._half)
        read, self._half = self._half[:size], self._half[size:]
        return read


def main() -> None:
    django.setup()
    from config import wakeup
    from perf import storage_scenarios

    # Nobody is to be told of what is carried out here and killed.
    wakeup.after_commit = lambda *_: None  # type: ignore[assignment]
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        told, tell = os.pipe()
        child = os.fork()
        if not child:
            os.close(told)
            os.write(tell, json.dumps(_carry_out(order, storage_scenarios)).encode())
            os._exit(0)
        os.close(tell)
        with os.fdopen(told, "rb") as file:
            said = file.read()
        os.waitpid(child, 0)
        print(said.decode() or json.dumps({"killed": True}), flush=True)


def _carry_out(order: dict[str, Any], scenarios: Any) -> dict[str, Any]:
    if order.get("die_after_bytes"):
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    most = order.get("die_after_bytes") or order.get("most_bytes")
    if most:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tracer = Tracer(order.get("die_at", 0))
    requests = Requests(order.get("die_at_request", 0), torn=order.get("torn", False))
    override_settings(MEDIA_ROOT=order["storage"], **in_bucket(order.get("bucket"))).enable()
    act = scenarios.SCENARIOS[order["scenario"]].act
    with mock.patch.object(URLLib3Session, "send", lambda *sent: requests(*sent)):
        sys.settrace(tracer)
        try:
            act(order["arguments"])
            raised = ""
        except Exception as error:
            raised = f"{type(error).__name__}: {error}"
        finally:
            sys.settrace(None)
    return {"lines": tracer.count, "requests": requests.sent, "raised": raised}


def in_bucket(options: dict[str, str] | None) -> dict[str, Any]:
    """The settings with which storage is a bucket; none for none."""
    if options is None:
        return {}
    backend = {"BACKEND": "annotation.storage.bucket.BucketStorage", "OPTIONS": options}
    return {"STORAGES": settings.STORAGES | {"default": backend}}


if __name__ == "__main__":
    main()

"""A time limit on the whole of a request over HTTP, which httpx does not have.

Its limits are those of each read, and a server that sends a byte a second passes none of them.
Here each read of a thread gets what is left of the thread's time.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx


class _Until(threading.local):
    at = float("inf")


_until = _Until()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Requests of this thread raise httpx.TimeoutException once the time is over."""
    _until.at = time.monotonic() + seconds
    try:
        yield
    finally:
        _until.at = float("inf")


def transport() -> httpx.HTTPTransport:
    """For a client whose requests heed ``within``."""
    made = httpx.HTTPTransport()
    made._pool._network_backend = _Backend()
    return made


def _left(seconds: float | None) -> float | None:
    left = _until.at - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time for the whole request is over")
    return left if seconds is None or left < seconds else seconds


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        made = super().connect_tcp(host, port, _left(timeout), local_address, socket_options)
        return _Stream(made)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, _left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

"""A time limit on the whole of a request over HTTP, which httpx does not have.

Its limits are those of each read, and a server that sends a byte a second passes none of them; nor
has looking a name up a limit, and connecting has one for each of a host's addresses. Here each
step of a thread gets what is left of the thread's time.
"""

from __future__ import annotations

import socket
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
        """Addresses are tried in turn; one that is silent leaves the others their part of it."""
        until = time.monotonic() + (_left(timeout) or 0.0)
        addresses = _addresses(host, port, until)
        while True:
            address = addresses.pop(0)
            part = (until - time.monotonic()) / (len(addresses) + 1)
            try:
                made = super().connect_tcp(
                    address, port, _left(max(part, _SHORTEST)), local_address, socket_options
                )
                return _Stream(made)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not addresses:
                    raise


_SHORTEST = 0.001


def _addresses(host: str, port: int, until: float) -> list[str]:
    """Those of a host, in the system's order. The system waits for as long as it likes to know
    them, which is then waited for by nobody."""
    found: list[str] = []
    failed: list[OSError] = []

    def look_up() -> None:
        try:
            known = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(str(address[0]) for *_, address in known))
        except (OSError, UnicodeError) as error:
            failed.append(OSError(str(error)))

    thread = threading.Thread(target=look_up, name=f"looks up {host}", daemon=True)
    thread.start()
    thread.join(max(until - time.monotonic(), 0))
    if failed:
        raise httpcore.ConnectError(str(failed[0])) from failed[0]
    if not found:
        raise httpcore.ConnectTimeout(f"the address of {host} is not known in time")
    return found


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

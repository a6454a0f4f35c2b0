"""Addresses that a server must not ask, and who is asked."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings

ADDRESSES = [
    "http://169.254.169.254/latest/meta-data/",
    "http://[::1]:9/a.png",
    "http://2130706433/a.png",
    "https://rebinding.example/a.png",
    "//elsewhere.example/a.png",
    "ftp://elsewhere.example/a.png",
    "file:///etc/passwd",
]


def watched_hosts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every host that this process looks up or connects to; none of them is reached."""
    hosts: list[str] = []
    connect, getaddrinfo = socket.socket.connect, socket.getaddrinfo
    valkey = urlsplit(settings.REDIS_URL)

    def look_up(host: Any, *more: Any, **named: Any) -> Any:
        if host == valkey.hostname:
            return getaddrinfo(host, *more, **named)
        hosts.append(str(host))
        raise socket.gaierror(f"{host} was looked up")

    def watched(this: socket.socket, address: Any) -> None:
        if this.family == socket.AF_UNIX or address[1] == valkey.port:
            return connect(this, address)
        hosts.append(str(address[0]))
        raise ConnectionRefusedError(f"{address} was asked")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(socket.socket, "connect", watched)
    monkeypatch.setattr(socket.socket, "connect_ex", watched)
    return hosts

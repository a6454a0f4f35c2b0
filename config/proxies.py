"""Whose address a request has: what a reverse proxy says (BEHIND_PROXY), and what is counted of it.

Without the first, everybody has the proxy's address: ten wrong passwords for a name would lock out
its owner too, and one stranger's guesses at public links would use up everybody's. Without the
second, whoever has an IPv6 connection has 2^64 addresses to guess from.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from config.errors import PLAIN_HTTP, answer

HEADERS: tuple[str, ...] = ("X-Forwarded-For", "X-Real-IP", "Forwarded")
"""Those in which proxies say it; CLIENT_ADDRESS_HEADER names the one that is believed."""
NETWORK_BITS = 64
"""What a provider gives to one connection at least (RFC 6177)."""
TRANSLATED = IPv6Network("64:ff9b::/96")
"""What clients of IPv4 are called by a router that translates for a network of IPv6 (RFC 6052). All
of them would be one connection."""
UNKNOWN = "factloop.address_unknown"
_BRACKETS = re.compile(r"\[([^\]]*)\](?::[0-9]{1,5})?")
log = logging.getLogger(__name__)
_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}")


class ClientAddress:
    """Middleware behind exactly one proxy: REMOTE_ADDR becomes the address that the proxy saw.

    That is the last one in the header: a proxy appends, and what stands before its own entry was
    sent by the client and may be invented. An entry that is no address (a name, a pseudonym of RFC
    7239) tells clients apart all the same. Where there is none, the address is marked as unknown.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        said = _last_entry(request.headers.get(settings.CLIENT_ADDRESS_HEADER, ""))
        if said:
            request.META["REMOTE_ADDR"] = str(address_in(said) or _stand_in(said))
        else:
            request.META[UNKNOWN] = True
        return self._get_response(request)


class NoRedirectForEver:
    """Middleware before the redirect to https, for a proxy that says http of what came by https.

    Browsers send Sec-Fetch-Mode by https alone, so a request that brings it, and is said to have
    come by http, would be redirected to the address that it has already.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SECURE_SSL_REDIRECT and not request.is_secure():
            said = request.headers.get("X-Forwarded-Proto", "").strip().lower() == "http"
            if said and "Sec-Fetch-Mode" in request.headers and _is_named(request):
                log.error("X-Forwarded-Proto is http where the browser came by https")
                return answer(request, 400, *PLAIN_HTTP)
        return self._get_response(request)


def _is_named(request: HttpRequest) -> bool:
    """Whether it came under a name: of this machine itself, browsers trust http as well."""
    return request.get_host().partition(":")[0] not in ("localhost", "127.0.0.1", "[")


def address_in(text: str) -> IPv4Address | IPv6Address | None:
    """The address in what a proxy wrote: with or without port, brackets, quotes, zone."""
    text = text.strip().strip('"')
    found = _BRACKETS.fullmatch(text) or _PORT.fullmatch(text)
    try:
        address = ip_address((found[1] if found else text).partition("%")[0])
    except ValueError:
        return None
    if not isinstance(address, IPv6Address):
        return address
    if address in TRANSLATED:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address


def counted_address(request: HttpRequest) -> str | None:
    """Under which what somebody does too often is counted: of IPv6 the network (its first address).

    axes asks too (AXES_CLIENT_IP_CALLABLE).
    """
    address = address_in(request.META.get("REMOTE_ADDR", ""))
    if isinstance(address, IPv6Address):
        address = IPv6Network((address, NETWORK_BITS), strict=False).network_address
    return None if address is None else str(address)


def is_known(request: HttpRequest) -> bool:
    """Whether the address is the client's, as far as can be told."""
    return UNKNOWN not in request.META and counted_address(request) is not None


def _last_entry(header: str) -> str:
    entry = header.rpartition(",")[2].strip()
    if settings.CLIENT_ADDRESS_HEADER != "Forwarded":
        return entry
    pairs = (pair.partition("=") for pair in entry.split(";"))
    said = [value.strip() for name, _, value in pairs if name.strip().lower() == "for"]
    return said[-1] if said else ""


def _stand_in(text: str) -> IPv6Address:
    """An address for a text: in fd00::/8, which no client comes from, with a network of its own."""
    digest = hashlib.sha256(text.encode(errors="replace")).digest()
    return IPv6Address(b"\xfd" + digest[:7] + bytes(8))

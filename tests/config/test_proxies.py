"""Whose address a request has behind a proxy."""

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from config.proxies import ClientAddress
from tests.config.test_settings import INSTALLED, evaluate

PROXY = "172.18.0.1"


def address_seen(**headers: str) -> str:
    seen: list[str] = []

    def view(request):
        seen.append(request.META["REMOTE_ADDR"])
        return HttpResponse()

    ClientAddress(view)(RequestFactory(headers=headers).get("/", REMOTE_ADDR=PROXY))
    return seen[0]


@pytest.mark.parametrize("address", ["203.0.113.7", "2001:db8::7"])
def test_the_client_has_the_address_that_the_proxy_saw(address):
    assert address_seen(**{"X-Forwarded-For": address}) == address


def test_an_invented_address_before_the_proxys_own_is_not_believed():
    assert address_seen(**{"X-Forwarded-For": "198.51.100.1, 203.0.113.7"}) == "203.0.113.7"


@pytest.mark.parametrize("sent", ["", "unknown", "203.0.113.7, ", "203.0.113.7:4711"])
def test_what_is_no_address_leaves_the_proxys(sent):
    assert address_seen(**{"X-Forwarded-For": sent}) == PROXY


@pytest.mark.parametrize(("behind", "first"), [("true", True), ("false", False)])
def test_the_header_is_read_behind_a_proxy_only(tmp_path, behind, first):
    done = evaluate(
        "settings.MIDDLEWARE[0] == 'config.proxies.ClientAddress'",
        FACTLOOP_VAR=str(tmp_path),
        **INSTALLED,
        BEHIND_PROXY=behind,
    )
    assert done.stdout.strip() == str(first), done.stderr

"""Whose address a request has behind a proxy, and what is counted of it."""

from typing import Any

import pytest
from axes.models import AccessAttempt
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from config.proxies import ClientAddress, NoRedirectForEver, counted_address, is_known
from tests import factories
from tests.config.test_settings import INSTALLED, evaluate

PROXY = "172.18.0.1"


def seen(**headers: str) -> HttpRequest:
    requests: list[HttpRequest] = []

    def view(request: HttpRequest) -> HttpResponse:
        requests.append(request)
        return HttpResponse()

    ClientAddress(view)(RequestFactory(headers=headers).get("/", REMOTE_ADDR=PROXY))
    return requests[0]


def address_seen(**headers: str) -> str:
    return str(seen(**headers).META["REMOTE_ADDR"])


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        (" 203.0.113.7 ", "203.0.113.7"),
        ("[203.0.113.7]:80", "203.0.113.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ('"[2001:db8::7]:4711"', "2001:db8::7"),
        ("fe80::7%eth0", "fe80::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
        ("64:ff9b::203.0.113.7", "203.0.113.7"),
        ("[64:ff9b::cb00:7107]:4711", "203.0.113.7"),
        ("64:ff9b:1::203.0.113.7", "64:ff9b:1::cb00:7107"),
    ],
)
@pytest.mark.parametrize("before", ["", "198.51.100.1, ", "198.51.100.1:80,", "unknown, "])
def test_the_client_has_the_address_that_the_proxy_wrote_last(
    written: str, address: str, before: str
) -> None:
    request = seen(**{"X-Forwarded-For": before + written})
    assert request.META["REMOTE_ADDR"] == address
    assert is_known(request)


@pytest.mark.parametrize(
    ("header", "written"),
    [
        ("X-Real-IP", "203.0.113.7:4711"),
        ("Forwarded", "for=203.0.113.7;proto=https;by=10.0.0.1"),
        ("Forwarded", 'for="[2001:db8::1]", proto=https;For="203.0.113.7:4711"'),
    ],
)
def test_the_header_that_is_named_is_read_and_no_other(
    settings: Any, header: str, written: str
) -> None:
    settings.CLIENT_ADDRESS_HEADER = header
    invented = {"X-Forwarded-For": "198.51.100.1", "X-Real-Ip": "198.51.100.2"}
    assert address_seen(**{**invented, header.title(): written}) == "203.0.113.7"


@pytest.mark.parametrize("written", ["unknown", "_hidden", "203.0.113.7:x", "a.example", "1.2.3"])
def test_what_is_no_address_tells_clients_apart_all_the_same(written: str) -> None:
    one, other = (seen(**{"X-Forwarded-For": name}) for name in (written, written + "0"))
    assert counted_address(one) != counted_address(other)
    assert counted_address(one) not in (None, PROXY)
    assert counted_address(one) == counted_address(seen(**{"X-Forwarded-For": written}))


@pytest.mark.parametrize("headers", [{}, {"X-Forwarded-For": ""}, {"X-Forwarded-For": "1.2.3.4, "}])
def test_a_proxy_that_says_nothing_leaves_the_address_unknown(headers: dict[str, str]) -> None:
    request = seen(**headers)
    assert (request.META["REMOTE_ADDR"], is_known(request)) == (PROXY, False)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::"),
        ("2001:db8:1:3::", "2001:db8:1:3::"),
        ("64:ff9b::203.0.113.7", "203.0.113.7"),
        ("", None),
    ],
)
def test_of_ipv6_the_network_is_counted(address: str, counted: str | None) -> None:
    assert counted_address(RequestFactory().get("/", REMOTE_ADDR=address)) == counted


def log_in(name: str, password: str, **about: Any) -> int:
    sent = {"username": name, "password": password}
    return Client(**about).post(reverse("login"), sent).status_code


@pytest.mark.django_db
def test_somebody_with_a_network_of_ipv6_has_the_guesses_of_one_address(settings: Any) -> None:
    settings.AXES_FAILURE_LIMIT = 3
    name = factories.make_user().username
    tried = [log_in(name, "wrong", REMOTE_ADDR=f"2001:db8:1:2::{n:x}") for n in range(5)]
    assert tried == [200, 200, 429, 429, 429]
    assert log_in(name, factories.PASSWORD, REMOTE_ADDR="2001:db8:1:3::1") == 302
    assert AccessAttempt.objects.filter(ip_address="2001:db8:1:2::").exists()


@pytest.fixture
def behind_proxy(settings: Any) -> None:
    settings.MIDDLEWARE = ["config.proxies.ClientAddress", *settings.MIDDLEWARE]
    settings.AXES_FAILURE_LIMIT = 3
    settings.LOGIN_FAILURES_OF_A_NAME = settings.LOGIN_FAILURES_OF_AN_ADDRESS = 6


@pytest.mark.django_db
@pytest.mark.usefixtures("behind_proxy")
@pytest.mark.parametrize(
    ("stranger", "owner"),
    [
        ("203.0.113.7:4711", "203.0.113.8:4711"),
        ("[2001:db8:1::1]:80", "[2001:db8:2::1]:80"),
        ("_stranger", "_owner"),
        ("", ""),
    ],
)
def test_wrong_passwords_of_a_stranger_lock_out_no_owner(stranger: str, owner: str) -> None:
    name, others = factories.make_user().username, factories.make_user().username
    assert log_in(name, factories.PASSWORD, headers={"X-Forwarded-For": owner}) == 302
    for _ in range(4):
        log_in(name, "wrong", headers={"X-Forwarded-For": stranger})
        log_in("somebody", "wrong", headers={"X-Forwarded-For": stranger})
    assert log_in(name, factories.PASSWORD, headers={"X-Forwarded-For": owner}) == 302
    assert log_in(others, factories.PASSWORD, headers={"X-Forwarded-For": owner}) == 302


@pytest.mark.django_db
@pytest.mark.usefixtures("behind_proxy")
def test_guesses_at_a_name_end_though_no_address_is_known() -> None:
    name = factories.make_user().username
    assert [log_in(name, "wrong") for _ in range(8)] == [200] * 5 + [429] * 3


@pytest.mark.parametrize(("behind", "first"), [("true", True), ("false", False)])
def test_the_header_is_read_behind_a_proxy_only(tmp_path, behind, first):
    done = evaluate(
        "settings.MIDDLEWARE[0] == 'config.proxies.ClientAddress'",
        FACTLOOP_VAR=str(tmp_path),
        **INSTALLED,
        BEHIND_PROXY=behind,
    )
    assert done.stdout.strip() == str(first), done.stderr


def test_a_header_that_no_proxy_uses_is_refused(tmp_path):
    done = evaluate("1", FACTLOOP_VAR=str(tmp_path), **INSTALLED, CLIENT_ADDRESS_HEADER="X-Client")
    assert "CLIENT_ADDRESS_HEADER must be one of" in done.stderr


@pytest.mark.parametrize(
    ("proto", "mode", "host", "status"),
    [
        ("http", "navigate", "labels.example.org", 400),
        ("http", "navigate", "labels.example.org:8443", 400),
        ("http", "", "labels.example.org", 200),  # a first visit by http: redirected
        ("", "navigate", "labels.example.org", 200),
        ("https", "navigate", "labels.example.org", 200),
        ("http", "navigate", "localhost:8000", 200),  # where browsers trust http
    ],
)
def test_what_came_by_https_is_not_sent_there_for_ever(
    settings: Any, proto: str, mode: str, host: str, status: int
) -> None:
    settings.SECURE_SSL_REDIRECT, settings.ALLOWED_HOSTS = True, ["*"]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    headers = {"X-Forwarded-Proto": proto, "Sec-Fetch-Mode": mode, "Host": host}
    request = RequestFactory(headers={k: v for k, v in headers.items() if v}).get("/")
    answer = NoRedirectForEver(lambda _: HttpResponse())(request)
    assert answer.status_code == status
    if status == 400:
        assert "X-Forwarded-Proto" in answer.content.decode()

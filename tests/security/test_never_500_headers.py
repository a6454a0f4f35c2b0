"""What stands in a header beside a request: no charset and no bytes are an error of the server."""

from __future__ import annotations

import io
from itertools import product
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from config.request_validation import Request
from config.wsgi import application
from tests.security.test_never_500_corpus import asking, read
from tests.security.world import ROUTES, make_world

CHARSETS = ["base64", "undefined", "idna", "rot13", "utf-16", "zlib", "punycode", "no-such-one"]
METHODS = ["get", "post", "put", "delete"]
HEADERS = ["Accept-Language", "Cookie", "X-Person", "Origin", "Referer", "Accept", "HX-Current-URL"]
BYTES = {
    "NUL": "a=\0",
    "half a character": b"csrftoken=\xed\xa0\x80".decode("latin-1"),
    "100 kB": "a" * 100_000,
    "no address": "http://[",
    "a charset that reads nothing": "text/html; a*=undefined''%61",
}
"""As a server hands them on: each byte a character."""
PARTS = 4


@pytest.fixture(autouse=True)
def as_the_site_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's client makes requests of Django's own class, the site of ours."""
    monkeypatch.setattr("django.test.client.WSGIRequest", Request)


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.django_db
def test_no_charset_of_a_body_is_an_error_of_the_server(part: int) -> None:
    """Each route gets each of them, by some method, with a query or without."""
    world = make_world()
    client, errors = asking(world)[False], []
    ways = list(product(METHODS, ("", "?a=1")))
    assert len(ways) == len(CHARSETS)
    for number, route in list(enumerate(ROUTES.values()))[part::PARTS]:
        for place, (method, query) in enumerate(ways):
            charset = CHARSETS[(number + place) % len(CHARSETS)]
            form = ["text/plain", "application/json", "multipart/form-data; boundary=b"][place % 3]
            with transaction.atomic():
                answer = client.generic(
                    method.upper(),
                    world.address(route) + query,
                    b"--b--\r\n",
                    content_type=f"{form}; charset={charset}",
                )
                read(answer)
                if answer.status_code >= 500:
                    errors.append((route.name, method, query, form, charset))
                transaction.set_rollback(True)
    assert errors == []


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.django_db
def test_no_bytes_of_a_header_are_an_error_of_the_server(part: int) -> None:
    world = make_world()
    client, errors = asking(world)[False], []
    for number, route in list(enumerate(ROUTES.values()))[part::PARTS]:
        for place, header in enumerate(HEADERS):
            said = list(BYTES)[(number + place) % len(BYTES)]
            # Over a cookie of one's own, which the test's client joins to the one that logs in.
            environ = {f"HTTP_{header.upper().replace('-', '_')}": BYTES[said]}
            with transaction.atomic():
                answer = client.get(f"{world.address(route)}?a=1", **environ)
                read(answer)
                if answer.status_code >= 500:
                    errors.append((route.name, header, said))
                transaction.set_rollback(True)
    assert errors == []


@pytest.mark.parametrize("said", BYTES)
@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.django_db
def test_nor_are_those_of_a_stranger_at_the_log_in(header: str, said: str) -> None:
    client = Client(raise_request_exception=False)
    environ = {f"HTTP_{header.upper().replace('-', '_')}": BYTES[said]}
    sent = {"username": "a", "password": "b", "next": "/"}
    assert client.post("/login/?a=1", sent, **environ).status_code < 500


@pytest.mark.parametrize("form", ["application/x-www-form-urlencoded", "multipart/form-data"])
@pytest.mark.parametrize("charset", ["base64", "idna", "utf-16", "iso-8859-1", "undefined"])
def test_a_form_in_another_charset_is_refused_and_not_misread(form: str, charset: str) -> None:
    client = Client(raise_request_exception=False)
    kind = f"{form}; boundary=b; charset={charset}"
    assert client.generic("POST", "/login/?a=1", b"--b--", content_type=kind).status_code == 400


@pytest.mark.parametrize(
    "kind",
    [
        *(
            f"text/plain; {name}*={charset}''%61"
            for name in ("charset", "a")
            for charset in ("undefined", "idna", "no-such-one", "\0")
        ),
        *("text/plain; charset=\0", "text/plain" + "; a" * 30_000, ";;;", "\xff; charset=\xff"),
    ],
)
@pytest.mark.django_db
def test_a_content_type_that_cannot_be_read_is_answered(kind: str) -> None:
    """By the site as gunicorn has it: Django reads this header before it catches anything."""
    body = b"a=1"
    environ: dict[str, Any] = {
        **{"REQUEST_METHOD": "POST", "PATH_INFO": "/login/", "QUERY_STRING": "a=1"},
        **{"SERVER_NAME": "testserver", "SERVER_PORT": "80", "wsgi.url_scheme": "http"},
        **{"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body)), "REMOTE_ADDR": "127.0.0.1"},
        "wsgi.input": io.BytesIO(body),
    }
    statuses: list[str] = []
    answer = application(environ, lambda status, *_: statuses.append(status))
    answer.close()
    assert statuses[0][0] == "4"

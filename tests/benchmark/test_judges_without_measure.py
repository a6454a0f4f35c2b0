"""Judges that send too much, too slowly, or numbers that are none: bounded, and said in words."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from benchmark.judging import endpoints
from benchmark.protocols.protocol import Item, Outcome, Reading
from tests.benchmark.fake_judge import Reply, fake_judge


class Ratings:
    """The least of a protocol: a question asked, a rating read."""

    def messages(self, item: Item) -> list[dict[str, str]]:
        return [{"role": "user", "content": item.answer}]

    def read(self, item: Item, text: str, *, mode: Any) -> Reading:
        return Reading(rating=5)


def ask(url: str, **patience: Any) -> Outcome:
    endpoint = endpoints.Endpoint(
        base_url=url,
        model="judge",
        **{"attempts": 1, "timeout_seconds": 5, "first_delay_seconds": 0.001, **patience},
    )
    items = [Item(id=1, question={}, answer="a", order="")]
    protocol: Any = Ratings()
    [(_, outcome)] = endpoints.endpoint_verdicts(endpoint, items, protocol=protocol)
    return outcome


def nested(layers: int) -> bytes:
    packed = gzip.compress(bytes(1 << 28))
    for _ in range(layers - 1):
        packed = gzip.compress(packed)
    return packed


@pytest.mark.parametrize(
    ("layers", "encoding", "said"),
    [(1, "gzip", "more than 1 MiB"), (2, "gzip, gzip", "nobody asked"), (1, "br", "nobody asked")],
)
def test_a_packed_reply_takes_no_more_memory_than_a_reply_may(
    layers: int, encoding: str, said: str
) -> None:
    body = nested(layers)
    with fake_judge(lambda *_: Reply(body=body, headers={"Content-Encoding": encoding})) as judge:
        tracemalloc.start()
        outcome = ask(judge.url)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert outcome.state == "failed" and said in outcome.text
    assert peak < 16 * 2**20


@pytest.mark.parametrize(
    "body", [gzip.compress(Reply("Rating: 5").content()) + bytes(9 << 20), b"\0" * (9 << 20)]
)
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_what_follows_the_end_of_a_reply_is_counted_too(body: bytes, encoding: str) -> None:
    with fake_judge(lambda *_: Reply(body=body, headers={"Content-Encoding": encoding})) as judge:
        outcome = ask(judge.url)
    assert outcome.state == "failed"
    assert "more than 1 MiB" in outcome.text or "packed badly" in outcome.text


def test_a_reply_that_is_packed_once_is_read() -> None:
    body = gzip.compress(Reply("Rating: 5").content())
    with fake_judge(lambda *_: Reply(body=body, headers={"Content-Encoding": "gzip"})) as judge:
        assert ask(judge.url).rating == 5


@contextmanager
def dripping(first: bytes) -> Iterator[str]:
    """A server that goes on sending one byte at a time until the client leaves."""
    listening = socket.create_server(("127.0.0.1", 0))
    left = threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(1 << 16)
            try:
                connection.sendall(first)
                while not left.wait(0.02):
                    connection.sendall(b"x")
            except OSError:
                pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
    finally:
        left.set()
        thread.join()
        listening.close()


@pytest.mark.parametrize(
    "first", [b"HTTP/1.1 200 OK\r\nX-", b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n{"]
)
def test_the_whole_reply_has_a_limit_of_time(first: bytes) -> None:
    with dripping(first) as url:
        outcome = ask(url, timeout_seconds=0.3)
    assert outcome.state == "failed" and "no reply within 0.3 s" in outcome.text


COUNTS = ["1e999", "-5", "9" * 5000, "NaN", "true", '"many"', "[]", "null"]


@pytest.mark.parametrize(
    "usage",
    [*(f'{{"total_tokens": {count}}}' for count in COUNTS), "[1, 2]", '"free"', "7", "true"],
)
def test_a_count_that_is_none_costs_no_verdict(usage: str) -> None:
    choice = {"message": {"content": "Rating: 5"}, "finish_reason": "stop"}
    body = f'{{"choices": [{json.dumps(choice)}], "usage": {usage}}}'.encode()
    with fake_judge(lambda *_: Reply(body=body)) as judge:
        outcome = ask(judge.url)
    assert (outcome.state, outcome.rating, outcome.tokens) == ("parsed", 5, 0)


@pytest.mark.parametrize(
    "wait", ["1e999", "9" * 400, "-1", "Fri, 31 Dec 9999 23:59:59 GMT", "soon"]
)
def test_an_absurd_time_to_wait_is_not_waited_for(wait: str) -> None:
    replies = [Reply(status=429, headers={"Retry-After": wait}), Reply("Rating: 5")]
    with fake_judge(lambda _, before: replies[min(before, 1)]) as judge:
        assert ask(judge.url, attempts=2, longest_delay_seconds=0.01).rating == 5


def test_a_reply_nested_without_end_is_no_completion() -> None:
    with fake_judge(lambda *_: Reply(body=b'{"choices":' + b"[" * 50_000)) as judge:
        outcome = ask(judge.url)
    assert outcome.state == "failed" and "no chat completion" in outcome.text

"""Texts, numbers and JSON of others: what cannot be kept is refused in words, or made fit."""

from __future__ import annotations

import json

import pytest
from django.db import connection

from config import sanitising
from config.sanitising import (
    NotJson,
    find_unstorable,
    is_storable,
    parse_json,
    storable,
    storable_json,
    whole_number,
)

UNSTORABLE = ["a\0b", "\ud800", "half \udfff", b"caf\xe9".decode("utf-8", "surrogateescape")]


@pytest.mark.django_db
@pytest.mark.parametrize("text", [*UNSTORABLE, "plain", "\U0001f600\u2028\x1f\ufffe", ""])
def test_what_is_made_storable_is_stored_and_keeps_its_length(text):
    made = storable(text)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT %s::text, %s::jsonb", [made, json.dumps(storable_json({text: text}))]
        )
        [stored, _] = cursor.fetchone()
    assert stored == made and len(made) == len(text)
    assert is_storable(made) and (made == text) == is_storable(text)


@pytest.mark.parametrize("text", UNSTORABLE)
def test_the_place_of_what_cannot_be_stored_is_named(text):
    assert find_unstorable({"spans": [{"kind": "x"}, {"kind": text}]}) == "spans[1].kind"
    assert find_unstorable({"a": {text: 1}}) == f"a.{storable(text)}"
    assert find_unstorable(text) == ""
    assert find_unstorable({"a": ["b", 1, None, {"c": "d"}]}) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON (it ends too early at column 2)"),
        (b"\xff\xfe", "is not UTF-8 text"),
        ("[NaN]", "is not JSON (NaN is not a number there)"),
        ("[-Infinity]", "is not JSON (-Infinity is not a number there)"),
        ("[1e400]", "holds a number that is too large (1e400)"),
        ("[" + "9" * 300 + "]", "holds a number that is too large (9999999999… of 300 digits)"),
        ("[" + "9" * 5000 + "]", "holds a number that is too large (9999999999… of 5000 digits)"),
        ("[18446744073709551616]", "holds a number that is too large (18446744073709551616)"),
        ("[" * 50_000 + "]" * 50_000, "is nested more than 100 levels deep"),
        ('{"a":' * 50_000 + "1" + "}" * 50_000, "is nested more than 100 levels deep"),
        ("[" * 102 + "]" * 102, "is nested more than 100 levels deep"),
    ],
)
def test_json_that_nobody_else_could_read_is_refused_in_words(text, reason):
    with pytest.raises(NotJson) as refused:
        parse_json(text)
    assert str(refused.value) == reason


@pytest.mark.parametrize(
    "value",
    [
        "[" * 101 + "]" * 101,
        '{"a": [1, -2.5e3, 18446744073709551615, -9223372036854775808]}',
        '"["',
    ],
)
def test_json_of_the_standard_is_read(value):
    assert parse_json(value) == json.loads(value)
    assert parse_json(b"\xef\xbb\xbf" + value.encode()) == json.loads(value)


def test_the_line_of_a_fault_is_known():
    with pytest.raises(NotJson) as refused:
        parse_json("[\n1,\n2 3]")
    assert refused.value.line == 3


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (12, 12),
        (12.0, 12),
        ("12", 12),
        (0, 0),
        (2**31 - 1, 2**31 - 1),
        *((other, None) for other in (-1, 2**31, 10**300, 10**400, 1e999, float("nan"), 1.5)),
        *((other, None) for other in ("9" * 10_000, "1e999", "many", "", None, True, [], {})),
    ],
)
def test_a_count_of_others_is_a_sane_number_or_none(value, number):
    assert whole_number(value) == number


def test_json_of_machines_is_kept_as_well_as_can_be():
    deep: object = "x"
    for _ in range(50_000):
        deep = [deep]
    said = {"a\0": float("nan"), "b": [1e999, 10**300, "\ud800", True, (1,)], "c": deep}
    kept = storable_json(said)
    assert kept["a\ufffd"] is None and kept["b"] == [None, None, "\ufffd", True, [1]]
    assert parse_json(json.dumps(kept)) == kept


def test_a_reason_is_short_and_storable():
    assert sanitising.reason(ValueError(" a\0b ")) == "a\ufffdb"
    assert len(sanitising.reason("x" * 10_000)) == sanitising.LONGEST_REASON

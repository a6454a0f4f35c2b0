"""Marks of several people, laid over one text."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation.marks import Segment, segments, words

TEXT = "a red 🍎 car"


def span(start: int, end: int, kind: str = "object", response: int = 1) -> dict[str, Any]:
    return {"response": response, "start": start, "end": end, "kind": kind}


def test_text_without_marks_is_one_segment() -> None:
    assert segments(TEXT, 1, []) == [Segment(TEXT)]
    assert segments("", 1, []) == []


def test_marks_are_counted_in_code_points() -> None:
    found = segments(TEXT, 1, [span(6, 7)])
    assert [one.text for one in found] == ["a red ", "🍎", " car"]
    assert found[1].label == "object"


def test_overlapping_marks_are_cut_where_they_begin_and_end() -> None:
    found = segments("abcdef", 1, [span(0, 4), span(2, 6, "number"), span(2, 4, "number")])
    assert [(one.text, one.label, one.marks) for one in found] == [
        ("ab", "object", 1),
        ("cd", "number (2), object", 3),
        ("ef", "number", 1),
    ]


def test_marks_of_the_other_response_are_passed_over() -> None:
    assert segments("abc", 2, [span(0, 1)]) == [Segment("abc")]


def test_words_of_a_mark() -> None:
    assert words(TEXT, span(2, 7)) == "red 🍎"


# How long it takes says how busy the machine is.
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.text("ab 🍎", max_size=20),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=6),
)
def test_segments_are_the_text_and_cover_each_mark(
    text: str, ranges: list[tuple[int, int]]
) -> None:
    spans = [span(a, b) for a, b in ranges if a < b <= len(text)]
    found = segments(text, 1, spans)
    assert "".join(one.text for one in found) == text
    marked = sum(len(one.text) * one.marks for one in found)
    assert marked == sum(one["end"] - one["start"] for one in spans)

"""Answers laid out as Markdown keep every character, and marks of several people lie over them."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from annotation import markup
from annotation.marks import agreed, words

TEXT = "a red 🍎 car"
TAGS = {"span", "strong", "em", "s", "code", "mark"}


class Read(HTMLParser):
    """What a browser makes of it: the text, what is shown of it, and what is marked how."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[tuple[str, dict[str, str | None]]] = []
        self.text = self.shown = ""
        self.marks: list[tuple[str, str | None, bool]] = []
        self.styled: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert not self.stack

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        self.stack.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        classes = " ".join(one.get("class") or "" for _, one in self.stack)
        if "md-source" not in classes:
            self.shown += data
        for tag, attributes in self.stack:
            if tag == "mark":
                said = "data-more" not in attributes
                self.marks.append((data, attributes["data-kind"] if said else "", said))
            elif tag != "span" and "md-source" not in classes:
                self.styled.append((tag, data))


def span(start: int, end: int, kind: str = "object") -> dict[str, Any]:
    return {"response": 1, "start": start, "end": end, "kind": kind}


@pytest.mark.parametrize(
    "text", [TEXT, "", "3 * 4 * 5 = 60", "snake_case_name", "2 < 5 & 6 > 5", "a*b", "[1] and [2]"]
)
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert markup.layout(text).is_plain or text == ""
    read = Read(markup.html(text))
    assert (read.text, read.shown, read.styled) == (text, text, [])


@pytest.mark.parametrize(
    ("text", "shown", "styled"),
    [
        ("A **red** car", "A red car", [("strong", "red")]),
        ("A *red* car", "A red car", [("em", "red")]),
        ("__A__ _red_ car", "A red car", [("strong", "A"), ("em", "red")]),
        ("***red***", "red", [("em", "red"), ("strong", "red")]),
        (
            "**a *b* c**",
            "a b c",
            [("strong", "a "), ("em", "b"), ("strong", "b"), ("strong", " c")],
        ),
        ("use `a*b*c`", "use a*b*c", [("code", "a*b*c")]),
        ("~~no~~ \\*yes\\*", "no *yes*", [("s", "no")]),
        ("see [the page](https://x.example/?a=b)", "see the page", []),
        ("![a cat](https://x.example/cat.png)", "!a cat", []),
        ("# Title\ntext", "Title\ntext", []),
        ("- one\n- two", "one\ntwo", []),
        ("> said", "said", []),
        ("**没有**猫", "没有猫", [("strong", "没有")]),
        ("```py\nx = **1**\n```\n", "x = **1**\n", []),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "| a | b |\n| 1 | 2 |", []),
        ("unclosed **bold", "unclosed **bold", []),
    ],
)
def test_markdown_is_laid_out_and_kept(
    text: str, shown: str, styled: list[tuple[str, str]]
) -> None:
    read = Read(markup.html(text))
    assert read.text == text
    assert read.shown == shown
    assert sorted(read.styled) == sorted(styled)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script> **<img src=x onerror=alert(1)>**",
        "[x](javascript:alert(1))",
        '**"><b onmouseover=alert(1)>**',
        "`</span><script>`",
    ],
)
def test_no_markup_of_an_answer_runs(text: str) -> None:
    assert Read(markup.html(text)).text == text  # which asserts that no other tag is there
    assert "href" not in markup.html(text.replace("href", ""))


def test_marks_are_counted_in_code_points() -> None:
    assert Read(markup.html(TEXT, [span(6, 7)])).marks == [("🍎", "object", True)]


def test_overlapping_marks_are_cut_where_they_begin_and_end() -> None:
    marks = [span(0, 4), span(2, 6, "number"), span(2, 4, "number")]
    assert Read(markup.html("abcdef", marks)).marks == [
        ("ab", "", False),
        ("cd", "number (2), object", True),
        ("ef", "number", True),
    ]


def test_a_mark_lies_over_formatting_and_says_its_kind_once() -> None:
    read = Read(markup.html("A **red** car", [span(0, 13, "attribute")]))
    assert "".join(text for text, _, _ in read.marks) == "A **red** car"
    assert [kind for _, kind, said in read.marks if said] == ["attribute"]


def test_words_of_a_mark() -> None:
    assert words(TEXT, span(2, 7)) == "red 🍎"


# How long it takes says how busy the machine is.
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.text("a *_`#-|>[]()\\~1.\n\r<&🍎", max_size=40),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=4),
)
def test_any_text_stays_whole_under_any_marks(text: str, ranges: list[tuple[int, int]]) -> None:
    marks = [span(a, b) for a, b in ranges if a < b <= len(text)]
    read = Read(markup.html(text, marks))
    assert read.text == text
    covered = {place for one in marks for place in range(one["start"], one["end"])}
    assert sum(len(piece) for piece, _, _ in read.marks) == len(covered)


def marked(start: int, end: int, kind: str = "object", response: int = 1) -> dict[str, Any]:
    return {"response": response, "start": start, "end": end, "kind": kind}


def mark(start: int, end: int, kind: str = "object") -> dict[str, Any]:
    return {"start": start, "end": end, "kind": kind}


@pytest.mark.parametrize(
    ("people", "expected"),
    [
        ([], []),
        ([[marked(2, 5)]], [mark(2, 5)]),
        # one of two is half of them, one of three is not
        ([[marked(2, 5)], [marked(8, 9)]], [mark(2, 5), mark(8, 9)]),
        ([[marked(2, 5)], [marked(2, 5)], [marked(8, 9)]], [mark(2, 5)]),
        # where two of three agree, and no further
        ([[marked(0, 6)], [marked(4, 9)], [marked(20, 21)]], [mark(4, 6)]),
        # one person's two marks of a word are one voice
        ([[marked(0, 4), marked(2, 6)], [marked(9, 10)], [marked(9, 10)]], [mark(9, 10)]),
        # who marked the other response only has looked at this one too
        ([[marked(0, 4)], [marked(0, 4, response=2)], [marked(1, 2, response=2)]], []),
        # the kind named most, of equally many the first
        (
            [[marked(0, 4, "number")], [marked(0, 4, "number")], [marked(0, 4)]],
            [mark(0, 4, "number")],
        ),
        ([[marked(0, 4, "text")], [marked(0, 4, "action")]], [mark(0, 4, "action")]),
        ([[marked(0, 4, "text")], [marked(4, 8, "text")]], [mark(0, 8, "text")]),
    ],
)
def test_marks_that_half_of_the_markers_made(
    people: list[list[dict[str, Any]]], expected: list[dict[str, Any]]
) -> None:
    assert agreed(1, people) == expected

"""Markdown of answers, laid out for reading with every character of the source still in place.

Nothing is taken out or put in: what is syntax is wrapped so that a style sheet hides it, or shows
it when somebody wants the source. So an offset into the page's text is an offset into the answer,
and marks need no translation. No link leads anywhere, no image is loaded, no tag of the answer's
own is believed.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from django.utils.html import escape

from annotation.marks import kind_name

SOURCE = "source"
LONGEST_ADDRESS = 2000
_STYLES = {"*": "em", "_": "em", "**": "strong", "__": "strong", "~~": "s"}
_TAGS = {"strong": "strong", "em": "em", "s": "s", "code": "code"}
_CONTROLS = {
    **{"\u202a": "LRE", "\u202b": "RLE", "\u202c": "PDF", "\u202d": "LRO", "\u202e": "RLO"},
    **{"\u2066": "LRI", "\u2067": "RLI", "\u2068": "FSI", "\u2069": "PDI"},
}
"""Embeddings, overrides and isolates. Marks of direction turn nothing but signs, and stay."""
_CONTROL = re.compile(f"[{''.join(_CONTROLS)}]")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_INLINE = re.compile(r"\\[!-/:-@\[-`{-~]|`+|\*{1,3}|_{1,2}|~~|\[|\]\(")
_PREFIXES = (
    ("heading", re.compile(r" {0,3}#{1,6}[ \t]+(?=\S)")),
    ("bullet", re.compile(r"[ \t]{0,12}[-*+][ \t]+(?=\S)")),
    ("quote", re.compile(r" {0,3}>[ \t]?")),
)
_NUMBER = re.compile(r"[ \t]{0,12}\d{1,9}[.)][ \t]")
_RULE = re.compile(r" {0,3}(?:-{3,80}|\*{3,80}|_{3,80})[ \t\r\n]*\Z")
_FENCE = re.compile(r" {0,3}(?:```|~~~)")
_BETWEEN_ROWS = frozenset("|:- \t\r\n")


@dataclass(frozen=True)
class Span:
    start: int
    end: int
    style: str


@dataclass(frozen=True)
class Line:
    start: int
    end: int
    kind: str
    """ "" for a line that is nothing but text."""


@dataclass(frozen=True)
class Layout:
    lines: tuple[Line, ...]
    spans: tuple[Span, ...]

    @property
    def is_plain(self) -> bool:
        return not self.spans and not any(line.kind for line in self.lines)


@lru_cache(maxsize=256)
def layout(text: str) -> Layout:
    """What is Markdown in ``text``, in time linear in its length."""
    bounds = [found.span() for found in _LINE.finditer(text)]
    lines: list[Line] = []
    spans: list[Span] = []
    fenced = table = False
    for place, (start, end) in enumerate(bounds):
        line = text[start:end]
        if _FENCE.match(line):
            fenced = not fenced
            kind = "hidden"
        elif fenced:
            kind = "code"
        elif _RULE.match(line):
            kind = "rule"
        elif _is_row(line) and (table or _begins_table(text, bounds[place + 1 : place + 2])):
            kind = "hidden" if _BETWEEN_ROWS.issuperset(line) else "row"
        else:
            kind = _of_one_line(text, start, end, spans)
        table = _is_row(line) and kind in ("row", "hidden")
        if kind == "row":
            spans += _inline(text, start, end)
        elif kind in ("hidden", "rule"):
            spans.append(Span(start, end, SOURCE))
        lines.append(Line(start, end, kind))
    return Layout(tuple(lines), tuple(spans))


def html(text: str, marks: Iterable[dict[str, Any]] = ()) -> str:
    """Safe HTML whose text is ``text``, with ``marks`` ({"start", "end", "kind"}) in it."""
    found = layout(text)
    marked = [Span(mark["start"], mark["end"], mark["kind"]) for mark in marks]
    if found.is_plain:
        return "".join(_pieces(text, 0, len(text), (), marked))
    edges = [line.end for line in found.lines]
    by_line = [_cut(found.spans, edges), _cut(marked, edges)]
    parts = []
    for place, line in enumerate(found.lines):
        inside = "".join(_pieces(text, line.start, line.end, by_line[0][place], by_line[1][place]))
        kind = f" md-{line.kind}" if line.kind else ""
        parts.append(f'<span class="md-line{kind}">{inside}</span>')
    return "".join(parts)


def _cut(spans: Iterable[Span], edges: list[int]) -> dict[int, list[Span]]:
    """By line: what of the spans lies in it, whole; most lie in one."""
    found: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        place = bisect_right(edges, span.start)
        while place < len(edges) and (place == 0 or edges[place - 1] < span.end):
            found[place].append(span)
            place += 1
    return found


def _pieces(
    text: str, start: int, end: int, styles: Iterable[Span], marks: Iterable[Span]
) -> Iterator[str]:
    """The stretch from ``start`` to ``end``, cut wherever a style or a mark begins or ends."""
    begins: dict[int, list[tuple[bool, Span]]] = defaultdict(list)
    ends: dict[int, list[tuple[bool, Span]]] = defaultdict(list)
    for is_mark, span in [*((False, span) for span in styles), *((True, span) for span in marks)]:
        low, high = max(span.start, start), min(span.end, end)
        if low < high:
            begins[low].append((is_mark, span))
            ends[high].append((is_mark, span))
    # Counts, not lists of what covers a piece: whatever is opened within something else is many.
    styled: Counter[str] = Counter()
    marked: Counter[str] = Counter()
    edges = sorted({start, end, *begins, *ends})
    for low, high in pairwise(edges):
        for is_mark, span in ends[low]:
            _leave(marked if is_mark else styled, span.style)
        for is_mark, span in begins[low]:
            (marked if is_mark else styled)[span.style] += 1
        piece = _styled(text[low:high], styled)
        if marked:
            ended = any(is_mark and span.end == high for is_mark, span in ends[high])
            piece = _marked(piece, marked, ended=ended)
        yield piece


def _leave(counts: Counter[str], style: str) -> None:
    counts[style] -= 1
    if not counts[style]:
        del counts[style]


def with_controls(text: str) -> str:
    """Safe HTML of text alone, in which controls of direction are named and turn nothing round.

    Each stays where it is, in an element that keeps its effect to itself and that a style sheet
    names, so that no answer can be shown in another order than it has.
    """
    # A browser keeps a carriage return only when it is written as a reference.
    return _CONTROL.sub(_named_control, escape(text).replace("\r", "&#13;"))


def _named_control(found: re.Match[str]) -> str:
    name = _CONTROLS[found[0]]
    return f'<bdi class="bidi-control" data-name="{name}">{found[0]}</bdi>'


def _styled(text: str, styles: Container[str]) -> str:
    piece = with_controls(text)
    for style, tag in _TAGS.items():
        if style in styles:
            piece = f"<{tag}>{piece}</{tag}>"
    return f'<span class="md-source">{piece}</span>' if SOURCE in styles else piece


def _marked(piece: str, kinds: Counter[str], *, ended: bool) -> str:
    """A mark says what it is at its end alone, in however many pieces it lies."""
    named = [(kind_name(kind), n) for kind, n in sorted(kinds.items())]
    label = ", ".join(f"{name} ({n})" if n > 1 else name for name, n in named)
    more = "" if ended else " data-more"
    return f'<mark data-kind="{escape(label)}" data-marks="{kinds.total()}"{more}>{piece}</mark>'


# --- Lines ---------------------------------------------------------------------------------------


def _of_one_line(text: str, start: int, end: int, spans: list[Span]) -> str:
    """The kind of a line that stands for itself; adds its spans."""
    for kind, pattern in _PREFIXES:
        found = pattern.match(text, start, end)
        if found:
            spans.append(Span(start, found.end(), SOURCE))
            spans += _inline(text, found.end(), end)
            if kind == "bullet" and text[start : start + 2].isspace():
                return "bullet md-deeper"
            return kind
    spans += _inline(text, start, end)
    return "number" if _NUMBER.match(text, start, end) else ""


def _is_row(line: str) -> bool:
    stripped = line.strip()
    return len(stripped) > 2 and stripped[0] == stripped[-1] == "|"


def _begins_table(text: str, following: list[tuple[int, int]]) -> bool:
    """Whether the next line is the one of dashes under the heads of a table."""
    line = text[slice(*following[0])] if following else ""
    return _is_row(line) and "-" in line and _BETWEEN_ROWS.issuperset(line)


# --- Within a line -------------------------------------------------------------------------------


def _inline(text: str, start: int, end: int) -> list[Span]:
    """Emphasis, code, links and escapes between two places."""
    tokens = list(_INLINE.finditer(text, start, end))
    ticks: dict[int, list[int]] = defaultdict(list)
    for place, token in enumerate(tokens):
        if token[0][0] == "`":
            ticks[len(token[0])].append(place)
    spans: list[Span] = []
    stack: list[tuple[str, int, int]] = []
    waiting: dict[str, int] = defaultdict(int)
    after_code = 0
    for place, token in enumerate(tokens):
        kind, (low, high) = token[0], token.span()
        if low < after_code:
            continue
        if kind[0] == "\\":
            spans.append(Span(low, low + 1, SOURCE))
        elif kind[0] == "`":
            later = ticks[len(kind)]
            closing = bisect_right(later, place)
            if closing < len(later):
                last = tokens[later[closing]]
                spans += _around(low, high, last.start(), last.end(), "code")
                after_code = last.end()
        elif kind == "[":
            stack.append((kind, low, high))
            waiting[kind] += 1
        elif kind == "](":
            closing = -1
            if waiting["["]:
                closing = text.find(")", high, min(end, high + LONGEST_ADDRESS))
            opened = _popped(stack, waiting, "[") if closing >= 0 else None
            if opened and opened[2] < low:
                spans += _around(opened[1], opened[2], low, closing + 1, "link")
                after_code = closing + 1
        elif _may_close(text, kind, low, high, start, end) and waiting[kind]:
            opened = _popped(stack, waiting, kind)
            if opened and opened[2] < low:
                for part in ("**", "*") if kind == "***" else (kind,):
                    spans += _around(opened[1], opened[2], low, high, _STYLES[part])
        elif _may_open(text, kind, low, high, start, end):
            stack.append((kind, low, high))
            waiting[kind] += 1
    return spans


def _around(a: int, b: int, c: int, d: int, style: str) -> list[Span]:
    return [Span(a, b, SOURCE), Span(b, c, style), Span(c, d, SOURCE)]


def _popped(
    stack: list[tuple[str, int, int]], waiting: dict[str, int], kind: str
) -> tuple[str, int, int] | None:
    """What opened ``kind`` last; what was opened since is not closed any more."""
    if not waiting[kind]:
        return None
    while True:
        top = stack.pop()
        waiting[top[0]] -= 1
        if top[0] == kind:
            return top


def _may_open(text: str, kind: str, low: int, high: int, start: int, end: int) -> bool:
    within_word = kind[0] == "_" and low > start and text[low - 1].isalnum()
    return high < end and not text[high].isspace() and not within_word


def _may_close(text: str, kind: str, low: int, high: int, start: int, end: int) -> bool:
    within_word = kind[0] == "_" and high < end and text[high].isalnum()
    return low > start and not text[low - 1].isspace() and not within_word

"""Scores to paste into a model card: Markdown, HTML and SVG, each with interval and judge.

A figure without its judge, its wording and the version of the questions cannot be compared with
anything, so none of the forms leaves these out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from django.template.loader import render_to_string

from benchmark.models import Evaluation
from benchmark.protocols.figure_display import Shown
from benchmark.statistics import INTERVALS
from benchmark.templatetags.benchmark_tags import counted, figure, interval, number

MOST_ROWS = 10
_MARKUP = re.compile(r"([\\`*_\[\]<>|~&])")
_ROW_HEIGHT, _TOP, _BOTTOM = 46, 80, 48
WIDTH = 720


@dataclass(frozen=True)
class Cell:
    """One figure of one model as it is written: "2.53" and "1.98 to 3.10"; ``of`` is "5 of 6", or
    "n = 183" for a figure of a part of the questions, "over 183 answers" for one of counts."""

    value: str
    interval: str
    of: str = ""

    @property
    def between(self) -> str:
        return ", ".join(filter(None, (self.of, self.interval)))


@dataclass(frozen=True)
class Row:
    """A model with its cells in the order of ``Summary.figures``; ``y`` is its line in the SVG."""

    model: str
    method: str
    cells: tuple[Cell, ...]
    y: int


@dataclass(frozen=True)
class Summary:
    """What all three forms say of evaluations of one group, best first."""

    figures: tuple[Shown, ...]
    rows: tuple[Row, ...]
    first: Evaluation
    address: str
    """Where the whole is to be read; empty for nowhere public."""

    @property
    def title(self) -> str:
        return str(self.first.question_set)

    @property
    def judge(self) -> str:
        judge = self.first.judge
        model = f" ({judge.model})" if judge.model and judge.model != judge.name else ""
        return f"judge {judge}{model}, wording {self.first.prompt_hash[:8]}"

    @property
    def questions(self) -> str:
        """Of how many, which version, and how intervals are made."""
        asked, total = self.first.summary["asked"], self.first.summary["total"]
        version = self.first.question_set.short_version
        return f"{asked} of {total} questions, data {version}; {INTERVALS}"

    @property
    def height(self) -> int:
        return _TOP + _ROW_HEIGHT * len(self.rows) + _BOTTOM

    @property
    def columns(self) -> list[tuple[int, Shown]]:
        """Where each figure's column ends in the SVG."""
        shown = self.figures[:3]
        return [(WIDTH - 24 - 132 * (len(shown) - 1 - n), one) for n, one in enumerate(shown)]


def summary_of(evaluations: Sequence[Evaluation], address: str = "") -> Summary:
    """Of complete evaluations of one group, in the given order; at most ten rows."""
    figures = evaluations[0].question_set.rules.figures
    rows = tuple(
        Row(
            model=evaluation.model_name,
            method=evaluation.method,
            cells=tuple(_cell(evaluation, shown) for shown in figures),
            y=_TOP + _ROW_HEIGHT * place,
        )
        for place, evaluation in enumerate(evaluations[:MOST_ROWS])
    )
    return Summary(figures=figures, rows=rows, first=evaluations[0], address=address)


def markdown(summary: Summary) -> str:
    """A table and a line under it."""
    head = ["Model", *(shown.heading for shown in summary.figures)]
    lines = [_line(head), _line(["---", *("---:" for _ in summary.figures)])]
    for row in summary.rows:
        cells = [f"{cell.value} ({cell.between})" for cell in row.cells]
        lines.append(_line([_plain(row.model), *cells]))
    origin = f"{_plain(summary.title)}, {_plain(summary.judge)}; {summary.questions}."
    link = f" [All of it]({summary.address})" if summary.address else ""
    return "\n".join([*lines, "", f"{origin}{link}", ""])


def html(summary: Summary) -> str:
    """The same table without any style, which model cards would strip."""
    return render_to_string("benchmark/summary.html", {"summary": summary})


def svg(summary: Summary) -> str:
    """A picture of ``WIDTH`` by ``summary.height`` units, readable on light and dark pages."""
    return render_to_string("benchmark/summary.svg", {"summary": summary, "width": WIDTH})


def _cell(evaluation: Evaluation, shown: Shown) -> Cell:
    found = evaluation.summary[shown.name] or {}
    asked = evaluation.summary["asked"]
    of = counted(found, shown, asked) or number(found, shown, asked)
    return Cell(figure(found.get("value"), shown), interval(found, shown), of)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    """Text that is only text in Markdown: a model's name may hold links and tables otherwise."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))

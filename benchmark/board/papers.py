"""One model across benchmarks as a table for a paper: LaTeX, Markdown, CSV and JSON.

A figure says its benchmark and version of the questions, how many of them were answered, the judge
and its wording, and its interval; without these it could not be compared with anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from annotation.exporting.formats import csv_line
from benchmark.models import Evaluation
from benchmark.protocols.figure_display import Shown
from benchmark.statistics import INTERVALS
from benchmark.templatetags.benchmark_tags import counted, figure, interval, whole_of

COLUMNS = (
    "model",
    "method",
    "benchmark",
    "version",
    "questions",
    "whole",
    "total",
    "judge",
    "judge_model",
    "wording",
    "temperature",
    "figure",
    "about",
    "unit",
    "value",
    "low",
    "high",
    "not_defined",
)
_TEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
_MARKUP = re.compile(r"([\\`*_\[\]<>|~&])")


def rows(evaluations: Iterable[Evaluation]) -> list[dict[str, Any]]:
    """One row per figure of complete evaluations, in the units that figures are stored in."""
    return [
        {
            "model": one.model_name,
            "method": one.method,
            "benchmark": str(one.question_set),
            "version": one.question_set.short_version,
            "questions": found.get("count", one.summary["asked"]),
            "whole": whole_of(found, shown, one.summary["asked"]),
            "total": one.summary["total"],
            "judge": one.judge.name,
            "judge_model": one.judge.model,
            "wording": one.prompt_hash[:8],
            "temperature": one.sampling.get("temperature"),
            "figure": shown.title,
            "about": shown.unit,
            "unit": shown.stored_in,
            **{end: found[end] for end in ("value", "low", "high")},
            "not_defined": found.get("undefined"),
        }
        for one in evaluations
        for shown in one.question_set.rules.figures
        if (found := one.summary.get(shown.name))
    ]


def tex(evaluations: Sequence[Evaluation]) -> str:
    """A tabular of headline and further figures, for booktabs; % stands escaped."""
    lines = [
        rf"% needs \usepackage{{booktabs}}; {INTERVALS}",
        r"\begin{tabular}{llllr}",
        r"\toprule",
        r"Benchmark & Judge & Questions & Figure & Value (95\,\% interval) \\",
        r"\midrule",
    ]
    lines += [f"{' & '.join(map(_tex, cells))} \\\\" for cells in _cells(evaluations)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def markdown(evaluations: Sequence[Evaluation]) -> str:
    """The same as a table of Markdown."""
    head = ["| Benchmark | Judge | Questions | Figure | Value (95 % interval) |"]
    lines = [f"| {' | '.join(map(_plain, cells))} |" for cells in _cells(evaluations)]
    return "\n".join([*head, "|---|---|---|---|---:|", *lines, ""])


def csv(evaluations: Sequence[Evaluation]) -> str:
    """One line per figure."""
    lines = [csv_line(COLUMNS)]
    lines += [csv_line(row[name] for name in COLUMNS) for row in rows(evaluations)]
    return b"".join(lines).decode()


def as_json(evaluations: Sequence[Evaluation]) -> str:
    return json.dumps({"figures": rows(evaluations)}, ensure_ascii=False, indent=1)


FORMS = {
    "tex": (tex, "application/x-tex; charset=utf-8"),
    "md": (markdown, "text/markdown; charset=utf-8"),
    "csv": (csv, "text/csv; charset=utf-8"),
    "json": (as_json, "application/json"),
}


def _cells(evaluations: Sequence[Evaluation]) -> list[list[str]]:
    return [
        [
            f"{one.question_set}, {one.question_set.short_version}",
            f"{one.judge}{f' ({one.judge.model})' if one.judge.model else ''}, "
            f"{one.prompt_hash[:8]}",
            _asked(one, found),
            shown.heading,
            _value(found, shown, one.summary["asked"]),
        ]
        for one in evaluations
        for shown in one.question_set.rules.figures
        if (found := one.summary.get(shown.name))
    ]


def _asked(evaluation: Evaluation, found: dict[str, Any]) -> str:
    """ "81 of 96"; of a figure that is of a part of them, "20 of the 81 asked"."""
    asked = evaluation.summary["asked"]
    if "count" in found:
        return f"{found['count']} of the {asked} asked"
    return f"{asked} of {evaluation.summary['total']}"


def _value(found: dict[str, Any], shown: Shown, asked: int) -> str:
    of = counted(found, shown, asked)
    between = ", ".join(filter(None, (of, interval(found, shown))))
    return f"{figure(found['value'], shown)} ({between})"


def _tex(text: str) -> str:
    return "".join(_TEX.get(sign, sign) for sign in text)


def _plain(text: str) -> str:
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))

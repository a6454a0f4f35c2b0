"""A report card for people: rows of its tables, its charts, and its section of a model card."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from benchmark.models import ReportCard
from benchmark.report_cards.figures import CONDITIONS, findings
from training.models import Checkpoint

GROUPS = {
    "by_margin": "By how clear the votes were",
    "by_decision": "By what decided",
    "by_length": "By which response is longer",
}
_AXIS = {"label": "accuracy", "unit": "share", "min": 0, "max": 1}


def card(report: ReportCard) -> dict[str, Any]:
    """What the page shows of it."""
    figures = report.figures
    conditions = _in_order(figures)
    return {
        "figures": figures,
        "findings": findings(figures),
        "conditions": [
            (CONDITIONS[name], found, figures["tests"].get(name))
            for name, found in conditions.items()
        ],
        "groups": [(title, figures[name]) for name, title in GROUPS.items() if figures[name]],
        "chart": _bars({CONDITIONS[name]: found for name, found in conditions.items()}),
        "calibration": _calibration(figures["calibration"]),
        "best_of_n": _best_of_n(figures.get("best_of_n")),
    }


def section(checkpoint: Checkpoint) -> tuple[str, list[tuple[str, str]]] | None:
    """For the model card; None where there is no report."""
    report = ReportCard.objects.filter(checkpoint=checkpoint).first()
    if report is None:
        return None
    figures = report.figures
    rows = [
        (f"Held-out accuracy, {CONDITIONS[name].lower()}", _percent(found))
        for name, found in _in_order(figures).items()
    ]
    correlation = figures["length_correlation"]
    if correlation is not None:
        between = _between(figures.get("length_correlation_interval"))
        rows.append(("Correlation of reward and length", f"{correlation:.2f}{between}"))
    if best := figures.get("best_of_n"):
        asked = f"{best['figure']}, picked of {best['answers']} answers to {best['question_set']}"
        picked = best["picked"][-1]
        between = f"{picked['low']:.2f} to {picked['high']:.2f}"
        rows.append((asked, f"{picked['value']:.2f} ({between})"))
        most = _estimated(best["possible"][-1])
        rows.append(("The best possible choice", f"{most['value']:.2f}{_between(most)}"))
    rows += [("Found", sentence) for sentence in findings(figures)]
    pairs = figures["pairs"]
    return (f"Report card, {pairs} held-out pair{'' if pairs == 1 else 's'}", rows)


def _in_order(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The database keeps the members of an object in an order of its own."""
    found = figures["conditions"]
    return {name: found[name] for name in CONDITIONS if name in found}


def _between(interval: Mapping[str, float] | None) -> str:
    """Reports of before hold no interval."""
    return f" ({interval['low']:.2f} to {interval['high']:.2f})" if interval else ""


def _percent(found: Mapping[str, float]) -> str:
    return f"{100 * found['value']:.1f} % ({100 * found['low']:.1f} to {100 * found['high']:.1f})"


def _bars(rows: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    ends = {"values": "value", "low": "low", "high": "high"}
    series = {name: [found[end] for found in rows.values()] for name, end in ends.items()}
    return {**_AXIS, "categories": list(rows), "series": [{"name": "accuracy", **series}]}


def _calibration(bins: list[dict[str, float]]) -> dict[str, Any]:
    observed = _bars({f"{100 * b['from']:.0f} to {100 * b['to']:.0f} %": b for b in bins})
    stated = {"name": "stated", "values": [one["stated"] for one in bins]}
    observed["series"][0]["name"] = "observed"
    return {**observed, "label": "share right", "series": [stated, *observed["series"]]}


def _best_of_n(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The curve as bars: one for each n, beside the best possible choice."""
    if found is None:
        return None
    by_n = {f"{n}": point for n, point in enumerate(found["picked"], start=1)}
    bars = _bars(by_n)
    bars["series"][0]["name"] = "picked by reward"
    possible = [_estimated(one) for one in found["possible"]]
    best = _bars({f"{n}": point for n, point in enumerate(possible, start=1)})["series"][0]
    ends = [point["high"] for point in (*found["picked"], *possible)]
    series = [*bars["series"], {**best, "name": "best possible"}]
    top = max(1, ceil(max(ends)))
    return {**bars, "label": found["figure"], "unit": "", "max": top, "series": series}


def _estimated(point: Mapping[str, float] | float) -> Mapping[str, float]:
    """Reports of before hold the best possible choice as a number without an interval."""
    if isinstance(point, Mapping):
        return point
    return {"value": point, "low": point, "high": point}

"""Figures as pages write them: digits, units, signs, intervals."""

from __future__ import annotations

import pytest

from benchmark import protocols
from benchmark.protocols.protocol import Protocol
from benchmark.protocols.shown import Shown
from benchmark.templatetags import benchmark_tags as tags

FIGURES: dict[str, Shown] = {
    shown.name: shown
    for name in ("pope", "llava_bench", "mmhal")
    for shown in protocols.named(name).figures
}


@pytest.mark.parametrize(
    ("name", "value", "written", "between"),
    [
        ("score", 2.5333, "2.53", "−2.53"),  # noqa: RUF001
        ("hallucination_rate", 0.571, "57 %", "−57 points"),  # noqa: RUF001
        ("informativeness", 41.6, "42 %", "−42 points"),  # noqa: RUF001
        ("accuracy", 0.8766, "87.7 %", "−87.7 points"),  # noqa: RUF001
        ("relative_score", 94.14, "94.1 %", "−94.1 points"),  # noqa: RUF001
    ],
)
def test_figures_are_written_with_their_unit(
    name: str, value: float, written: str, between: str
) -> None:
    shown = FIGURES[name]
    assert tags.figure(value, shown) == written
    assert tags.difference(-value, shown) == between
    assert tags.distance(value, shown) == between[1:]


@pytest.mark.parametrize("protocol", protocols.TABLE.values(), ids=lambda one: one.name)
def test_no_figure_is_without_a_unit(protocol: Protocol) -> None:
    """What is not written with its unit has its scale in the head of the column."""
    for figure in protocol.figures:
        assert tags.figure(0.5, figure).endswith(" %") != bool(figure.scale)
        assert figure.unit


def test_intervals_are_two_ends_or_say_why_not() -> None:
    assert tags.interval({"value": 2.5, "low": 1.98, "high": 3.1}, "number") == "1.98 to 3.10"
    assert (
        tags.interval({"value": 0.5, "low": 0.4, "high": 0.6}, "share_tenths") == "40.0 to 60.0 %"
    )
    assert tags.interval({"value": 1.0, "low": 1.0, "high": 1.0}, "share_tenths") == "no spread"
    assert tags.interval(None, "number") == ""
    assert tags.figure(None, "number") == tags.NOTHING

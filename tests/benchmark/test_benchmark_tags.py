"""Figures as pages write them: digits, units, signs, intervals."""

from __future__ import annotations

from typing import Any

import pytest

from benchmark import protocols
from benchmark.protocols.figure_display import Shown
from benchmark.protocols.protocol import Protocol
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


@pytest.mark.parametrize(
    ("estimate", "shown", "asked", "told"),
    [
        ({"value": 5 / 6}, FIGURES["accuracy"], 6, "5 of 6"),
        ({"value": 5 / 6, "count": 12}, FIGURES["accuracy"], 40, "10 of 12"),
        ({"value": 58.333333}, protocols.named("vl_rewardbench").figures[0], 6, "3.5 of 6"),
        ({"value": 1 / 3, "count": 2682}, "share_tenths", "", "894 of 2682"),
        ({"value": 0.8}, FIGURES["f1"], 6, ""),
        ({"value": None, "undefined": "no answer"}, FIGURES["accuracy"], 6, ""),
        (None, FIGURES["accuracy"], 6, ""),
    ],
)
def test_a_share_says_of_how_many_it_is(
    estimate: dict[str, Any] | None, shown: Shown | str, asked: int | str, told: str
) -> None:
    assert tags.counted(estimate, shown, asked) == told


def test_shares_that_are_counted_are_shares() -> None:
    """Every figure that says "5 of 6" is written in percent, each protocol has one where it counts
    right answers, and of few it is said."""
    for protocol in protocols.TABLE.values():
        assert all("%" in tags.figure(0.5, one) for one in protocol.figures if one.counts)
    assert [tags.are_few(n) for n in (0, 6, 49, 50, None, "")] == [False, True, True] + [False] * 3


def test_a_title_inside_a_sentence_keeps_its_capitals() -> None:
    written = [tags.inside(title) for title in ("Hallucination rate", "AMBER score", "F1", "TNR")]
    assert written == ["hallucination rate", "AMBER score", "F1", "TNR"]
    assert [tags.type_title(name) for name in ("vqa", "conv", "mine")] == [
        "VQA",
        "Conversation",
        "Mine",
    ]


@pytest.mark.parametrize(
    ("protocol", "name", "estimate", "told", "number"),
    [
        ("amber", "precision", {"count": 14, "whole": 8}, "4 of 8", "over 14 answers"),
        ("amber", "precision", {"count": 14}, "", "over 14 answers"),  # As stored before.
        ("amber", "f1", {"count": 14}, "", "over 14 answers"),
        ("amber", "amber_score", {}, "", "over 20 answers"),
        ("amber", "hal", {"count": 6, "whole": 6}, "3 of 6", "n = 6"),
        ("repope", "precision", {}, "", "over 20 answers"),
        ("repope", "accuracy", {}, "10 of 20", ""),
        ("vl_rewardbench", "general", {"count": 4}, "2 of 4", "n = 4"),
    ],
)
def test_a_figure_names_what_it_is_a_share_of(
    protocol: str, name: str, estimate: dict[str, Any], told: str, number: str
) -> None:
    (shown,) = (one for one in protocols.TABLE[protocol].figures if one.name == name)
    half = {"value": 0.5 if shown.style.startswith("share") else 50, **estimate}
    assert (tags.counted(half, shown, 20), tags.number(half, shown, 20)) == (told, number)
    assert tags.number({"value": None}, shown, 20) == ""

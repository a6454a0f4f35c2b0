"""Which interval each kind of figure has: none claims a certainty that its answers do not give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from benchmark import protocols
from benchmark.protocols.amber.scores import COLUMNS
from benchmark.protocols.amber.scores import FIGURES as AMBER
from benchmark.protocols.dash_b.scores import FIGURES as DASH_B
from benchmark.protocols.mmhal.rated import MEASURES as RATED
from benchmark.protocols.pope.scores import FIGURES as POPE
from benchmark.protocols.protocol import Given, Judged, Protocol
from benchmark.statistics import (
    PERCENT,
    SHARE,
    HarmonicMeanOf,
    MeanOf,
    Share,
    estimate_of_sums,
    mean_between,
    paired_test,
    sums,
)
from benchmark.statistics.figures import FEWEST_DIFFERING, effective
from benchmark.statistics.resampling import RESAMPLES


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [  # Wilson's interval as R's prop.test(correct = FALSE) gives it.
        (0, 5, 0, 0.4345),
        (6, 6, 0.6097, 1),
        (1, 1, 0.2065, 1),
        (0, 1, 0, 0.7935),
        (3, 6, 0.1876, 0.8124),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_a_share_has_wilsons_interval(right: int, of: int, low: float, high: float) -> None:
    values = [1.0] * right + [0.0] * (of - right)
    found = SHARE.interval(values, None)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    percent = PERCENT.interval([100 * one for one in values], None)
    assert (percent.low, percent.high) == pytest.approx((100 * found.low, 100 * found.high))
    rows = [(one, 1 - one) for one in values]
    of_sums = estimate_of_sums(rows, Share((0,), (0, 1)))
    assert of_sums == {"value": right / of, "low": found.low, "high": found.high, "whole": of}


def test_ties_make_a_share_no_surer() -> None:
    assert SHARE.interval([0.5] * 6, None) == SHARE.interval([1, 0] * 3, None)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("together", [0.0, 0.5, 1.0])
def test_questions_about_one_picture_are_worth_less_and_the_interval_holds(
    share: float, together: float
) -> None:
    """60 pictures with six questions; some of them go the way of their picture. Without the
    pictures the interval would hold the truth in as little as three of five cases."""
    generator = np.random.default_rng(3)
    pictures = np.repeat(np.arange(60), 6)
    held, runs = 0, 300
    for _ in range(runs):
        picture = generator.random(60) < share
        alike = generator.random(360) < together
        own = generator.random(360) < share
        values = np.where(alike, picture[pictures], own).astype(float)
        found = SHARE.interval(values, pictures.tolist())
        held += found.low <= share <= found.high
    assert held / runs >= 0.9


def test_an_effective_number_lies_between_one_a_picture_and_all() -> None:
    six = np.full(10, 6.0)
    assert effective(np.ones(5), np.ones(5)) == 5
    assert effective(np.array([6.0] * 5 + [0.0] * 5), six) == 10
    assert 30 < effective(np.full(10, 3.0), six) <= 60
    assert effective(np.array([6.0]), np.array([6.0])) == 1
    # That all are alike may be because those of a picture go together: nothing tells.
    assert [effective(right * six, six) for right in (0, 1)] == [10, 10]


TABLES: dict[str, tuple[dict[str, Any], int]] = {
    "pope": (POPE, 4),
    "dash_b": (DASH_B, 4),
    "amber": (AMBER, len(COLUMNS)),
}


def rows_of(table: str, *, right: bool) -> list[tuple[float, ...]]:
    from benchmark.protocols.amber.scores import answered, described
    from benchmark.protocols.dash_b.scores import row

    if table == "pope":
        return [(1, 0, 0, 0), (0, 0, 0, 1)] * 3 if right else [(0, 1, 0, 0), (0, 0, 1, 0)] * 3
    if table == "dash_b":
        return [row(label, right=right) for label in ("yes", "no")] * 3
    counts = {"kept": 2, "truths": 2, "lures": 2, "covered": 2 * right}
    counts |= {"hallucinated": 0 if right else 2, "lures_named": 0 if right else 2}
    said = [("no", "no"), ("yes", "yes")] if right else [("no", "yes"), ("yes", "no")]
    return [described(counts)] * 3 + [answered(*one) for one in said] * 3


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("right", [True, False], ids=["all right", "all wrong"])
def test_no_figure_made_of_shares_is_certain(table: str, right: bool) -> None:
    figures, _ = TABLES[table]
    for name, figure in figures.items():
        found = estimate_of_sums(rows_of(table, right=right), figure)
        low, value, high = (found[end] for end in ("low", "value", "high"))
        assert low is not None and value is not None and high is not None
        unit = 100 if table == "amber" else 1
        assert 0 <= low <= value <= high <= unit, name
        assert high - low > 0.2 * unit, name


@pytest.mark.parametrize("figure", [MeanOf, HarmonicMeanOf])
def test_means_of_shares_agree_with_resampling_where_that_can_be_trusted(figure: Any) -> None:
    shares = (Share((1,), (0,)), Share((3,), (2,)))
    rows = np.array(
        [(1, n % 5 > 0, 0, 0) for n in range(400)] + [(0, 0, 1, n % 3 > 0) for n in range(300)]
    )
    mean = figure(shares) if figure is MeanOf else figure(*shares)
    found = mean.interval(rows.astype(float))
    generator = np.random.default_rng(0)
    drawn = np.stack(
        [
            np.full(RESAMPLES, 400),
            generator.binomial(400, 0.8, RESAMPLES),
            np.full(RESAMPLES, 300),
            generator.binomial(300, 2 / 3, RESAMPLES),
        ],
        axis=1,
    ).astype(float)
    low, high = np.percentile(mean(drawn), [2.5, 97.5])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.006)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([6] * 6, 3.66, 6),
        ([4] * 6, 2.44, 4.78),
        ([6], 1.24, 6),
        ([6] * 96, 5.77, 6),
        ([6] * 95 + [5], 5.76, 6),  # No surer than where all are equal.
    ],
)
def test_equal_values_leave_room_for_what_was_not_seen(
    values: Sequence[float], low: float, high: float
) -> None:
    found = mean_between(0, 6).interval(values, None)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.01)


def test_a_mean_on_the_scale_of_a_share_is_no_surer_than_the_share() -> None:
    for values in ([1.0] * 6, [0.0] * 5):
        found, share = (one.interval(values, None) for one in (mean_between(0, 1), SHARE))
        assert (found.low, found.high) == pytest.approx((share.low, share.high), abs=1e-4)


def test_values_that_differ_are_resampled_alone() -> None:
    values = [0, 1, 3, 6, 2, 2, 5]
    assert len(values) - 2 >= FEWEST_DIFFERING
    from benchmark.statistics import bootstrap_interval

    assert mean_between(0, 6).interval(values, None) == bootstrap_interval(values)


def test_pairs_that_are_all_alike_show_no_certain_difference() -> None:
    few, many = (paired_test([3] * n, [3] * n, span=6).interval for n in (5, 500))
    assert few.low < -2 and few.high > 2
    assert -0.1 < many.low < 0 < many.high < 0.1
    assert paired_test([0] * 5, [1] * 5, span=1).interval.low < 0.2


@pytest.mark.parametrize("table", TABLES)
def test_equal_answers_of_two_models_show_no_certain_equality(table: str) -> None:
    right, wrong = (tuple(rows_of(table, right=one)) for one in (True, False))
    for name, figure in TABLES[table][0].items():
        for second in (right, wrong):
            between = sums(figure).paired(right, second).interval
            assert between.low < between.high, name


def judged(protocol: Protocol, value: int, count: int) -> list[Judged]:
    """Answers that all get the best or the worst of the benchmark's extremes."""
    found = []
    for index in range(count):
        truth = ("yes", "no")[index % 2]
        types = protocol.types or protocol.answer_types or ("",)
        question = {"image_id": f"image-{index}", "gt_answer": truth}
        kind = types[index % len(types)]
        one = Judged(index=index, type=kind, question=question)
        # Extremes come as all wrong, all right, or all yes, all no.
        given = protocol.extremes(one)[:2][value]
        if protocol.name.startswith("amber"):
            said = truth if value else {"yes": "no", "no": "yes"}[truth]
            given = Given(found={"truth": truth, "said": said})
        orders = tuple(given._replace(order=order) for order in protocol.orders)
        found.append(Judged(index=index, type=kind, question=question, given=orders))
    return found


@pytest.mark.parametrize("count", [1, 2, 5, 6])
@pytest.mark.parametrize("value", [0, 1], ids=["worst", "best"])
@pytest.mark.parametrize("protocol", protocols.TABLE.values(), ids=lambda one: one.name)
def test_no_benchmark_has_a_figure_without_width(
    protocol: Protocol, value: int, count: int
) -> None:
    if protocol.name == "amber_generative":
        pytest.skip("has no answers by yes or no; see above")
    summary = protocol.summarise(judged(protocol, value, count))
    shown = [(one.name, summary[one.name]) for one in protocol.figures]
    for name, figures in summary["by_type"].items():
        shown += [(f"{name}, {one.name}", figures[one.name]) for one in protocol.type_figures]
    known = [(name, one) for name, one in shown if one and one["value"] is not None]
    assert known
    for name, one in known:
        assert one["low"] <= one["value"] <= one["high"], name
        assert one["low"] < one["high"], name


def test_every_measure_of_one_number_knows_its_scale() -> None:
    """Without it, equal values would have an interval of no width."""
    for protocol in protocols.TABLE.values():
        for name, how in protocol.compared.items():
            low, high = how.measure.scale or (0, 1)
            assert low < high, (protocol.name, name)
    assert {name: one.scale for name, one in RATED.items()} == {
        "score": (0, 6),
        "hallucination_rate": (0, 1),
        "informativeness": (0, 100),
    }

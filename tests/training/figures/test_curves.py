"""Curves for charts: which figures share one, how long ones are cut, what comes since a reading."""

from typing import Any

import pytest
from django.urls import reverse

from tests.training.factories import make_run
from tests.training.test_views import logged_in
from training.figures import curves
from training.models import Metric, Run
from training.runs import scheduling

pytestmark = pytest.mark.django_db


def tell(run: Run, name: str, values: dict[int, float]) -> None:
    Metric.objects.bulk_create(
        Metric(run=run, name=name, step=step, value=value) for step, value in values.items()
    )


def test_figures_that_end_alike_share_a_chart_and_the_telling_ones_stand_first() -> None:
    run = make_run()
    for name in ("train/loss", "held_out/loss", "ppo/reward", "ppo/zeal"):
        tell(run, name, {1: 0.5, 2: 0.25})
    tell(make_run(), "other/run", {1: 1.0})
    charts = curves.charts(run)
    assert [chart.key for chart in charts] == ["reward", "loss", "zeal"]
    assert charts[1].names == ("held_out/loss", "train/loss")
    assert {chart.last for chart in charts} == {2}


def test_charts_are_found_in_one_query_however_many_rows_there_are(
    django_assert_num_queries: Any,
) -> None:
    run = make_run()
    tell(run, "a/x", dict.fromkeys(range(3000), 1.0))
    tell(run, "b/y", {7: 1.0})
    with django_assert_num_queries(1):
        found = curves.charts(run)
    assert [(chart.key, chart.last, chart.moves) for chart in found] == [
        ("x", 2999, True),
        ("y", 7, False),
    ]


def test_what_was_told_once_is_a_figure_and_no_curve_once_the_run_has_ended() -> None:
    run = make_run()
    tell(run, "scored/raised", {0: 12.0})
    assert [chart.key for chart in curves.drawn(run)] == ["raised"]
    scheduling.cancel(run)
    assert curves.drawn(run) == []
    assert curves.latest(run)[0][:2] == ("Raised", 12.0)


def test_a_figure_at_a_glance_has_its_unit_and_says_where_it_is_from() -> None:
    run = make_run()
    tell(run, "ppo/kl", {20: 1.5})
    assert curves.latest(run) == [("KL", 1.5, "nats, ppo, step 20")]
    assert curves.series(run, "kl")["y_unit"] == "nats"


@pytest.mark.parametrize(
    ("last", "stretch"), [(0, 1), (499, 1), (500, 2), (999, 2), (1000, 4), (9999, 32)]
)
def test_a_stretch_is_a_power_of_two_that_leaves_at_most_500_points(
    last: int, stretch: int
) -> None:
    run = make_run()
    tell(run, "train/loss", {last: 1.0})
    drawn = curves.series(run, "loss")
    assert drawn["stretch"] == stretch
    assert last // stretch < curves.MOST_POINTS


def test_no_peak_is_lost_in_a_long_curve() -> None:
    run = make_run()
    values = dict.fromkeys(range(2048), 1.0) | {1001: 50.0, 1002: -3.0}
    tell(run, "train/loss", values)
    [curve] = curves.series(run, "loss")["series"]
    place = 1001 // 8
    assert (curve["low"][place], curve["high"][place]) == (-3.0, 50.0)
    assert curve["y"][place] == pytest.approx((6 + 50 - 3) / 8)
    assert curve["x"][place] == 1003.5
    assert max(curve["high"]) == 50.0
    assert len(curve["x"]) == 256


def test_a_short_curve_is_told_as_it_is() -> None:
    run = make_run()
    tell(run, "train/loss", {1: 0.5, 3: 0.25})
    [curve] = curves.series(run, "loss")["series"]
    assert curve == {"name": "train", "x": [1.0, 3.0], "y": [0.5, 0.25]}


def joined(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[float, float]]:
    """What a page has after a second reading, as static/js/charts.js joins them."""
    [old], [new] = before["series"], after["series"]
    kept = [(x, y) for x, y in zip(old["x"], old["y"], strict=True) if x < after["from"]]
    return kept + list(zip(new["x"], new["y"], strict=True))


def test_a_page_reads_only_what_came_since_and_has_the_same_curve() -> None:
    run = make_run()
    tell(run, "train/loss", {step: step**0.5 for step in range(1100)})
    before = curves.series(run, "loss")
    tell(run, "train/loss", {step: step**0.5 for step in range(1100, 1300)})
    since = int(before["series"][0]["x"][-1])
    after = curves.series(run, "loss", grain=before["grain"], since=since)
    assert 0 < after["from"] <= 1099
    assert len(after["series"][0]["x"]) < 60
    [whole] = curves.series(run, "loss")["series"]
    assert joined(before, after) == list(zip(whole["x"], whole["y"], strict=True))


def test_a_coarser_cut_or_another_attempt_is_read_whole() -> None:
    run = make_run()
    tell(run, "train/loss", dict.fromkeys(range(1000), 1.0))
    before = curves.series(run, "loss")
    tell(run, "train/loss", {1000: 1.0})
    assert curves.series(run, "loss", grain=before["grain"], since=900)["from"] == 0
    now = curves.series(run, "loss")
    assert curves.series(run, "loss", grain=now["grain"], since=900)["from"] == 900
    run.attempt_count = 1
    assert curves.series(run, "loss", grain=now["grain"], since=900)["from"] == 0


@pytest.mark.parametrize("since", ["", "-5", "x", "99999999999999999999", "1.5"])
def test_what_a_page_claims_to_have_is_not_trusted(since: str) -> None:
    run = make_run()
    tell(run, "train/loss", {1: 0.5})
    address = reverse("training:run-metrics", args=[run.pk, "loss"])
    answer = logged_in(run.requested_by).get(address, {"grain": "1.0", "since": since})
    assert answer.json()["series"][0]["y"] == [0.5]


def test_a_chart_that_is_not_there_has_no_curves() -> None:
    assert curves.series(make_run(), "nothing")["series"] == []

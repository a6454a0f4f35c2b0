"""Two runs side by side: what differs, the curves of both, and who may see them."""

import pytest
from django.test import Client
from django.urls import reverse

from tests.factories import make_member
from tests.training.factories import make_run
from training.figures import comparing
from training.models import Metric, Run

pytestmark = pytest.mark.django_db


def pair() -> tuple[Run, Run]:
    first = make_run(changes={"optimizer": {"learning_rate": 0.1}}, seed=1)
    second = make_run(
        first.project,
        base=first.base,
        changes={"optimizer": {"learning_rate": 0.2}},
        seed=2,
        script={"steps": 3},
    )
    return first, second


def test_only_what_differs_is_listed_inputs_first() -> None:
    first, second = pair()
    found = [(row.name, row.first, row.second) for row in comparing.differences(first, second)]
    assert found == [
        ("seed", 1, 2),
        ("options.script.steps", None, 3),
        ("optimizer.learning_rate", 0.1, 0.2),
    ]
    assert comparing.differences(first, first) == []


def test_curves_of_both_stand_on_one_chart_named_by_run() -> None:
    first, second = pair()
    for run, value in ((first, 0.25), (second, 0.75)):
        Metric.objects.create(run=run, name="train/loss", step=1, value=value)
    Metric.objects.create(run=first, name="train/margin", step=1, value=1)
    assert [chart.key for chart in comparing.charts(first, second)] == ["loss"]
    assert comparing.series(first, second, "loss")["series"] == [
        {"name": f"run {first.pk} train", "x": [1.0], "y": [0.25]},
        {"name": f"run {second.pk} train", "x": [1.0], "y": [0.75]},
    ]


def test_a_chart_is_read_on_until_both_have_ended() -> None:
    first, second = pair()
    Run.objects.filter(pk=first.pk).update(state="cancelled", finished_at=first.created_at)
    first.refresh_from_db()
    assert comparing.series(first, second, "loss")["ended"] is False
    assert comparing.series(first, first, "loss")["ended"] is True


def test_the_pages_lead_from_the_run_to_the_comparison() -> None:
    first, second = pair()
    Metric.objects.create(run=first, name="train/loss", step=1, value=0.5)
    Metric.objects.create(run=second, name="train/loss", step=1, value=0.5)
    client = Client()
    client.force_login(first.requested_by)
    both = reverse("training:run-compared", args=[first.pk, second.pk])
    assert both in client.get(reverse("training:run-compare", args=[first.pk])).content.decode()
    page = client.get(both).content.decode()
    assert "optimizer.learning rate" in page
    assert reverse("training:run-compared-metrics", args=[first.pk, second.pk, "loss"]) in page
    # A page that has that chart is told of the next one only.
    assert client.get(both, {"have": 1}).status_code == 204
    assert client.get(both, {"have": 0}).status_code == 200


def test_neither_run_may_be_a_stranger_to_the_person() -> None:
    mine, foreign = make_run(), make_run()
    client = Client()
    client.force_login(make_member(mine.project, "reviewer"))
    for runs in ((mine, foreign), (foreign, mine)):
        address = reverse("training:run-compared", args=[run.pk for run in runs])
        assert client.get(address).status_code == 404

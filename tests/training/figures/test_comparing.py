"""Runs side by side: what differs, their curves and samples, and who may see them."""

from typing import Any
from urllib.parse import urlencode

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from tests.factories import make_image, make_member, make_prompt
from tests.training.factories import make_run
from training.figures import comparing
from training.models import Metric, Run, Sample, State

pytestmark = pytest.mark.django_db


def end(*runs: Run) -> None:
    for run in runs:
        Run.objects.filter(pk=run.pk).update(state=State.SUCCEEDED, finished_at=Now())


def alike(first: Run, seed: int, **more: Any) -> Run:
    return make_run(first.project, base=first.base, seed=seed, **more)


def pair() -> tuple[Run, Run]:
    first = make_run(changes={"optimizer": {"learning_rate": 0.1}}, seed=1)
    changes = {"optimizer": {"learning_rate": 0.2}}
    return first, alike(first, 2, changes=changes, script={"steps": 3})


def items(*runs: Run, groups: Any = (), baseline: str = "") -> list[comparing.Item]:
    return comparing.items(Run.objects.all(), groups, [run.pk for run in runs], baseline)


def tell(run: Run, name: str, *values: float) -> None:
    for step, value in enumerate(values, start=1):
        Metric.objects.create(run=run, name=name, step=step, value=value)


def address(*runs: Run, page: str = "compare", **more: str) -> str:
    query = urlencode([*(("run", run.pk) for run in runs), *more.items()])
    return f"{reverse(f'training:{page}')}?{query}"


def test_only_what_differs_is_listed_inputs_first() -> None:
    first, second = pair()
    found = [(row.name, row.values) for row in comparing.differences(items(first, second))]
    assert found == [
        ("seed", [1, 2]),
        ("options.script.steps", [None, 3]),
        ("optimizer.learning_rate", [0.1, 0.2]),
    ]
    assert comparing.differences(items(first)) == []


def test_a_group_has_the_values_of_its_runs_and_is_no_difference_by_itself() -> None:
    first, other = pair()
    second = alike(first, 7, changes={"optimizer": {"learning_rate": 0.1}})
    found = comparing.differences(items(other, groups=[first.group]))
    told = {row.name: row.values for row in found}
    assert told["seed"] == [2, "1, 7"]
    assert told["optimizer.learning_rate"] == [0.2, 0.1]
    assert second.group == first.group


def test_each_figure_that_two_have_is_a_chart_with_curves_named_by_run() -> None:
    first, second = pair()
    Run.objects.filter(pk=second.pk).update(name="The other")
    tell(first, "train/loss", 0.5, 0.25)
    tell(second, "train/loss", 0.75, 0.5)
    tell(first, "train/margin", 1, 2)
    compared = items(first, second, baseline=f"run-{second.pk}")
    [chart] = comparing.charts(compared)
    assert (chart.title, chart.of, chart.has_baseline) == ("Loss (train)", 2, True)
    told = comparing.series(compared, "train/loss")
    assert [(one["name"], one["y"], one["baseline"]) for one in told["series"]] == [
        ("The other (baseline)", [0.75, 0.5], True),
        (first.name, [0.5, 0.25], False),
    ]


def test_runs_of_one_name_are_told_apart() -> None:
    first, second = pair()
    Run.objects.update(name="PPO")
    assert {item.name for item in items(first, second)} == {f"PPO #{first.pk}", f"PPO #{second.pk}"}


def test_a_groups_curve_is_the_mean_over_seeds_with_students_interval() -> None:
    first = make_run(seed=1)
    runs = [first, alike(first, 2), alike(first, 3)]
    end(*runs)
    for run, value in zip(runs, (1, 2, 3), strict=True):
        tell(run, "train/loss", value)
    # A step that one seed alone has tells no spread.
    Metric.objects.create(run=first, name="train/loss", step=2, value=9)
    [item] = items(groups=[first.group])
    [curve] = comparing.series([item], "train/loss")["series"]
    assert (curve["name"], curve["x"], curve["y"]) == (f"{item.newest.name}, 3 seeds", [1], [2])
    assert [curve["low"][0], curve["high"][0]] == pytest.approx([-0.484, 4.484], abs=1e-3)


def test_a_group_that_is_under_way_has_one_curve_of_each_seed() -> None:
    first = make_run(seed=1)
    newer, other = alike(first, 1), alike(first, 2)
    [item] = items(groups=[first.group])
    assert item.runs == [other, newer, first]
    assert item.counted == [other, newer]
    assert item.name.endswith(", 2 seeds")


def test_of_more_than_fit_it_is_said_how_many_are_left_out() -> None:
    first = make_run(seed=0)
    runs = [first, *(alike(first, seed) for seed in range(1, comparing.MOST_COMPARED + 2))]
    client = Client()
    client.force_login(first.requested_by)
    page = client.get(address(*runs)).content.decode()
    assert "Only the first 20 of those chosen are laid side by side; 2 are left out." in page
    assert "left out." not in client.get(address(*runs[:20])).content.decode()


def test_a_chart_is_read_on_until_all_have_ended() -> None:
    first, second = pair()
    end(first)
    assert comparing.series(items(first, second), "train/loss")["ended"] is False
    end(second)
    assert comparing.series(items(first, second), "train/loss")["ended"] is True


def test_prompts_that_two_have_answered_show_the_latest_of_each_beside_one_another() -> None:
    first, second = pair()
    image = make_image()
    make_prompt(first.project, image=image)
    asked = {"image": image.filename, "prompt": "What?", "prompt_id": "p"}
    for run, step, said in ((first, 1, "old"), (first, 2, "new"), (second, 1, "other")):
        Sample.objects.create(run=run, step=step, response=said, **asked)
    Sample.objects.create(run=first, step=1, prompt_id="q", prompt="Alone?", response="yes")
    compared = items(first, second)
    [prompt] = comparing.samples(compared, first.requested_by)
    assert prompt.image == image
    assert [sample.response for _, sample in prompt.told if sample] == ["new", "other"]


def test_the_pages_lead_from_the_run_to_the_comparison() -> None:
    first, second = pair()
    for run in (first, second):
        tell(run, "train/loss", 0.5, 0.25)
    client = Client()
    client.force_login(first.requested_by)
    table = client.get(reverse("training:run-compare", args=[first.pk]), follow=True)
    assert f'value="{first.pk}" form="chosen" checked' in table.content.decode()
    both = address(first, second)
    page = client.get(both).content.decode()
    assert "optimizer.learning rate" in page
    assert "name=train/loss" in page.replace("%2F", "/")
    # A page that has that chart is told of the next one only.
    assert client.get(both, {}).status_code == 200
    assert client.get(f"{both}&have=1").status_code == 204
    assert client.get(f"{both}&have=0").status_code == 200


def test_none_of_the_runs_may_be_a_stranger_to_the_person() -> None:
    mine, foreign = make_run(), make_run()
    client = Client()
    client.force_login(make_member(mine.project, "reviewer"))
    for page in ("compare", "compare-metrics"):
        assert client.get(address(mine, page=page)).status_code == 200
        for runs in ((mine, foreign), (foreign, mine)):
            assert client.get(address(*runs, page=page)).status_code == 404
        assert client.get(address(mine, page=page, group=foreign.group)).status_code == 404
        for odd in ("x", "1e99", "99999999999999999999"):
            assert client.get(address(mine, page=page, group=odd)).status_code == 404
            assert client.get(address(page=page, run=odd)).status_code == 404


def test_queries_of_a_comparison_do_not_grow_with_what_is_compared(
    django_assert_num_queries: Any, django_assert_max_num_queries: Any
) -> None:
    first, second = pair()
    client = Client()
    client.force_login(first.requested_by)
    with django_assert_max_num_queries(25) as two:
        client.get(address(first, second))
    more = [alike(first, seed) for seed in range(3, 9)]
    with django_assert_num_queries(len(two)):
        client.get(address(first, second, *more))

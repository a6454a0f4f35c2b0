"""Order among many runs: search, sorting, columns, pins, names, tags, notes, archive, groups."""

import re
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from tests.annotation.api import Api
from tests.factories import make_member
from tests.training.factories import make_run
from training.figures import columns, run_table
from training.figures.run_table import Order
from training.models import Metric, Run, State
from training.runs import organising, scheduling

pytestmark = pytest.mark.django_db
TABLE = "training:runs"


def logged_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def again(run: Run, **more: Any) -> Run:
    return make_run(run.project, **{"base": run.base, **more})


def ended(run: Run, **fields: Any) -> Run:
    Run.objects.filter(pk=run.pk).update(state=State.SUCCEEDED, finished_at=Now(), **fields)
    run.refresh_from_db()
    return run


def listed(client: Client, **query: Any) -> list[int]:
    """Numbers of the runs in the table, from above."""
    page = client.get(reverse(TABLE), query).content.decode()
    return [int(pk) for pk in re.findall(r'name="run" value="(\d+)"', page)]


def test_words_are_found_in_names_notes_tags_and_numbers() -> None:
    first = make_run()
    second = again(first)
    Run.objects.filter(pk=first.pk).update(name="Blue dog", notes="Too HOT at 100 %")
    Run.objects.filter(pk=second.pk).update(name="Blue cat", tags=["paper", "cold"])
    client = logged_in(first.requested_by)
    assert listed(client, q="blue") == [second.pk, first.pk]
    assert listed(client, q="blue hot") == [first.pk]
    assert listed(client, q="100 %") == [first.pk]
    assert listed(client, q="COLD") == [second.pk]
    assert listed(client, q=f"#{first.pk}") == [first.pk]
    assert listed(client, q="b%e") == []
    assert listed(client, tag="paper") == [second.pk]
    assert listed(client, tag="unknown") == [second.pk, first.pk]


def test_the_table_sorts_by_setting_figure_and_name_with_the_empty_last() -> None:
    first = make_run(changes={"optimizer": {"learning_rate": 0.1}})
    second = again(first, changes={"optimizer": {"learning_rate": 1e-05}})
    third = again(first, kind="fake_evaluation")
    for run, value in ((first, 0.5), (second, 0.7)):
        Metric.objects.create(run=run, name="held_out/accuracy", step=1, value=1)
        Metric.objects.create(run=run, name="held_out/accuracy", step=2, value=value)
    person = first.requested_by
    keys = ["setting:optimizer.learning_rate", "figure:held_out/accuracy"]
    organising.choose_columns(person, keys)
    client = logged_in(person)
    assert listed(client, sort="figure:held_out/accuracy") == [first.pk, second.pk, third.pk]
    assert listed(client, sort="-figure:held_out/accuracy") == [second.pk, first.pk, third.pk]
    both = [
        run for run in listed(client, sort="setting:optimizer.learning_rate") if run != third.pk
    ]
    assert both == [second.pk, first.pk]
    page = client.get(reverse(TABLE), {"kind": "fake_reward"}).content.decode()
    assert "0.7" in page
    assert '<td class="num">1e-05</td>' in page
    for odd in ("figure:", "-", "created_at__x", "setting:nothing"):
        assert set(listed(client, sort=odd)) == {first.pk, second.pk, third.pk}


def test_columns_are_ones_own_and_what_nobody_knows_is_left_out() -> None:
    run = make_run()
    Metric.objects.create(run=run, name="train/loss", step=1, value=0.25)
    client = logged_in(run.requested_by)
    other = logged_in(make_member(run.project, "reviewer"))
    chooser = reverse("training:columns")
    assert 'value="figure:train/loss"' in client.get(chooser).content.decode()
    answer = client.post(chooser, {"column": ["seed", "figure:train/loss", "nonsense"]})
    assert answer.url == reverse(TABLE)
    assert "Train loss" in client.get(reverse(TABLE)).content.decode()
    assert "Train loss" not in other.get(reverse(TABLE)).content.decode()
    client.post(chooser, {"reset": "yes", "column": ["seed"]})
    assert "Asked for" in client.get(reverse(TABLE)).content.decode()
    # An address of another site is not gone back to.
    for bad in ("https://evil.example/", "//evil.example/", "javascript:alert(1)"):
        assert client.post(chooser, {"column": ["seed"], "back": bad}).url == reverse(TABLE)


def test_a_pin_stands_first_for_the_person_alone() -> None:
    first = make_run()
    second = again(first)
    mine, other = first.requested_by, make_member(first.project, "reviewer")
    pin = reverse("training:run-pin", args=[first.pk])
    logged_in(mine).post(pin, {"pinned": "yes"})
    logged_in(mine).post(pin, {"pinned": "yes"})
    assert listed(logged_in(mine)) == [first.pk, second.pk]
    assert listed(logged_in(mine), sort="-created") == [first.pk, second.pk]
    assert listed(logged_in(other)) == [second.pk, first.pk]
    logged_in(mine).post(pin, {"pinned": "no"})
    assert listed(logged_in(mine)) == [second.pk, first.pk]


def test_a_manager_renames_tags_and_notes_and_nothing_else_is_written() -> None:
    run = make_run()
    form = reverse("training:run-describe", args=[run.pk])
    client = logged_in(run.requested_by)
    scheduling.claim(run.pk, host="node", gpus=0)
    told = {"name": "Renamed", "tags": " paper , paper,two  words,", "notes": "<b>why</b>"}
    assert client.post(form, told).url == run.get_absolute_url()
    run.refresh_from_db()
    assert (run.name, run.tags, run.state) == ("Renamed", ["paper", "two words"], State.RUNNING)
    page = client.get(run.get_absolute_url()).content.decode()
    assert "&lt;b&gt;why" in page
    assert client.post(form, {"name": "", "tags": "x" * 50}).status_code == 422


def test_archived_runs_are_hidden_until_asked_for_and_come_back() -> None:
    run = ended(make_run())
    follower = again(run, kind="fake_ppo", after=run)
    client = logged_in(run.requested_by)
    address = reverse("training:run-archive", args=[run.pk])
    client.post(address)
    assert listed(client) == [follower.pk]
    assert listed(client, archived="only") == [run.pk]
    assert listed(client, archived="too") == [follower.pk, run.pk]
    groups = {"grouped": "yes", "archived": "only"}
    page = client.get(reverse(TABLE), groups).content.decode()
    [link] = re.findall(rf'href="(/training/compare/[^"]*{run.group})"', page)
    assert run.name in client.get(link).content.decode()
    assert "archived" in client.get(run.get_absolute_url()).content.decode()
    follower.refresh_from_db()
    assert (follower.after, follower.state) == (run, State.QUEUED)
    client.post(address, {"archived": "no"})
    assert listed(client) == [follower.pk, run.pk]


def test_what_has_not_ended_is_not_put_away_and_what_is_resumed_comes_back() -> None:
    run = make_run()
    client = logged_in(run.requested_by)
    page = client.post(reverse("training:run-archive", args=[run.pk]), follow=True)
    assert "once it has ended" in page.content.decode()
    with pytest.raises(IntegrityError), transaction.atomic():
        Run.objects.filter(pk=run.pk).update(archived_at=Now())
    scheduling.cancel(run)
    run.refresh_from_db()
    organising.archive(run)
    assert run.archived_at is not None
    assert "All runs are archived" in client.get(reverse(TABLE)).content.decode()
    assert scheduling.resume(run)
    with pytest.raises(organising.NotEnded, match="is queued"):
        organising.archive(run)
    run.refresh_from_db()
    assert (run.state, run.archived_at) == (State.QUEUED, None)


def test_those_chosen_are_changed_together_where_one_manages_them() -> None:
    first = ended(make_run())
    second, foreign = again(first), ended(make_run())
    client = logged_in(first.requested_by)
    do = reverse("training:chosen")
    ids = [first.pk, second.pk, foreign.pk, "x"]
    page = client.post(do, {"run": ids, "do": "tag", "tag": "paper"}, follow=True)
    assert "Tagged “paper”: 2 runs." in page.content.decode()
    page = client.post(do, {"run": ids, "do": "archive"}, follow=True)
    assert "Archived: 1 run. 1 run not ended yet" in page.content.decode()
    foreign.refresh_from_db()
    assert (foreign.tags, foreign.archived_at) == ([], None)
    reviewer = logged_in(make_member(first.project, "reviewer"))
    page = reviewer.post(do, {"run": ids, "do": "bring back"}, follow=True)
    assert "for managers" in page.content.decode()
    first.refresh_from_db()
    assert first.archived_at is not None
    assert client.post(do, {"run": ids, "do": "delete"}).status_code == 404
    assert "Tick at least one" in client.post(do, {"do": "tag"}, follow=True).content.decode()


def of_three_seeds() -> list[Run]:
    first = make_run(seed=1)
    runs = [first, again(first, seed=2), again(first, seed=3)]
    for run, value in zip(runs, (1.0, 2.0, 3.0), strict=True):
        ended(run)
        Metric.objects.create(run=run, name="held_out/accuracy", step=1, value=value)
    return runs


def test_a_group_is_one_row_with_mean_interval_and_n() -> None:
    runs = of_three_seeds()
    alone = again(runs[0], kind="fake_evaluation")
    person = runs[0].requested_by
    organising.choose_columns(person, ["figure:held_out/accuracy"])
    page = logged_in(person).get(reverse(TABLE), {"grouped": "yes"}).content.decode()
    assert page.count('name="group"') == 2
    assert "-0.4843 to 4.484, n = 3" in page
    assert alone.group in page
    # Words choose the group; its figures stay those of all its seeds.
    query = {"grouped": "yes", "q": f"#{runs[1].pk}"}
    page = logged_in(person).get(reverse(TABLE), query).content.decode()
    assert "n = 3" in page
    assert alone.group not in page


def test_groups_are_sorted_by_the_mean_that_they_show() -> None:
    runs = of_three_seeds()
    better = ended(again(runs[0], changes={"optimizer": {"learning_rate": 0.5}}))
    Metric.objects.create(run=better, name="held_out/accuracy", step=1, value=2.5)
    # The same seed again, and a run that failed: neither counts.
    figure = columns.figure("held_out/accuracy")
    order = Order(figure.key, True)
    found = [row["group"] for row in run_table.groups(Run.objects.all(), order, [figure])]
    assert found == [better.group, runs[0].group]
    rows = run_table.group_rows(Run.objects.all(), found, [figure])
    assert [row.cells[0][1].mean for row in rows] == [2.5, 2.0]


def test_every_column_sorts_runs_and_groups_as_they_are_shown() -> None:
    runs = [make_run(), make_run(gpus=2, changes={"optimizer": {"learning_rate": 0.1}})]
    again(runs[1], gpus=2, seed=3, changes={"optimizer": {"learning_rate": 0.1}})
    every = Run.objects.all()
    known = [*columns.own(), *columns.settings(), columns.figure("loss")]
    for column in known:
        for down in (False, True):
            order = Order(column.key, down)
            list(run_table.in_order(every, order, [column], runs[0].requested_by))
            keys = [row["group"] for row in run_table.groups(every, order, [column])]
            assert set(keys) == {run.group for run in runs}, column.key
            shown = [row.cells[0][1] for row in run_table.group_rows(every, keys, [column])]
            if None not in shown and not column.is_number:
                assert shown == sorted(shown, reverse=down), column.key


@pytest.mark.parametrize("grouped", [{}, {"grouped": "yes"}])
def test_queries_do_not_grow_with_rows_nor_columns(
    grouped: dict[str, str], django_assert_num_queries: Any, django_assert_max_num_queries: Any
) -> None:
    runs = of_three_seeds()
    person = runs[0].requested_by
    client = logged_in(person)
    keys = ["seed", "figure:held_out/accuracy"]
    organising.choose_columns(person, keys)
    with django_assert_max_num_queries(16) as before:
        client.get(reverse(TABLE), grouped)
    for seed in range(9):
        again(runs[0], seed=seed, script={"steps": seed + 2})
    organising.choose_columns(person, [*keys, "figure:loss", "setting:optimizer.learning_rate"])
    with django_assert_num_queries(len(before)):
        client.get(reverse(TABLE), grouped)


def test_rest_finds_changes_and_archives() -> None:
    first = ended(make_run())
    second = again(first)
    api = Api(first.requested_by)
    change = {"name": "New", "tags": ["paper", " paper "], "notes": "", "archived": True}
    answer = api.patch(f"runs/{first.pk}", change)
    assert answer.status_code == 200, answer.content
    assert (answer.json()["name"], answer.json()["tags"]) == ("New", ["paper"])
    found = {
        "runs": [second.pk],
        "runs?archived=true": [first.pk],
        "runs?archived=any": [second.pk, first.pk],
        "runs?archived=any&tag=paper": [first.pk],
        "runs?archived=any&search=new": [first.pk],
        f"runs?group={second.group}": [second.pk],
    }
    for path, expected in found.items():
        assert [run["id"] for run in api.get(path).json()["results"]] == expected, path
    assert api.patch(f"runs/{second.pk}", {"notes": "x", "archived": True}).status_code == 409
    second.refresh_from_db()
    assert second.notes == ""
    assert api.patch(f"runs/{first.pk}", {"tags": ["a,b"]}).status_code == 400
    assert api.get("runs?archived=perhaps").status_code == 400
    reviewer = Api(make_member(first.project, "reviewer"))
    assert reviewer.patch(f"runs/{first.pk}", {"name": "Mine"}).status_code == 403


def test_rest_gives_groups_with_means_over_seeds() -> None:
    runs = of_three_seeds()
    again(runs[0], kind="fake_evaluation")
    api = Api(runs[0].requested_by)
    answer = api.get("run-groups?kind=fake_reward&figure=held_out/accuracy")
    [group] = answer.json()["results"]
    assert group["runs"] == [run.pk for run in reversed(runs)]
    assert (group["seeds"], len(group["counted"])) == ([1, 2, 3], 3)
    [figure] = group["figures"]
    assert (figure["mean"], figure["n"]) == (2, 3)
    assert (figure["low"], figure["high"]) == pytest.approx((-0.484, 4.484), abs=1e-3)
    pages = api.get("run-groups?page_size=1").json()
    rest = pages["next"].partition("/api/v1/")[2]
    assert api.get(rest).json()["results"][0]["group"] == group["group"]
    [alone] = api.get("run-groups?kind=fake_evaluation").json()["results"]
    assert alone["figures"] == []

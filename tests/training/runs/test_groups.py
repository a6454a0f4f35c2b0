"""Which runs are of one group: those that differ in the seed alone."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.db.models.functions import Now

from tests.training.factories import make_checkpoint, make_run
from training.models import Checkpoint, Run, State
from training.runs import groups

pytestmark = pytest.mark.django_db
FILL = import_module("training.migrations.0012_groups_of_runs")


def again(run: Run, **more: Any) -> Run:
    return make_run(run.project, **{"base": run.base, "kind": run.kind, **more})


def test_only_the_seed_and_what_alters_no_result_may_differ() -> None:
    first = make_run(seed=1)
    assert again(first, seed=2, max_attempts=1).group == first.group
    assert again(first, changes={"optimizer": {"learning_rate": 0.5}}).group != first.group
    assert again(first, script={"steps": 2}).group != first.group
    assert make_run(seed=1).group != first.group


def test_whole_chains_of_two_seeds_are_alike_step_by_step() -> None:
    first = make_run(seed=1)
    other = again(first, seed=2)
    ends = [again(run, kind="fake_ppo", after=run, seed=run.seed) for run in (first, other)]
    assert ends[0].group == ends[1].group
    # Named later instead of in the chain, what one of them made is the same.
    made = make_checkpoint(other, kind=Checkpoint.Kind.REWARD_MODEL)
    assert again(first, kind="fake_ppo", seed=5, reward_model=made).group == ends[0].group
    other_made = make_checkpoint(
        again(first, script={"steps": 9}), kind=Checkpoint.Kind.REWARD_MODEL
    )
    assert again(first, kind="fake_ppo", reward_model=other_made).group != ends[0].group


def test_numbers_are_as_a_database_gives_them_back() -> None:
    assert groups.digest([{"rate": 1.0}]) == groups.digest([{"rate": 1}])
    assert groups.digest([{"rate": 1e-05}]) != groups.digest([{"rate": 1e-06}])
    run = make_run(changes={"optimizer": {"learning_rate": 1e-05}})
    assert groups.key_of(Run.objects.get(pk=run.pk)) == run.group


def test_the_runs_there_were_get_the_same_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FILL, "PORTION", 2)
    first = make_run(seed=1)
    made = make_checkpoint(first, kind=Checkpoint.Kind.REWARD_MODEL)
    for seed in (2, 3):
        again(first, seed=seed)
    again(first, kind="fake_ppo", seed=4, reward_model=made)
    known = dict(Run.objects.values_list("pk", "group"))
    Run.objects.update(group="")
    for _ in range(2):
        FILL.fill(apps, SimpleNamespace(connection=connection))
        assert dict(Run.objects.values_list("pk", "group")) == known


def test_of_each_seed_the_newest_that_succeeded_counts() -> None:
    first = make_run(seed=1)
    runs = [first, again(first, seed=1), again(first, seed=2), again(first, seed=3)]
    for run in runs[:3]:
        Run.objects.filter(pk=run.pk).update(state=State.SUCCEEDED, finished_at=Now())
    assert set(Run.objects.counted()) == {runs[1], runs[2]}
    Run.objects.filter(pk=runs[1].pk).update(archived_at=Now())
    assert set(Run.objects.counted()) == {first, runs[2]}


def test_one_seed_on_models_of_two_seeds_is_two_draws() -> None:
    first = make_run(seed=1)
    rewards = [first, again(first, seed=2), again(first, seed=2)]
    made = [make_checkpoint(run, kind=Checkpoint.Kind.REWARD_MODEL) for run in rewards]
    policies = [again(first, kind="fake_ppo", seed=0, reward_model=one) for one in made]
    measured = [
        again(first, kind="fake_evaluation", seed=0, policy=make_checkpoint(run))
        for run in policies
    ]
    Run.objects.update(state=State.SUCCEEDED, finished_at=Now())
    for runs in (rewards, policies, measured):
        [group] = {run.group for run in runs}
        assert set(Run.objects.counted().filter(group=group)) == {runs[0], runs[2]}

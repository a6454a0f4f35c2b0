"""The form that starts a chain of runs: what it starts, what it refuses, who sees it."""

from typing import Any

import pytest
from django.urls import reverse

from annotation.models import Release
from tests.factories import make_member, make_project
from tests.training.factories import make_base
from tests.training.test_views import logged_in, make_release
from training.models import Run

pytestmark = pytest.mark.django_db


def chain_form(**fields: Any) -> dict[str, Any]:
    filled = {
        "name": "First try",
        "facts": "with",
        "preset": "small-world",
        "seed": 3,
        "gpus": 0,
        "max_attempts": 2,
        "reward.include": "on",
        "ppo.include": "on",
        **fields,
    }
    return {name: value for name, value in filled.items() if value is not None}


def start(user: Any, release: Release, **fields: Any) -> Any:
    address = f"{reverse('training:chain-new')}?release={release.pk}"
    return logged_in(user).post(address, chain_form(**fields))


def test_the_chain_form_starts_runs_one_after_the_other() -> None:
    project = make_project()
    manager, release, base = make_member(project, "manager"), make_release(project), make_base()
    answer = start(
        manager,
        release,
        base=base.pk,
        **{"reward.optimizer.learning_rate": "0.004", "ppo.steps": "7"},
    )
    assert answer.status_code == 302
    reward, ppo = Run.objects.order_by("pk")
    assert (reward.kind, ppo.kind, ppo.after) == ("reward", "ppo", reward)
    assert reward.settings["optimizer"]["learning_rate"] == 0.004
    assert (reward.settings["with_facts"], ppo.settings["steps"]) == (True, 7)
    assert (reward.preset, reward.seed, reward.max_attempts) == ("small-world", 3, 2)
    assert reward.model["dtype"] == "float32"
    assert reward.release == ppo.release == release


def test_both_kinds_of_reward_model_make_two_chains() -> None:
    project = make_project()
    release = make_release(project)
    start(make_member(project, "manager"), release, base=make_base().pk, facts="both")
    facts = [run.settings["with_facts"] for run in Run.objects.order_by("pk")]
    assert facts == [True, True, False, False]
    assert Run.objects.values("chain").distinct().count() == 2


@pytest.mark.parametrize("facts", ["with", "both"])
def test_dpo_in_place_of_reward_model_and_ppo_is_one_run_without_facts(facts: str) -> None:
    project = make_project()
    ticked = {"reward.include": None, "ppo.include": None, "dpo.include": "on", "dpo.beta": "0.3"}
    manager, release = make_member(project, "manager"), make_release(project)
    start(manager, release, base=make_base().pk, facts=facts, **ticked)
    run = Run.objects.get()
    assert (run.kind, run.settings["beta"], run.release) == ("dpo", 0.3, release)
    assert "with_facts" not in run.settings


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ppo.clip_range": "-1"}, "greater than or equal to 0"),
        ({"reward.epochs": "many"}, "Enter a number"),
        ({"ppo.ensemble_pessimism": "1"}, "needs a reward model with several heads"),
        ({"ppo.token_reward_coefficient": "1"}, "needs a reward model that was trained on marked"),
        ({"reward.include": None, "ppo.include": None}, "Tick at least one run"),
        ({"reward.include": None}, "PPO needs one"),
        ({"dpo.include": "on"}, "Choose PPO or DPO"),
        ({"sample.include": "on"}, "need an answer"),
        ({"base": "0"}, "Select a valid choice"),
    ],
)
def test_the_chain_form_names_what_is_wrong_and_starts_nothing(
    wrong: dict[str, Any], said: str
) -> None:
    project = make_project()
    release, base = make_release(project), make_base()
    answer = start(make_member(project, "manager"), release, **{"base": base.pk, **wrong})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not Run.objects.exists()


def test_the_chain_form_asks_what_kinds_of_other_apps_ask() -> None:
    project = make_project()
    manager, release = make_member(project, "manager"), make_release(project)
    address = f"{reverse('training:chain-new')}?release={release.pk}"
    page = logged_in(manager).get(address).content.decode()
    assert "fake_evaluation.options-script" in page
    assert "Reward model" in page


@pytest.mark.parametrize("role", ["reviewer", "annotator", None])
def test_only_managers_train_from_a_release(role: str | None) -> None:
    project = make_project()
    release = make_release(project)
    user = make_member(project if role else make_project(), role or "manager")
    assert start(user, release, base=make_base().pk).status_code == 404
    assert not Run.objects.exists()

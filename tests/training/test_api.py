"""REST of training: what it starts, what it shows, whom it refuses."""

from typing import Any

import pytest

from tests.annotation.api import Api
from tests.factories import make_member, make_project
from tests.training.factories import make_base, make_checkpoint, make_run
from training.models import Metric, Run, State
from training.runs import scheduling

pytestmark = pytest.mark.django_db


def asked(project: Any, **fields: Any) -> dict[str, Any]:
    return {
        "project": project.slug,
        "base": make_base().pk,
        "preset": "small-world",
        "kind": "fake_reward",
        "options": {"script": {"steps": 2}},
        **fields,
    }


def test_a_run_is_queued_with_the_preset_and_the_changes() -> None:
    project = make_project()
    api = Api(make_member(project, "manager"))
    body = asked(project, settings={"optimizer": {"learning_rate": 0.5}}, seed=4)
    answer = api.post("runs", body)
    assert answer.status_code == 201, answer.content
    run = Run.objects.get(pk=answer.json()["id"])
    assert (run.state, run.seed, run.options) == (State.QUEUED, 4, {"script": {"steps": 2}})
    assert run.settings["optimizer"]["learning_rate"] == 0.5
    assert run.settings["lora"]["rank"] == 32


def test_a_chain_is_queued_in_order() -> None:
    project = make_project()
    api = Api(make_member(project, "manager"))
    steps = [{"kind": "fake_reward"}, {"kind": "fake_ppo"}, {"kind": "fake_evaluation"}]
    body = {**asked(project), "name": "All", "steps": steps}
    answer = api.post("chains", body)
    assert answer.status_code == 201, answer.content
    first, second, third = Run.objects.filter(pk__in=answer.json()["runs"]).order_by("pk")
    assert (second.after, third.after) == (first, second)


def test_the_same_idempotency_key_starts_one_run() -> None:
    project = make_project()
    api = Api(make_member(project, "manager"))
    body = asked(project)
    answers = [api.post("runs", body, **{"Idempotency-Key": "one"}) for _ in range(3)]
    assert {answer.json()["id"] for answer in answers} == {Run.objects.get().pk}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"kind": "magic"}, "kind"),
        ({"kind": "fake_ppo"}, "reward_model"),
        ({"settings": {"epochs": -1}}, "settings.epochs"),
        (
            {"settings": {"optimizer": {"learning_rate": "high"}}},
            "settings.optimizer.learning_rate",
        ),
        ({"settings": {"epoch": 1}}, "settings.epoch"),
        ({"model": {"dtype": "int3"}}, "model.dtype"),
        ({"options": {"script": "{"}}, "options.script"),
        ({"options": {"prompts": 3}}, "options.prompts"),
        ({"gpus": 1000}, "gpus"),
        ({"preset": "best"}, "preset"),
        ({"base": 10**9}, "base"),
        ({"release": 10**9}, "release"),
        ({"after": 10**9}, "after"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_queued(wrong: dict[str, Any], field: str) -> None:
    project = make_project()
    answer = Api(make_member(project, "manager")).post("runs", asked(project, **wrong))
    assert answer.status_code in (400, 422), answer.content
    problem = answer.json()
    named = problem.get("field") or problem["errors"][0]["field"]
    assert named == field
    assert not Run.objects.exists()


def test_a_chain_with_one_wrong_run_starts_none() -> None:
    project = make_project()
    steps = [{"kind": "fake_reward"}, {"kind": "magic"}]
    body = {**asked(project), "name": "All", "steps": steps}
    assert Api(make_member(project, "manager")).post("chains", body).status_code == 422
    assert not Run.objects.exists()


@pytest.mark.parametrize(("role", "status"), [("reviewer", 403), ("annotator", 403), (None, 404)])
def test_only_managers_start_and_cancel_runs(role: str | None, status: int) -> None:
    run = make_run()
    user = make_member(run.project if role else make_project(), role or "manager")
    api = Api(user)
    assert api.post("runs", asked(run.project)).status_code == status
    assert api.post(f"runs/{run.pk}/cancel").status_code == status
    run.refresh_from_db()
    assert run.state == State.QUEUED
    assert Run.objects.count() == 1


def test_a_run_that_ended_without_success_is_resumed_and_no_other() -> None:
    run = make_run()
    api = Api(run.requested_by)
    assert api.post(f"runs/{run.pk}/resume").json()["detail"] == "It is queued."
    api.post(f"runs/{run.pk}/cancel")
    assert api.post(f"runs/{run.pk}/resume").json()["state"] == State.QUEUED


def test_a_token_needs_the_scope_train_to_start_or_cancel() -> None:
    run = make_run()
    api = Api(run.requested_by, "read", "manage", "annotate")
    assert api.get(f"runs/{run.pk}").status_code == 200
    assert api.post("runs", asked(run.project)).status_code == 403
    assert api.post(f"runs/{run.pk}/cancel").status_code == 403
    assert Api(run.requested_by, "train").post(f"runs/{run.pk}/cancel").status_code == 200


@pytest.mark.parametrize(("role", "status"), [("reviewer", 200), ("annotator", 403), (None, 404)])
def test_runs_and_checkpoints_are_seen_from_reviewers_on(role: str | None, status: int) -> None:
    checkpoint = make_checkpoint(make_run())
    run = checkpoint.run
    assert run is not None
    api = Api(make_member(run.project if role else make_project(), role or "manager"))
    for path in (f"runs/{run.pk}", f"runs/{run.pk}/metrics", f"checkpoints/{checkpoint.pk}"):
        assert api.get(path).status_code == status
    visible = status == 200
    assert bool(api.get("runs").json()["results"]) == visible
    found = [row["id"] for row in api.get("checkpoints").json()["results"]]
    assert (checkpoint.pk in found) == visible


def test_lists_filter_by_known_parameters_and_refuse_others() -> None:
    run = make_run()
    api = Api(run.requested_by)
    assert len(api.get("runs", state="queued").json()["results"]) == 1
    assert api.get("runs", state="failed").json()["results"] == []
    assert api.get("runs", state="odd").status_code == 400
    assert api.get("runs", requested_by__password="x").status_code == 400
    assert api.get("checkpoints", kind="odd").status_code == 400


def test_a_run_tells_its_attempts_log_and_figures() -> None:
    run = make_run()
    attempt = scheduling.claim(run.pk, host="node-7", gpus=0)
    assert attempt is not None
    attempt.log_tail = "all is well"
    attempt.save()
    Metric.objects.create(run=run, name="train/loss", step=1, value=0.5)
    api = Api(run.requested_by)
    told = api.get(f"runs/{run.pk}").json()
    assert (told["state"], told["log_tail"]) == ("running", "all is well")
    assert told["attempts"][0]["host"] == "node-7"
    assert "token" not in told
    curves = api.get(f"runs/{run.pk}/metrics").json()
    assert curves == [{"name": "train/loss", "steps": [1], "values": [0.5]}]


def test_a_checkpoint_tells_its_lineage() -> None:
    reward = make_run()
    model = make_checkpoint(reward, kind="reward_model")
    Run.objects.filter(pk=reward.pk).update(
        state=State.SUCCEEDED, finished_at=reward.created_at, started_at=reward.created_at
    )
    ppo = make_run(reward.project, kind="fake_ppo", base=reward.base, reward_model=model)
    policy = make_checkpoint(ppo)
    told = Api(ppo.requested_by).get(f"checkpoints/{policy.pk}").json()
    assert [(one["role"], one["id"]) for one in told["lineage"]] == [
        ("reward model", model.pk),
        ("base", reward.base_id),
    ]

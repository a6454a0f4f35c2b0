"""Pages of training: who sees them, what they show, what their forms start."""

import re
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from annotation.models import Release
from annotation.models.projects import Role
from tests.factories import make_admin, make_image, make_member, make_project, make_prompt
from tests.training.factories import make_base, make_checkpoint, make_run
from training.models import Checkpoint, Metric, Run, Sample, State
from training.runs import scheduling

pytestmark = pytest.mark.django_db


def logged_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def make_release(project: Any) -> Release:
    """A ready release whose artefact nobody reads."""
    return Release.objects.create(
        project=project,
        number=1,
        state=Release.State.READY,
        sha256="0" * 64,
        artefact="releases/none",
        frozen_at=timezone.now(),
        counts={"train": 9, "held_out": 1},
    )


def run_pages(run: Run) -> list[str]:
    names = ["run", "run-live", "run-log", "run-samples", "run-figures"]
    return [reverse(f"training:{name}", args=[run.pk]) for name in names] + [
        reverse("training:run-metrics", args=[run.pk, "loss"])
    ]


@pytest.mark.parametrize(
    ("role", "status"), [("manager", 200), ("reviewer", 200), ("annotator", 403), (None, 404)]
)
def test_pages_of_a_run_are_for_reviewers_and_managers(role: str | None, status: int) -> None:
    run = make_run()
    user = make_member(run.project if role else make_project(), role or "manager")
    client = logged_in(user)
    assert {client.get(page).status_code for page in run_pages(run)} == {status}


@pytest.mark.parametrize(
    ("role", "status"), [("manager", 302), ("reviewer", 403), ("annotator", 403), (None, 404)]
)
def test_cancelling_is_for_managers(role: str | None, status: int) -> None:
    run = make_run()
    user = make_member(run.project if role else make_project(), role or "manager")
    address = reverse("training:run-cancel", args=[run.pk])
    assert logged_in(user).post(address).status_code == status
    run.refresh_from_db()
    assert run.state == (State.CANCELLED if role == "manager" else State.QUEUED)


def test_a_run_is_resumed_from_its_page_once_what_it_comes_after_may_go_on() -> None:
    first = make_run()
    second = make_run(kind="fake_ppo", after=first)
    client = logged_in(first.requested_by)
    scheduling.cancel(first)
    addresses = [reverse("training:run-resume", args=[run.pk]) for run in (first, second)]
    assert addresses[0] in client.get(first.get_absolute_url()).content.decode()
    assert addresses[1] not in client.get(second.get_absolute_url()).content.decode()
    page = client.post(addresses[1], follow=True).content.decode()
    assert "which is cancelled: resume that first" in page
    client.post(addresses[0])
    first.refresh_from_db()
    assert first.state == State.QUEUED


def test_the_page_of_a_run_tells_what_it_uses_of_its_host() -> None:
    run = make_run(gpus=1)
    attempt = scheduling.claim(run.pk, host="node", gpus=1)
    assert attempt is not None
    client = logged_in(run.requested_by)

    def words() -> str:
        page = client.get(run.get_absolute_url()).content.decode().replace("\xa0", " ")
        return " ".join(strip_tags(page.replace("<", " <")).split())

    assert "Memory and processors on node" not in words()
    gpu = {"index": 0, "utilisation": 0.87, "memory": 60 << 30, "memory_total": 80 << 30}
    measured = {"memory": 3 << 30, "memory_peak": 4 << 30, "processors": 1.5, "gpus": [gpu]}
    scheduling.heartbeat(attempt, measured)
    assert (
        "Memory and processors on node Memory 3.0 GB at most 4.0 GB Processors 1.5 busy" in words()
    )
    assert "GPU 0 87 % 60.0 GB of 80.0 GB" in words()
    scheduling.fail(attempt, "the data is unusable")
    assert "Memory and processors on node Memory 4.0 GB at most" in words()
    assert "87 %" not in words()


def test_cancelling_takes_a_post() -> None:
    run = make_run()
    address = reverse("training:run-cancel", args=[run.pk])
    assert logged_in(run.requested_by).get(address).status_code == 405


def test_pages_lead_strangers_to_the_login() -> None:
    run = make_run()
    for address in [*run_pages(run), reverse("training:runs"), reverse("training:chain-new")]:
        assert Client().get(address).url.startswith("/login/")


def test_the_list_shows_the_runs_of_own_projects_only() -> None:
    mine, foreign = make_run(), make_run()
    Run.objects.filter(pk=mine.pk).update(name="Visible run")
    Run.objects.filter(pk=foreign.pk).update(name="Secret run")
    page = logged_in(mine.requested_by).get(reverse("training:runs")).content.decode()
    assert "Visible run" in page
    assert "Secret run" not in page
    annotator = make_member(mine.project, "annotator")
    assert "Visible run" not in logged_in(annotator).get(reverse("training:runs")).content.decode()


def test_the_list_filters_by_state_and_ignores_what_it_does_not_know() -> None:
    run = make_run()
    client = logged_in(run.requested_by)
    listed = reverse("training:runs")
    assert run.name in client.get(listed, {"state": "queued"}).content.decode()
    assert "No run matches" in client.get(listed, {"state": "failed"}).content.decode()
    unknown = {"requested_by__password__startswith": "a", "state": "nonsense", "page": "x"}
    assert client.get(listed, unknown).status_code == 200


def test_queries_of_the_list_do_not_grow_with_its_rows(
    django_assert_max_num_queries: Any,
) -> None:
    first = make_run()
    client = logged_in(make_admin())
    for _ in range(12):
        make_run(first.project, base=first.base)
    with django_assert_max_num_queries(14):
        client.get(reverse("training:runs"))


def test_a_run_page_shows_progress_curves_samples_and_log() -> None:
    run = make_run()
    attempt = scheduling.claim(run.pk, host="node-7", gpus=0)
    assert attempt is not None
    image = make_image()
    make_prompt(run.project, image=image)
    Run.objects.filter(pk=run.pk).update(
        stage="training", progress_done=3, progress_total=12, progress_unit="step"
    )
    attempt.log_tail = "a warning <b>from</b> torch"
    attempt.save()
    Metric.objects.create(run=run, name="train/loss", step=3, value=0.25)
    Sample.objects.create(
        run=run,
        step=3,
        prompt_id="p",
        image=image.filename,
        prompt="What is it?",
        response="<script>alert(1)</script>",
        reward=1.5,
        facts=["a red circle"],
    )
    page = logged_in(run.requested_by).get(run.get_absolute_url()).content.decode()
    for text in ("3 of 12 steps", "node-7", "a red circle", "1.5", image.sha256, "train/loss"):
        assert text in page
    assert "&lt;script&gt;alert(1)" in page
    assert "a warning &lt;b&gt;from" in page
    assert 'hx-trigger="every 2s, look-again"' in page


def test_a_queued_run_names_what_it_waits_for() -> None:
    first = make_run()
    second = make_run(after=first)
    Run.objects.filter(pk=first.pk).update(name="The one before")
    Run.objects.filter(pk=second.pk).update(stage="waiting for another worker")
    client = logged_in(first.requested_by)
    pages = (reverse("training:run-live", args=[second.pk]), reverse("training:runs"))
    for page in pages:
        assert "waits for" in client.get(page).content.decode().lower()
    Run.objects.filter(pk=first.pk).update(state=State.SUCCEEDED, finished_at=Now())
    for page in pages:
        assert "waiting for another worker" in client.get(page).content.decode().lower()


@pytest.mark.parametrize(("state", "polled"), [("succeeded", set()), ("cancelled", {"20s"})])
def test_an_ended_run_is_asked_for_only_where_somebody_may_resume_it(
    state: str, polled: set[str]
) -> None:
    run = make_run()
    Run.objects.filter(pk=run.pk).update(state=state, finished_at=Now())
    client = logged_in(run.requested_by)
    pages = [client.get(page).content.decode() for page in run_pages(run)[:5]]
    assert set(re.findall(r'hx-trigger="every (.*?)"', "".join(pages))) == polled


def test_figures_are_sent_again_only_when_there_are_new_ones() -> None:
    run = make_run()
    client = logged_in(run.requested_by)
    address = reverse("training:run-figures", args=[run.pk])
    assert client.get(address, {"have": "0"}).status_code == 204
    Metric.objects.create(run=run, name="train/loss", step=1, value=0.25)
    assert "data-chart" in client.get(address, {"have": "0"}).content.decode()


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


def test_checkpoints_of_other_projects_are_hidden() -> None:
    mine, foreign = make_checkpoint(make_run()), make_checkpoint(make_run())
    assert mine.run is not None
    client = logged_in(mine.run.requested_by)
    listed = client.get(reverse("training:checkpoints")).content.decode()
    assert mine.name in listed
    assert foreign.name not in listed
    assert client.get(mine.get_absolute_url()).status_code == 200
    assert client.get(foreign.get_absolute_url()).status_code == 404


def test_a_file_of_a_checkpoint_is_an_attachment_and_nothing_else_is_served() -> None:
    checkpoint = make_checkpoint(make_run(), files=[{"name": "config.json", "size": 2}])
    default_storage.save(f"{checkpoint.path}/config.json", ContentFile(b"{}"))
    default_storage.save(f"{checkpoint.path}/secret.json", ContentFile(b"{}"))
    assert checkpoint.run is not None
    client = logged_in(checkpoint.run.requested_by)

    def get(name: str) -> Any:
        return client.get(f"{checkpoint.get_absolute_url()}files/{name}")

    answer = get("config.json")
    assert b"".join(answer.streaming_content) == b"{}"
    assert answer["Content-Disposition"].startswith("attachment")
    for name in ("secret.json", "../secret.json", "/etc/passwd"):
        assert get(name).status_code == 404


def test_three_figures_of_a_checkpoint_stand_open_and_the_rest_are_folded() -> None:
    run = make_run()
    names = ["ppo/kl", "ppo/reward", "ppo/seconds", "ppo/value_loss", "held_out/accuracy"]
    make_checkpoint(run, metrics=dict.fromkeys(names, 0.5))
    page = logged_in(run.requested_by).get(reverse("training:run-live", args=[run.pk]))
    open_part, _, folded = page.content.decode().partition("<details")
    assert [name in open_part for name in ("PPO reward", "held out accuracy", "PPO KL")] == [
        True
    ] * 3
    assert "PPO seconds" not in open_part
    assert "2 more" in folded
    assert "PPO seconds" in folded
    assert "PPO value loss" in folded


def test_a_checkpoint_is_promoted_and_kept_or_deleted_from_its_page() -> None:
    checkpoint = make_checkpoint(make_run())
    assert checkpoint.run is not None
    client = logged_in(checkpoint.run.requested_by)

    def post(name: str, **sent: str) -> str:
        address = reverse(f"training:checkpoint-{name}", args=[checkpoint.pk])
        return client.post(address, sent, follow=True).content.decode()

    assert "Take promotion back" in post("promote")
    assert "was not deleted" in post("delete")
    assert "no longer promoted" in post("promote", promoted="no")
    assert "was deleted" in post("delete")
    assert client.get(checkpoint.get_absolute_url()).status_code == 404


def test_nobody_promotes_a_base_and_only_administrators_delete_one() -> None:
    run = make_run()
    assert run.base is not None
    client = logged_in(make_admin())
    assert "Promote" not in client.get(run.base.get_absolute_url()).content.decode()
    promote, delete = (
        reverse(f"training:checkpoint-{name}", args=[run.base.pk]) for name in ("promote", "delete")
    )
    assert client.post(promote).status_code == 404
    manager = logged_in(make_member(run.project, Role.MANAGER))
    assert manager.post(delete).status_code in (403, 404)
    assert Checkpoint.objects.filter(pk=run.base.pk).exists()


def test_one_click_on_a_policy_asks_for_new_pairs_from_it() -> None:
    maker = make_run(seed=9, preset="small-world")
    policy = make_checkpoint(maker)
    client = logged_in(maker.requested_by)
    assert "Sample new pairs" in client.get(policy.get_absolute_url()).content.decode()
    answer = client.post(reverse("training:checkpoint-sample", args=[policy.pk]))
    run = Run.objects.latest("pk")
    assert answer.url == run.get_absolute_url()
    assert (run.kind, run.policy, run.base, run.project) == (
        "sample",
        policy,
        maker.base,
        maker.project,
    )
    assert (run.model, run.preset, run.seed) == (maker.model, "small-world", 0)
    assert run.options == {"prompts": 500}
    assert run.settings["samples_per_prompt"] >= 2
    client.post(reverse("training:checkpoint-sample", args=[policy.pk]))
    assert Run.objects.latest("pk").seed == 1


def test_pairs_are_sampled_from_policies_only() -> None:
    judge = make_checkpoint(make_run(), kind="reward_model")
    assert judge.run is not None
    client = logged_in(judge.run.requested_by)
    assert "Sample new pairs" not in client.get(judge.get_absolute_url()).content.decode()
    address = reverse("training:checkpoint-sample", args=[judge.pk])
    assert "Nothing was started" in client.post(address, follow=True).content.decode()
    assert Run.objects.count() == 1

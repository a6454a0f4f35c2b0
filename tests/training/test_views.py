"""Pages of training: who sees them, what they show, what their forms start."""

import re
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from annotation.models import Release
from tests.factories import make_admin, make_image, make_member, make_project, make_prompt
from tests.training.factories import make_run
from training.models import Metric, Run, Sample, State
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

"""Five people who click at random within a second: every page from label to score must say so."""

from __future__ import annotations

import random
import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation import exporting, queue
from annotation.models import Project, Release
from annotation.quality.concerns import CHANCE, FAST, UNINFORMATIVE
from annotation.releases.freezing import NotAboveChance
from benchmark.models import Evaluation
from tests.benchmark.factories import make_evaluation
from tests.factories import make_comparison, make_member, make_project, make_token
from tests.training.factories import make_base, make_run
from tests.training.fake_app import fake_kinds
from training.checkpoints import cards
from training.models import Run
from training.runs import execution

pytestmark = pytest.mark.django_db(transaction=True)

LONG = "A brown dog lies on a red blanket beside a window, and a cup stands on the sill above it. "
ACCEPTED = {"accept_chance_agreement": True}


def click(project: Project, people: int, choose: Any, *, seconds: float) -> None:
    for _ in range(people):
        person = make_member(project)
        while (lease := queue.claim(project, person)) is not None:
            answer = queue.Answer(
                more_hallucinated=choose(lease),
                active_seconds=seconds,
            )
            queue.submit(person, lease.token, answer, client_uuid=uuid.uuid4())


def labelled(choose: Any, *, seconds: float) -> Project:
    project = make_project(k=3, gold_rate=0, repeat_rate=0)
    for number in range(48):
        words = {"response_1": f"{LONG}It is number {number}.", "response_2": f"{LONG}No {number}!"}
        make_comparison(project, **words)
    click(project, 3, choose, seconds=seconds)
    return project


@pytest.fixture
def noise() -> Project:
    clicks = random.Random(7)
    return labelled(lambda lease: clicks.choice("12"), seconds=1.0)


@pytest.fixture
def careful() -> Project:
    slips = random.Random(7)

    def choose(lease: Any) -> str:
        right = 1 + lease.comparison_id % 2
        return str(3 - right if slips.random() < 0.1 else right)

    return labelled(choose, seconds=20.0)


def page(project: Project, name: str, *arguments: Any, **query: Any) -> str:
    client = Client()
    manager = project.memberships.filter(role="manager").first()
    client.force_login(manager.user if manager else make_member(project, "manager"))
    answer = client.get(reverse(name, args=arguments), query)
    assert answer.status_code == 200, name
    return answer.content.decode()


def test_the_pages_of_the_project_say_what_the_answers_are(noise: Project) -> None:
    for name in ("annotation:project", "annotation:quality", "annotation:releases"):
        shown = page(noise, name, noise.slug)
        for code in (CHANCE, FAST, UNINFORMATIVE):
            assert f'data-concern="{code}"' in shown, (name, code)
        assert "nothing stands out" not in shown.lower()


def test_careful_answers_are_left_in_peace(careful: Project) -> None:
    for name in ("annotation:project", "annotation:quality", "annotation:releases"):
        assert "data-concern" not in page(careful, name, careful.slug), name
    release = exporting.make_release(careful)
    assert release.warnings == []
    assert "accept_chance_agreement" not in page(careful, "annotation:releases", careful.slug)


def test_a_release_of_noise_needs_a_word_on_page_rest_and_in_code(noise: Project) -> None:
    with pytest.raises(NotAboveChance, match="not shown to be above chance"):
        exporting.make_release(noise)
    client = Client()
    manager = make_member(noise, "manager")
    client.force_login(manager)
    address = reverse("annotation:releases", args=[noise.slug])
    form = {"held_out_percent": 10, "seed": 0}
    refused = client.post(address, form)
    assert refused.status_code == 422
    assert "Tick this to freeze answers that may be noise." in refused.content.decode()
    assert client.post(address, {**form, "accept_chance_agreement": "on"}).status_code == 302
    token = {"HTTP_AUTHORIZATION": f"Bearer {make_token(manager)}"}
    rest = f"/api/v1/projects/{noise.slug}/releases"
    answer = client.post(rest, {}, content_type="application/json", **token)
    assert answer.status_code == 409
    assert "agree" in answer.json()["title"]
    accepted = {"policy": ACCEPTED}
    made = client.post(rest, accepted, content_type="application/json", **token)
    assert made.status_code == 201
    assert CHANCE in {one["code"] for one in made.json()["warnings"]}


def trained(release: Release, project: Project) -> Run:
    fake_kinds.register_all()
    run = make_run(project, kind="fake_from_release", release=release, base=make_base())
    execution.execute(run.pk)
    return Run.objects.get(pk=run.pk)


def test_what_is_made_of_noise_carries_the_warning_to_the_leaderboard(
    noise: Project, settings: Any, tmp_path: Any
) -> None:
    settings.RUNS_ROOT = tmp_path / "runs"
    release = exporting.make_release(noise, policy=ACCEPTED)
    told = f'data-concern="{CHANCE}"'
    assert told in page(noise, "annotation:release", noise.slug, release.number)
    assert told in page(noise, "training:chain-new", release=release.pk)
    run = trained(release, noise)
    reward_model = run.checkpoints.get()
    assert told in page(noise, "training:run", run.pk)
    assert told in page(noise, "training:checkpoint", reward_model.pk)
    assert "not shown to be above chance" in cards.model_card(reward_model)
    after = make_run(noise, kind="fake_ppo", reward_model=reward_model, base=run.base)
    execution.execute(after.pk)
    policy = after.checkpoints.get()
    assert told in page(noise, "training:run", after.pk)
    make_evaluation([6, 5, 4, 3, 2, 1, 0, 6], checkpoint=policy, project=noise)
    assert told in page(noise, "benchmark:leaderboard")
    assert told in page(noise, "benchmark:evaluation", Evaluation.objects.get().pk)

"""Cloning: the form is filled with what the original was asked, and starts the same again."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Release
from tests.factories import make_member, make_project
from tests.training.factories import make_base, make_checkpoint, make_run
from tests.training.test_chain_form import chain_form
from tests.training.test_views import logged_in, make_release
from training.chain_form import ChainForm
from training.figures import comparing
from training.models import Chain, Checkpoint, Run
from training.runs import cloning, requests
from training.runs.requests import Common, Step

pytestmark = pytest.mark.django_db

NEW = "training:chain-new"


def compared(*runs: Run) -> list[comparing.Item]:
    return comparing.items(Run.objects.all(), [], [run.pk for run in runs], "")


def make_chain(**fields: Any) -> Chain:
    project = make_project()
    common = Common(
        project=project,
        requested_by=make_member(project, "manager"),
        base=make_base(),
        release=make_release(project),
        preset="small-world",
        model_changes={"pad_images_to_square": True},
        seed=7,
        **fields,
    )
    changes = {"with_facts": False, "optimizer": {"learning_rate": 0.004}}
    steps = [Step("reward", changes=changes), Step("ppo", {"steps": 7, "with_facts": False})]
    return requests.request_chain(common, steps, name="First")


def form_of(original: cloning.Original | None, user: Any) -> ChainForm:
    assert original is not None
    return ChainForm(
        None,
        release=original.release,
        user=user,
        checkpoints=Checkpoint.objects.all(),
        original=original,
    )


def answers(form: ChainForm) -> dict[str, Any]:
    """What a browser sends back when nothing is changed."""
    given = {bound.html_name: bound.value() for bound in form}
    for section in form.sections():
        given |= {bound.html_name: bound.value() for bound in section.options or ()}
    given = {name: getattr(value, "pk", value) for name, value in given.items()}
    return {
        name: value
        for name, value in given.items()
        if value not in (None, "") and value is not False
    }


def test_a_chain_sent_back_unchanged_asks_for_the_same_again() -> None:
    chain = make_chain()
    before = list(chain.runs.order_by("pk"))
    form = form_of(cloning.of_chain(chain), chain.created_by)
    address = f"{reverse(NEW)}?chain={before[0].pk}"
    assert logged_in(chain.created_by).post(address, answers(form)).status_code == 302
    after = list(Run.objects.exclude(chain=chain).order_by("pk"))
    assert [run.kind for run in after] == ["reward", "ppo"]
    for old, new in zip(before, after, strict=True):
        assert comparing.differences(compared(old, new)) == []
    assert before[0].model["pad_images_to_square"] is True
    assert after[0].name.startswith("First, changed")


def test_changes_are_shown_beside_the_usual_settings() -> None:
    chain = make_chain()
    form = form_of(cloning.of_chain(chain), chain.created_by)
    assert form["facts"].value() == "without"
    assert form["reward.optimizer.learning_rate"].value() == 0.004
    assert form["ppo.clip_range"].value() is None


def test_cloning_ppo_alone_names_the_reward_model_its_chain_had_made() -> None:
    chain = make_chain()
    reward, ppo = chain.runs.order_by("pk")
    made = make_checkpoint(reward, kind="reward_model")
    ppo.reward_model = made
    ppo.save()
    form = form_of(cloning.of_run(ppo), chain.created_by)
    assert [form[f"{kind}.include"].value() for kind in ("reward", "ppo")] == [False, True]
    address = f"{reverse(NEW)}?run={ppo.pk}"
    sent = answers(form) | {"ppo.steps": 9}
    assert logged_in(chain.created_by).post(address, sent).status_code == 302
    clone = Run.objects.latest("pk")
    assert [row.name for row in comparing.differences(compared(ppo, clone))] == ["steps"]


def test_a_run_without_a_release_or_place_in_chains_cannot_be_cloned() -> None:
    assert cloning.of_run(make_run()) is None
    run = make_run(kind="fake_evaluation")
    assert cloning.of_run(run) is None
    page = logged_in(run.requested_by).get(run.get_absolute_url()).content.decode()
    assert "Run again" not in page
    assert logged_in(run.requested_by).get(reverse(NEW), {"run": run.pk}).status_code == 404


@pytest.mark.parametrize("role", ["reviewer", "annotator", None])
def test_cloning_is_for_managers(role: str | None) -> None:
    chain = make_chain()
    run = chain.runs.earliest("pk")
    client = Client()
    client.force_login(make_member(chain.project if role else make_project(), role or "manager"))
    refused = 403 if role else 404
    assert client.get(reverse(NEW), {"run": run.pk}).status_code == refused
    sent = chain_form(base=run.base_id)
    assert client.post(f"{reverse(NEW)}?chain={run.pk}", sent).status_code == refused
    assert Run.objects.count() == 2


def test_what_is_no_run_is_not_found() -> None:
    client = logged_in(make_chain().created_by)
    for wanted in ("x", "", "9" * 30, "0"):
        assert client.get(reverse(NEW), {"run": wanted}).status_code == 404
    assert Release.objects.count() == 1

"""Pages of checkpoints: who sees them, their files, and what is done with one."""

from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.urls import reverse

from annotation.models.projects import Role
from tests.factories import make_admin, make_member
from tests.training.factories import make_checkpoint, make_run
from tests.training.test_views import logged_in
from training.models import Checkpoint, Run

pytestmark = pytest.mark.django_db


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

"""REST of models: promoted, downloaded, deleted, sampled from; bases imported."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from annotation.models import Project
from config import wakeup
from tests.annotation.api import Api
from tests.factories import make_admin, make_comparison, make_member, make_project
from tests.training.factories import make_base, make_checkpoint, make_run
from training.models import BaseImport, Checkpoint, Run, State

pytestmark = pytest.mark.django_db


@pytest.fixture
def policy() -> Checkpoint:
    return make_checkpoint(make_run())


@pytest.fixture
def project(policy: Checkpoint) -> Project:
    assert policy.run is not None
    make_comparison(policy.run.project)
    return policy.run.project


@pytest.fixture
def manager(project: Project) -> Api:
    return Api(make_member(project, "manager"))


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The imports that workers were woken for, instead of by Valkey."""
    woken: list[int] = []
    monkeypatch.setattr(wakeup, "after_commit", lambda task, *pks: woken.extend(pks))
    return woken


def test_a_model_is_promoted_and_that_is_taken_back(manager: Api, policy: Checkpoint) -> None:
    path = f"checkpoints/{policy.pk}/promote"
    assert manager.post(path).json()["promoted"] is True
    assert manager.post(path, {"promoted": True}).json()["promoted"] is True
    assert manager.post(path, {"promoted": False}).json()["promoted"] is False
    wrong = manager.post(path, {"promoted": "perhaps"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (400, "promoted")


def test_a_base_is_of_no_project_and_is_not_promoted() -> None:
    make_project()
    assert Api(make_admin()).post(f"checkpoints/{make_base().pk}/promote").status_code == 404


def test_a_model_that_is_needed_is_not_deleted(manager: Api, policy: Checkpoint) -> None:
    manager.post(f"checkpoints/{policy.pk}/promote")
    refused = manager.delete(f"checkpoints/{policy.pk}")
    assert refused.status_code == 409
    assert "promoted" in refused.json()["detail"]
    manager.post(f"checkpoints/{policy.pk}/promote", {"promoted": False})
    assert manager.delete(f"checkpoints/{policy.pk}").status_code == 204
    assert manager.get(f"checkpoints/{policy.pk}").status_code == 404


def test_the_archive_holds_the_files_and_the_card(manager: Api, policy: Checkpoint) -> None:
    data = b'{"peft_type": "LORA"}'
    Checkpoint.objects.filter(pk=policy.pk).update(
        files=[
            {
                "name": "adapter_config.json",
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
        ]
    )
    default_storage.save(f"{policy.path}/adapter_config.json", ContentFile(data))
    sent = manager.get(f"checkpoints/{policy.pk}/archive")
    assert sent["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(b"".join(sent.streaming_content))) as archive:
        assert {Path(name).name for name in archive.namelist()} == {
            "README.md",
            "adapter_config.json",
        }


def test_a_model_without_files_has_no_archive(manager: Api, policy: Checkpoint) -> None:
    assert manager.get(f"checkpoints/{policy.pk}/archive").status_code == 404


def test_a_policy_answers_the_prompts_of_its_project(manager: Api, policy: Checkpoint) -> None:
    answers = [
        manager.post(f"checkpoints/{policy.pk}/sample", **{"Idempotency-Key": "one"})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 201]
    run = Run.objects.get(kind="sample")
    assert {answer.json()["id"] for answer in answers} == {run.pk}
    assert (run.policy, run.state) == (policy, State.QUEUED)


def test_the_newest_models_sample_and_score(manager: Api, project: Project) -> None:
    refused = manager.post(f"projects/{project.slug}/score")
    assert (refused.status_code, refused.json()["title"]) == (409, "There is no such model yet")
    judge = make_checkpoint(make_run(project=project), kind="reward_model")
    newest = make_checkpoint(make_run(project=project))
    scoring = manager.post(f"projects/{project.slug}/score")
    assert scoring.status_code == 201, scoring.content
    assert scoring.json()["reward_model"] == judge.pk
    sampling = manager.post(f"projects/{project.slug}/sample")
    assert (sampling.status_code, sampling.json()["policy"]) == (201, newest.pk)


def test_what_is_no_policy_is_not_sampled_from(manager: Api, project: Project) -> None:
    judge = make_checkpoint(make_run(project=project), kind="reward_model")
    refused = manager.post(f"checkpoints/{judge.pk}/sample")
    assert (refused.status_code, refused.json()["field"]) == (422, "policy")


def test_a_reading_token_changes_nothing(policy: Checkpoint) -> None:
    assert policy.run is not None
    reader = Api(make_member(policy.run.project, "manager"), "read")
    slug = policy.run.project.slug
    for name in ("promote", "sample"):
        assert reader.post(f"checkpoints/{policy.pk}/{name}").status_code == 403
    assert reader.delete(f"checkpoints/{policy.pk}").status_code == 403
    assert reader.post(f"projects/{slug}/sample").status_code == 403
    assert Run.objects.count() == 1


def test_a_base_is_imported_over_rest(messages: list[int]) -> None:
    admin = Api(make_admin())
    made = admin.post("base-imports", {"name": "LLaVA", "source": "org/llava", "copy": False})
    assert (made.status_code, made.json()["state"]) == (201, "queued")
    row = BaseImport.objects.get()
    assert (row.name, row.source, row.copy) == ("LLaVA", "org/llava", False)
    assert messages == [row.pk]
    assert admin.get(f"base-imports/{row.pk}").json() == made.json()
    assert [one["id"] for one in admin.get("base-imports").json()["results"]] == [row.pk]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "taken"}, "name"),
        ({"source": "/etc"}, "source"),
        ({"source": "../.."}, "source"),
        ({"copy": "perhaps"}, "copy"),
    ],
)
def test_an_import_that_cannot_be_is_refused_by_its_field(
    messages: list[int], wrong: dict[str, Any], field: str
) -> None:
    make_base(name="taken")
    refused = Api(make_admin()).post("base-imports", {"name": "x", "source": "a/b", **wrong})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == field
    assert not BaseImport.objects.exists() and not messages


def test_only_administrators_import_bases(manager: Api, messages: list[int]) -> None:
    body = {"name": "x", "source": "a/b"}
    assert manager.post("base-imports", body).status_code == 403
    assert manager.get("base-imports").status_code == 403
    assert not messages

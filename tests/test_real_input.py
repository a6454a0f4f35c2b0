"""Real photographs with real answers of two models: imported, labelled, released, learnt from."""

import io
import json
import shutil
from pathlib import Path

import pytest
from django.core.management import call_command

from annotation.models import Judgment, Release
from tests.annotation.api import Api, answer
from tests.factories import make_member, make_project
from tests.shared import shared_data
from tests.training.rlhf import tiny
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind, LoraSettings, RewardSettings
from training.rlhf.presets import preset_spec

LABELS = 24


@pytest.mark.django_db
def test_photographs_become_a_reward_model_step(tmp_path: Path) -> None:
    answers = shared_data("mmhal_bench", "responses")
    project = make_project(k=1)
    files = [str(answers / f"{name}.json") for name in ("llava_13b", "idefics_80b")]
    said = io.StringIO()
    call_command(
        "import_comparisons",
        project.slug,
        *files,
        images=shared_data("mmhal_bench", "images"),
        skip_missing_images=True,
        stdout=said,
        stderr=io.StringIO(),
    )
    assert said.getvalue().startswith("81 created, 0 unchanged, 15 left out")

    label_over_rest(Api(make_member(project)), project.slug)
    assert Judgment.objects.count() == LABELS
    call_command("make_release", project.slug, stdout=io.StringIO())
    release = Release.objects.get()
    assert release.counts["preferences"] == LABELS

    run = tmp_path / "run"
    exported = tmp_path / "exported"
    call_command("export_release", release.pk, output=exported, stdout=io.StringIO())
    (run / "data").mkdir(parents=True)
    for split in ("train", "held_out"):
        shutil.copy(exported / f"{split}.jsonl", run / "data")
    shutil.copytree(exported / "images", run / "images")
    assert one_reward_step(run) == 0
    assert (run / "final" / "adapter_model.safetensors").is_file()


def label_over_rest(api: Api, project: str) -> None:
    """Takes comparisons one after the other and names each response in turn."""
    for number in range(LABELS):
        shown = api.post(f"projects/{project}/assignments/next").json()
        assert [response["label"] for response in shown["responses"]] == ["A", "B"]
        body = answer(str(1 + number % 2))
        assert api.post(f"assignments/{shown['token']}/judgment", body).status_code == 201


def one_reward_step(run: Path) -> int:
    """The engine's command on a LLaVA with random weights."""
    tiny.save_base(run / "base")
    settings = RewardSettings(
        lora=LoraSettings(rank=4, alpha=4), max_steps=1, batch_size=4, max_length=256
    )
    spec = preset_spec(Kind.REWARD, "small-world", settings=settings)
    (run / "spec.json").write_text(json.dumps(spec.to_json()))
    return main(["reward", "--run-dir", str(run)])

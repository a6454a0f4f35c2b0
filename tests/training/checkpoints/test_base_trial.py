"""A base is opened and shown a picture before it is taken: by the engine, in its own process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from demo.loop import BASE_MODEL
from tests.factories import make_admin
from tests.training.rlhf import tiny
from training.checkpoints import base_imports, base_trial
from training.checkpoints.bases import BaseRefused
from training.rlhf.__main__ import main
from training.rlhf.contract import ModelSettings
from training.rlhf.errors import ModelError
from training.rlhf.models import VisionLanguageModel

SIZE = 1000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "base"
    shutil.copytree(BASE_MODEL, copy)
    return copy


def change(folder: Path, name: str, **members: Any) -> None:
    """Members of a JSON file, "a.b" for one inside another; None takes one away."""
    content = json.loads((folder / name).read_text())
    for path, value in members.items():
        *outer, last = path.split("__")
        place = content
        for part in outer:
            place = place[part]
        place[last] = value
        if value is None:
            del place[last]
    (folder / name).write_text(json.dumps(content))


def older(folder: Path, **more: Any) -> None:
    """Processors of before 4.45 left these members to config.json."""
    members = ("patch_size", "num_additional_image_tokens", "vision_feature_select_strategy")
    change(folder, "processor_config.json", **{**dict.fromkeys(members), **more})


def renamed(folder: Path, old: str, new: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    changed = {name.replace(old, new): tensor for name, tensor in tensors.items()}
    assert changed.keys() != tensors.keys()
    save_file(changed, folder / "model.safetensors", {"format": "pt"})


def template_with_the_tokenizer(folder: Path) -> None:
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    change(folder, "tokenizer_config.json", chat_template=template)


def layout_of_before(folder: Path) -> None:
    """Two files where today is one."""
    content = json.loads((folder / "processor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(json.dumps(content.pop("image_processor")))
    (folder / "processor_config.json").write_text(json.dumps(content))


FITTING: dict[str, tuple[Callable[[Path], Any], int]] = {
    "as it is": (lambda f: None, 9),
    "no patch size": (lambda f: change(f, "processor_config.json", patch_size=None), 9),
    "an older processor": (older, 9),
    "an older processor, all features": (
        lambda f: (older(f), change(f, "config.json", vision_feature_select_strategy="full")),
        10,
    ),
    "another strategy in the processor": (
        lambda f: change(f, "config.json", vision_feature_select_strategy="full"),
        10,
    ),
    "the layout of before": (layout_of_before, 9),
    "the template with the tokenizer": (template_with_the_tokenizer, 9),
    "names of transformers 4.40": (
        lambda f: renamed(f, "vision_tower.", "vision_tower.vision_model."),
        9,
    ),
    "names of transformers 4.52": (
        lambda f: (
            renamed(f, "vision_tower.", "model.vision_tower.vision_model."),
            renamed(f, "multi_modal_projector.", "model.multi_modal_projector."),
            renamed(f, "language_model.model.", "model.language_model."),
        ),
        9,
    ),
}
BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "one class token too few": (
        lambda f: change(f, "processor_config.json", num_additional_image_tokens=0),
        "9 features of a picture, and its processor 8 image tokens: look at patch_size",
    ),
    "another size of picture": (
        lambda f: change(
            f,
            "processor_config.json",
            image_processor__size={"height": 90, "width": 90},
            image_processor__crop_size={"height": 90, "width": 90},
        ),
        "config.json and the processor's files .* do not fit",
    ),
    "another patch size": (
        lambda f: change(f, "processor_config.json", patch_size=9),
        "9 features of a picture, and its processor 36 image tokens",
    ),
    "no chat template": (
        lambda f: (f / "chat_template.jinja").unlink(),
        "no chat template: it stands in chat_template.jinja",
    ),
    "tensors of other names": (
        lambda f: renamed(f, "vision_tower", "eyes"),
        "lack .* tensors of the model that config.json describes, first .*vision_tower",
    ),
    "tensors of other shapes": (
        lambda f: change(f, "config.json", vision_config__intermediate_size=64),
        r"layers.0.mlp.fc1.bias is 128 in its safetensors files, and 64 by config.json",
    ),
    "no family that is known": (
        lambda f: change(f, "config.json", model_type="llava_of_tomorrow"),
        "cannot be loaded",
    ),
}


@pytest.mark.parametrize("kind", FITTING)
def test_a_base_of_another_time_is_opened_right(kind: str, folder: Path) -> None:
    layout, tokens = FITTING[kind]
    layout(folder)
    model = VisionLanguageModel.load(str(folder), ModelSettings(dtype="float32"))
    assert model.encode_images.trial_tokens == tokens
    if tokens == 9:
        tiny.save_images(folder / "images", count=1)
        [picture] = (folder / "images").iterdir()
        [image] = model.encode_images([picture])
        whole = VisionLanguageModel.load(str(BASE_MODEL), ModelSettings(dtype="float32"))
        [same] = whole.encode_images([picture])
        assert image.features.equal(same.features)
        assert image.placeholder_ids == same.placeholder_ids


@pytest.mark.parametrize("kind", BROKEN)
def test_what_does_not_fit_is_named_before_any_data_is_read(
    kind: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, reason = BROKEN[kind]
    damage(folder)
    with pytest.raises(ModelError, match=reason) as refused:
        VisionLanguageModel.load(str(folder), ModelSettings(dtype="float32"))
    assert len(str(refused.value)) < 700
    assert main(["try", "--base", str(folder)]) == 1
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "error" in said and str(folder) not in said["error"]


def test_the_engine_tries_a_base_in_a_process_of_its_own(folder: Path) -> None:
    assert base_trial.try_base(folder, SIZE) == "tried: a picture becomes 9 tokens"
    change(folder, "processor_config.json", patch_size=9)
    with pytest.raises(BaseRefused, match="9 features of a picture"):
        base_trial.try_base(folder, SIZE)


@pytest.mark.parametrize("lack", ["engine", "memory"])
def test_without_engine_or_memory_nothing_is_tried(
    lack: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(folder)  # whatever opened it would fail
    if lack == "engine":
        monkeypatch.setattr(base_trial, "_has_engine", lambda python: False)
    assert "not tried" in base_trial.try_base(folder, SIZE if lack == "engine" else 10**18)


@pytest.mark.django_db
def test_a_base_that_cannot_see_is_not_registered(settings: Any, folder: Path) -> None:
    settings.BASE_MODEL_FOLDERS = [str(folder.parent)]
    change(folder, "processor_config.json", patch_size=9)
    row = base_imports.request_import(make_admin(), name="x", source=str(folder), copy=False)
    base_imports.run_import(row.pk)
    row.refresh_from_db()
    assert (row.state, row.checkpoint) == ("failed", None)
    assert "9 features of a picture" in row.error

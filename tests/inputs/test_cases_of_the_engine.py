"""Bases and adapters that failed, by the command of each: opened right, or refused by name."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import sys
import warnings
from pathlib import Path

import pytest

from demo.loop import BASE_MODEL
from tests.shared import shared_data
from tests.training.rlhf import families
from training.checkpoints.bases import BaseRefused, check_folder
from training.rlhf.contract import ModelSettings, Turn
from training.rlhf.errors import DataError, ModelError
from training.rlhf.models import VisionLanguageModel

FLOAT = ModelSettings(dtype="float32")


TOLD = ("patch_size", "num_additional_image_tokens", "vision_feature_select_strategy")


def base_with(case: str, folder: Path) -> Path:
    """The committed base, of which a case's files say what they are about.

    The sizes in them are those of the base that was committed when the cases were made.
    """
    shutil.copytree(BASE_MODEL, folder)
    source = shared_data("cases", "25-base-models", case)
    for path in source.iterdir():
        said, ours = (json.loads((at / path.name).read_text()) for at in (source, folder))
        for name in TOLD:
            ours.pop(name, None)
        about = {name: value for name, value in said.items() if name in (*TOLD, "mm_vision_tower")}
        if "mm_vision_tower" in said:
            del ours["vision_config"]
        elif "patch_size" in about:
            about["patch_size"] = json.loads((BASE_MODEL / path.name).read_text())["patch_size"]
        (folder / path.name).write_text(json.dumps({**ours, **about}))
    return folder


@pytest.mark.parametrize(
    ("case", "tokens"), [("no-patch-size", 9), ("strategy-full-but-processor-default", 10)]
)
def test_a_base_of_another_time_is_opened_right(case: str, tokens: int, tmp_path: Path) -> None:
    folder = base_with(case, tmp_path / "base")
    check_folder(folder)
    model = VisionLanguageModel.load(str(folder), FLOAT)
    assert model.encode_images.trial_tokens == tokens


def test_a_base_of_llavas_own_repository_is_named(tmp_path: Path) -> None:
    folder = base_with("liuhaotian-form", tmp_path / "base")
    with pytest.raises(BaseRefused, match=r"form of LLaVA's own repository \(mm_vision_tower\)"):
        check_folder(folder)


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the case's own program makes."""
    program = shared_data("cases", "26-adapters-on-the-vision-tower", "make_adapters.py")
    folder = tmp_path_factory.mktemp("adapters")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(program), str(BASE_MODEL), str(folder)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PEFT's, of transformers' next version
            runpy.run_path(str(program))
    return folder


@pytest.mark.parametrize("name", ["peft-default", "all-linear"])
def test_an_adapter_of_the_eyes_is_refused_by_name(name: str, adapters: Path) -> None:
    model = VisionLanguageModel.load(str(BASE_MODEL), FLOAT)
    with pytest.raises(ModelError, match=r"vision_tower|multi_modal_projector"):
        model.load_adapter("policy", adapters / name)


@pytest.mark.filterwarnings("ignore:Unexpected keyword arguments")  # of a newer PEFT
@pytest.mark.parametrize("name", ["language-only", "old-names", "no-base-name", "newer-peft"])
def test_an_adapter_of_the_language_model_is_taken(name: str, adapters: Path) -> None:
    model = VisionLanguageModel.load(str(BASE_MODEL), FLOAT)
    model.load_adapter("policy", adapters / name)


def test_a_picture_that_the_processor_refuses_is_named(tmp_path: Path) -> None:
    folder = shared_data("cases", "27-thin-pictures", "images")
    make = families.FAMILIES["qwen2_5_vl"]
    model = VisionLanguageModel.load(str(make(tmp_path / "qwen")), FLOAT)
    refused = 0
    for path in sorted(folder.iterdir()):
        try:
            model.encode_images.check(path)
        except DataError as error:
            refused += 1
            assert re.match(rf"images/{path.name}: the base model's processor refuses", str(error))
    assert refused


def test_the_case_of_a_chat_template_that_forbids_turns_names_record_and_roles(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "base"
    shutil.copytree(BASE_MODEL, folder)
    template = shared_data("cases", "19-odd-turns", "chat_template.jinja")
    shutil.copy(template, folder / "chat_template.jinja")
    model = VisionLanguageModel.load(str(folder), FLOAT)
    [record, *_] = json.loads(shared_data("cases", "19-odd-turns", "human-human.json").read_text())
    turns = [Turn(speaker=one["from"], text=one["value"]) for one in record["conversations"]]
    with pytest.raises(ModelError, match="the chat template refuses turns of user, user"):
        model.chat.short_prompt_ids(turns)

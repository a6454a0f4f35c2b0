"""Records of text alone among those with images, through the kinds of run that take them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import MakeRun, events
from tests.training.rlhf.resuming import last_metrics
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind, ModelSettings
from training.rlhf.models import VisionLanguageModel
from training.rlhf.reward_model import RewardModel

SHORT = {"batch_size": 4, "micro_batch_size": 4, "max_steps": 2}


def without_every_second_image(directory: Path) -> int:
    """How many training records it was taken from."""
    for file in (directory / "data").glob("*.jsonl"):
        records = [json.loads(line) for line in file.read_text().splitlines()]
        mixed = [tiny.text_alone(r) if n % 2 else r for n, r in enumerate(records)]
        tiny.write_lines(file, mixed)
    return len((directory / "data" / "train.jsonl").read_text().splitlines()) // 2


@pytest.mark.parametrize("kind", [Kind.REWARD, Kind.DPO, Kind.SFT])
def test_records_of_text_alone_are_learnt_beside_others(make_run: MakeRun, kind: Kind) -> None:
    directory = make_run(kind, **SHORT, held_out=4)
    alone = without_every_second_image(directory)
    assert main([kind.value, "--run-dir", str(directory)]) == 0
    said = " ".join(event["text"] for event in events(directory, "stage"))
    assert f"{alone} of {2 * alone}" in said
    assert "are text alone, without an image" in said
    if kind is Kind.REWARD:
        figures = last_metrics(events(directory))[2]
        both = figures["held_out/accuracy_with_images"], figures["held_out/accuracy_text_alone"]
        assert figures["held_out/accuracy"] == pytest.approx(sum(both) / 2)


def test_a_reward_model_of_text_alone_is_checked_by_it_when_loaded(
    make_run: MakeRun, base_folder: Path
) -> None:
    directory = make_run(Kind.REWARD, **SHORT)
    without_every_second_image(directory)
    assert main(["reward", "--run-dir", str(directory)]) == 0
    model = VisionLanguageModel.load(str(base_folder), ModelSettings(dtype="float32"))
    RewardModel.load(model, directory / "final")
    described = json.loads((directory / "final" / "reward_model.json").read_text())
    assert [bool(one["image"]) for one in described["golden"]] == [True, False, True, False, True]


def test_learning_to_look_refuses_pairs_with_nothing_to_see(make_run: MakeRun) -> None:
    directory = make_run(Kind.DPO, **SHORT, image_coefficient=1.0)
    alone = without_every_second_image(directory)
    assert main(["dpo", "--run-dir", str(directory)]) == 1
    [failure] = events(directory, "error")
    told = f"settings.image_coefficient: {alone} of {2 * alone} pairs are text alone"
    assert failure["message"].startswith(told)

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.shared import shared_data
from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import MakeRun, events
from tests.training.rlhf.resuming import (
    PowerCut,
    assert_same_weights,
    cut_power,
    interrupt_at,
    last_metrics,
    terminate,
)
from training.rlhf import reward_step
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind, LoraSettings, ModelSettings, OptimizerSettings
from training.rlhf.data import TokenSequence
from training.rlhf.errors import ModelError
from training.rlhf.models import VisionLanguageModel
from training.rlhf.reward_model import RewardModel

FOUR_STEPS = {
    "batch_size": 4,
    "micro_batch_size": 2,
    "epochs": 9.0,
    "max_steps": 4,
    "evaluate_every": 2,
    "checkpoint_every": 2,
}


def train(directory: Path) -> int:
    return main(["reward", "--run-dir", str(directory)])


def test_training_learns_the_preferences(make_run: MakeRun) -> None:
    directory = make_run(
        Kind.REWARD,
        **FOUR_STEPS | {"max_steps": 12},
        held_out=4,
        optimizer=OptimizerSettings(learning_rate=0.01),
    )
    assert train(directory) == 0
    metrics = last_metrics(events(directory))
    assert metrics[1]["train/loss"] > metrics[len(metrics)]["train/loss"]
    assert metrics[12]["held_out/accuracy"] == 1.0
    assert metrics[12]["held_out/loss"] < 0.6
    final = events(directory, "checkpoint")[-1]
    assert (final["path"], final["final"]) == ("final", True)
    assert final["metrics"]["held_out/accuracy"] == 1.0
    assert final["metrics"]["held_out/accuracy_swapped"] == 1.0
    assert {event["done"] for event in events(directory, "progress")} == set(range(1, 13))


def test_rewards_are_normalised_on_held_out_pairs(make_run: MakeRun) -> None:
    directory = make_run(Kind.REWARD, **FOUR_STEPS, held_out=4)
    assert train(directory) == 0
    rewards = torch.tensor([event["reward"] for event in events(directory, "sample")])
    assert len(rewards) == 8
    assert float(rewards.mean()) == pytest.approx(0, abs=1e-5)
    assert float(rewards.std(correction=0)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(("interrupt", "code"), [(cut_power, None), (terminate, 143)])
def test_resumed_training_equals_uninterrupted_training(
    make_run: MakeRun,
    monkeypatch: pytest.MonkeyPatch,
    interrupt: Callable[[], None],
    code: int | None,
) -> None:
    settings = FOUR_STEPS | {"lora": LoraSettings(rank=4, alpha=4, dropout=0.3)}
    whole = make_run(Kind.REWARD, "whole", **settings, held_out=4)
    assert train(whole) == 0
    parts = make_run(Kind.REWARD, "parts", **settings, held_out=4)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, interrupt)
        if code is None:
            with pytest.raises(PowerCut):
                train(parts)
        else:
            assert train(parts) == code
    assert not (parts / "final").exists()
    assert events(parts, "error") == []
    assert train(parts) == 0
    resumed_from = 2 if code is None else 3
    assert f"resuming from step {resumed_from}" in [e["text"] for e in events(parts, "stage")]
    assert_same_weights(whole / "final", parts / "final")
    assert last_metrics(events(whole)) == last_metrics(events(parts))
    descriptions = [(d / "final" / "reward_model.json").read_text() for d in (whole, parts)]
    assert descriptions[0] == descriptions[1]


def test_finished_run_started_again_gives_the_same(make_run: MakeRun) -> None:
    directory = make_run(Kind.REWARD, **FOUR_STEPS)
    assert train(directory) == 0
    (directory / "final").rename(directory / "before")
    assert train(directory) == 0
    assert_same_weights(directory / "before", directory / "final")


def test_best_step_is_kept(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    accuracies = iter([0.9, 0.4])

    def figures_of(*_: object) -> dict[str, float]:
        return {"accuracy": next(accuracies, 0.0), "loss": 0.5}

    monkeypatch.setattr("training.rlhf.train_reward.figures_of", figures_of)
    directory = make_run(Kind.REWARD, **FOUR_STEPS, held_out=2)
    assert train(directory) == 0
    for name in ("adapter_model.safetensors", "head.safetensors"):
        kept = (directory / "checkpoints" / "step-2" / "reward" / name).read_bytes()
        last = (directory / "checkpoints" / "step-4" / "reward" / name).read_bytes()
        assert (directory / "final" / name).read_bytes() == kept != last


def test_training_stops_when_held_out_pairs_are_judged_no_better(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluations at steps 2, 4, 6, ...: the best is the second, two more are waited for."""
    accuracies = iter([0.5, 0.9, 0.4, 0.9, 1.0, 1.0])

    def figures_of(*_: object) -> dict[str, float]:
        return {"accuracy": next(accuracies), "loss": 0.5}

    monkeypatch.setattr("training.rlhf.train_reward.figures_of", figures_of)
    settings = FOUR_STEPS | {"max_steps": 20, "checkpoint_every": 100}
    directory = make_run(Kind.REWARD, **settings, held_out=2, patience=2)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 7, terminate)  # and how long ago the best was is not forgotten
        assert train(directory) == 143
    shutil.rmtree(directory / "checkpoints" / "best")  # another host fetches only the checkpoint
    assert train(directory) == 0
    assert max(last_metrics(events(directory))) == 8
    kept = (directory / "checkpoints" / "best" / "metrics.json").read_text()
    assert json.loads(kept)["step"] == 4
    assert any("stopped after step 8" in e["text"] for e in events(directory, "stage"))
    weights = "adapter_model.safetensors"
    best = (directory / "checkpoints" / "best" / "reward" / weights).read_bytes()
    assert (directory / "final" / weights).read_bytes() == best


def test_micro_batches_add_up_to_the_batch(make_run: MakeRun) -> None:
    found = []
    for size in (1, 2, 4):
        directory = make_run(
            Kind.REWARD,
            f"micro-{size}",
            **FOUR_STEPS | {"micro_batch_size": size, "max_steps": 1},
            center_coefficient=0.0,
        )
        assert train(directory) == 0
        found.append(last_metrics(events(directory))[1])
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-4)


def test_both_responses_see_their_facts_in_one_order(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[str, str]] = []
    original = reward_step.sequences_of
    tokenizer = tiny.tokenizer()

    def facts_in(sequence: TokenSequence) -> str:
        text = " ".join(tokenizer.convert_ids_to_tokens(sequence.ids))
        return text.partition("facts :")[2].partition("ASSISTANT:")[0]

    def sequences_of(*arguments: Any, **options: Any) -> list[tuple[TokenSequence, TokenSequence]]:
        pairs = original(*arguments, **options)
        shown.extend((facts_in(one), facts_in(two)) for one, two in pairs)
        return pairs

    monkeypatch.setattr(reward_step, "sequences_of", sequences_of)
    directory = make_run(Kind.REWARD, **FOUR_STEPS)
    assert train(directory) == 0
    assert all(one == two and "circle" in one for one, two in shown)
    assert {one.endswith("yes ") for one, _ in shown} == {True, False}  # shuffled, not always


@pytest.mark.parametrize("changes", [{"soft_labels": True}, {"use_margin": True}])
def test_votes_and_margins_change_the_training(make_run: MakeRun, changes: dict[str, bool]) -> None:
    plain = make_run(Kind.REWARD, "plain", **FOUR_STEPS)
    changed = make_run(Kind.REWARD, "changed", **FOUR_STEPS, **changes)
    assert train(plain) == train(changed) == 0
    one, two = (last_metrics(events(d))[4]["train/loss"] for d in (plain, changed))
    assert one != two


def test_bad_record_ends_the_run_with_its_line(make_run: MakeRun) -> None:
    directory = make_run(Kind.REWARD, **FOUR_STEPS)
    with (directory / "data" / "train.jsonl").open("a") as lines:
        lines.write("not json\n")
    assert train(directory) == 1
    [failure] = events(directory, "error")
    assert failure["message"].startswith("data/train.jsonl, line 13: is not JSON")


def test_broken_image_is_named(make_run: MakeRun) -> None:
    directory = make_run(Kind.REWARD, **FOUR_STEPS, unusable_records="refuse")
    (directory / "images" / "001-blue.png").write_bytes(b"no picture")
    assert train(directory) == 1
    [failure] = events(directory, "error")
    assert "images/001-blue.png cannot be read" in failure["message"]


def test_pairs_about_two_images_are_trained_on_and_checked_on_loading(make_run: MakeRun) -> None:
    directory = make_run(Kind.REWARD, **FOUR_STEPS | {"max_steps": 1}, held_out=2)
    names = sorted(path.name for path in (directory / "images").iterdir())
    for name in ("train", "held_out"):
        path = directory / "data" / f"{name}.jsonl"
        records = [json.loads(line) for line in path.read_text().splitlines()]
        for record in records:
            record["image"] = [record["image"], names[0]]
            record["conversations"] = tiny.wire_turns("what is there ? <image>")
        tiny.write_lines(path, records)
    assert train(directory) == 0, events(directory, "error")
    golden = json.loads((directory / "final" / "reward_model.json").read_text())["golden"]
    assert [one["more_images"] for one in golden] == [["golden/0-1.png"], ["golden/1-1.png"]]
    spec = json.loads((directory / "spec.json").read_text())
    model = VisionLanguageModel.load(spec["base_model"], ModelSettings(dtype="float32"))
    RewardModel.load(model, directory / "final")
    shutil.copyfile(directory / "images" / "001-blue.png", directory / "final/golden/0-1.png")
    model = VisionLanguageModel.load(spec["base_model"], ModelSettings(dtype="float32"))
    with pytest.raises(ModelError, match="golden input 0"):
        RewardModel.load(model, directory / "final")


def test_one_step_on_real_photographs_and_answers(make_run: MakeRun) -> None:
    """Photographs of all shapes and long answers go through the loader and a training step."""
    answers = [
        json.loads(path.read_text())
        for path in sorted(shared_data("mmhal_bench", "responses").glob("*.json"))[:2]
    ]
    photographs = shared_data("mmhal_bench", "images")
    directory = make_run(Kind.REWARD, max_steps=1, batch_size=8, max_length=200)
    records = []
    for number, (one, two) in enumerate(zip(*answers, strict=True)):
        name = one["image_src"].rpartition("/")[2]
        if not (photographs / name).is_file():
            continue
        shutil.copyfile(photographs / name, directory / "images" / name)
        records.append(
            {
                "id": number,
                "image": name,
                "conversations": tiny.wire_turns(one["question"]),
                "output_1": {"from": "one", "value": one["model_answer"]},
                "output_2": {"from": "two", "value": two["model_answer"]},
                "preference": 1 + number % 2,
                "captions": one["image_content"],
            }
        )
    assert len(records) >= 20
    tiny.write_lines(directory / "data" / "train.jsonl", records[6:])
    tiny.write_lines(directory / "data" / "held_out.jsonl", records[:6])
    assert train(directory) == 0
    final = events(directory, "checkpoint")[-1]
    assert final["final"] and 0 <= final["metrics"]["held_out/accuracy"] <= 1

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

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
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind, LoraSettings, OptimizerSettings, PreferencePair
from training.rlhf.dpo import PreferenceLearner
from training.rlhf.held_out_halves import Halves
from training.rlhf.prompts import ChatFormat

FOUR_STEPS = {
    "batch_size": 4,
    "micro_batch_size": 2,
    "epochs": 9.0,
    "max_steps": 4,
    "evaluate_every": 2,
    "checkpoint_every": 2,
}


def train(directory: Path) -> int:
    return main(["dpo", "--run-dir", str(directory)])


def test_training_learns_the_preferences(make_run: MakeRun) -> None:
    directory = make_run(
        Kind.DPO,
        **FOUR_STEPS | {"max_steps": 16, "evaluate_every": 8},
        held_out=4,
        optimizer=OptimizerSettings(learning_rate=0.01),
    )
    assert train(directory) == 0
    metrics = last_metrics(events(directory))
    assert metrics[1]["train/loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert metrics[1]["train/accuracy"] == 0.5  # policy and reference are one
    assert metrics[16]["held_out/accuracy"] == 1.0
    assert metrics[16]["held_out/loss"] < 0.5
    assert metrics[16]["held_out/chosen_reward"] > metrics[16]["held_out/rejected_reward"]
    final = events(directory, "checkpoint")[-1]
    assert (final["path"], final["final"]) == ("final", True)
    assert final["metrics"]["held_out/accuracy"] == 1.0


def test_the_reference_is_the_policy_that_the_run_begins_with(
    make_run: MakeRun, tmp_path: Path
) -> None:
    """A reference of the bare base would make a first loss of anything but log 2."""
    first = make_run(
        Kind.DPO, "first", **FOUR_STEPS, optimizer=OptimizerSettings(learning_rate=0.05)
    )
    assert train(first) == 0
    assert abs(last_metrics(events(first))[4]["train/loss"] - math.log(2)) > 0.01
    second = make_run(Kind.DPO, "second", **FOUR_STEPS, policy=first / "final")
    assert train(second) == 0
    assert last_metrics(events(second))[1]["train/loss"] == pytest.approx(math.log(2), abs=1e-5)


@pytest.mark.parametrize(("interrupt", "code"), [(cut_power, None), (terminate, 143)])
def test_resumed_training_equals_uninterrupted_training(
    make_run: MakeRun,
    monkeypatch: pytest.MonkeyPatch,
    interrupt: Callable[[], None],
    code: int | None,
) -> None:
    settings = FOUR_STEPS | {"lora": LoraSettings(rank=4, alpha=4, dropout=0.3)}
    whole = make_run(Kind.DPO, "whole", **settings, held_out=4)
    assert train(whole) == 0
    parts = make_run(Kind.DPO, "parts", **settings, held_out=4)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, interrupt)
        if code is None:
            with pytest.raises(PowerCut):
                train(parts)
        else:
            assert train(parts) == code
    assert not (parts / "final").exists()
    shutil.rmtree(parts / "checkpoints" / "reference")  # another host fetches only checkpoints
    assert train(parts) == 0
    assert_same_weights(whole / "final", parts / "final")
    assert last_metrics(events(whole)) == last_metrics(events(parts))


def test_reference_is_measured_once_and_kept(make_run: MakeRun) -> None:
    directory = make_run(Kind.DPO, **FOUR_STEPS)
    assert train(directory) == 0
    [kept] = (directory / "checkpoints" / "reference").iterdir()
    [(name, reference)] = load_file(kept).items()
    assert reference.shape == (12, 2)
    save_file({name: reference + torch.tensor([5.0, -5.0])}, kept)
    shutil.rmtree(directory / "checkpoints" / "step-2")
    shutil.rmtree(directory / "checkpoints" / "step-4")
    assert train(directory) == 0
    first = last_metrics(events(directory))[1]["train/loss"]
    assert first != pytest.approx(math.log(2), abs=1e-3)  # the changed file was believed

    lines = (directory / "data" / "train.jsonl").read_text()
    (directory / "data" / "train.jsonl").write_text(lines.replace("a red circle", "a red cross"))
    shutil.rmtree(directory / "checkpoints" / "step-2")
    shutil.rmtree(directory / "checkpoints" / "step-4")
    assert train(directory) == 0
    assert last_metrics(events(directory))[1]["train/loss"] == pytest.approx(math.log(2), abs=1e-6)


def judged(monkeypatch: pytest.MonkeyPatch, *accuracies: float) -> None:
    """Let held-out pairs be judged so, at one evaluation after the other."""
    left = iter(accuracies)

    def evaluate(*_: object, **__: object) -> dict[str, float]:
        return {"accuracy": next(left), "loss": 0.5}

    monkeypatch.setattr("training.rlhf.dpo.PreferenceLearner.evaluate", evaluate)


@pytest.mark.parametrize(("keep_best", "step"), [(True, 2), (False, 6)])
def test_best_step_outlives_its_checkpoint(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, keep_best: bool, step: int
) -> None:
    judged(monkeypatch, 0.9, 0.4, 0.4)
    settings = FOUR_STEPS | {"max_steps": 6, "keep_best": keep_best, "keep_checkpoints": 3}
    directory = make_run(Kind.DPO, **settings, held_out=2)
    assert train(directory) == 0
    weights = "adapter_model.safetensors"
    kept = [(directory / "checkpoints" / f"step-{n}" / "policy" / weights) for n in (2, 4, 6)]
    final = (directory / "final" / weights).read_bytes()
    assert [n for n, path in zip((2, 4, 6), kept, strict=True) if path.read_bytes() == final] == [
        step
    ]
    told = events(directory, "checkpoint")[-1]["metrics"]["held_out/accuracy"]
    assert told == (0.9 if keep_best else 0.4)
    shutil.rmtree(kept[0].parents[1])  # thinned out
    assert train(directory) == 0
    assert (directory / "final" / weights).read_bytes() == final


def test_training_stops_when_held_out_pairs_are_judged_no_better(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Evaluations at steps 2, 4, 6, ...: the best is the second, two more are waited for."""
    judged(monkeypatch, 0.5, 0.9, 0.4, 0.9, 1.0, 1.0)
    settings = FOUR_STEPS | {"max_steps": 20, "checkpoint_every": 100}
    directory = make_run(Kind.DPO, **settings, held_out=2, patience=2)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 7, terminate)  # and how long ago the best was is not forgotten
        assert train(directory) == 143
    shutil.rmtree(directory / "checkpoints" / "best")  # another host fetches only the checkpoint
    assert train(directory) == 0
    assert max(last_metrics(events(directory))) == 8
    assert any("stopped after step 8" in e["text"] for e in events(directory, "stage"))
    weights = "adapter_model.safetensors"
    best = (directory / "checkpoints" / "best" / "policy" / weights).read_bytes()
    assert (directory / "final" / weights).read_bytes() == best


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"answer_coefficient": 1.0},
        {"dense": True, "answer_coefficient": 1.0},
        {"image_coefficient": 1.0, "anchor_coefficient": 1.0},
    ],
)
def test_micro_batches_add_up_to_the_batch(make_run: MakeRun, changes: dict[str, Any]) -> None:
    found = []
    for size in (1, 2, 4):
        directory = make_run(
            Kind.DPO,
            f"micro-{size}",
            **FOUR_STEPS | {"micro_batch_size": size, "max_steps": 1},
            **changes,
        )
        mark_the_worse(directory, words=slice(0, 2))
        assert train(directory) == 0
        found.append(last_metrics(events(directory))[1])
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-4, abs=1e-6)


def test_facts_never_reach_the_policy(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    additions: list[str] = []
    original = ChatFormat.prompt

    def prompt(self, conversation, image, *, addition=""):  # type: ignore[no-untyped-def]
        additions.append(addition)
        return original(self, conversation, image, addition=addition)

    monkeypatch.setattr(ChatFormat, "prompt", prompt)
    directory = make_run(Kind.DPO, **FOUR_STEPS)
    assert train(directory) == 0
    assert additions and set(additions) == {""}


@pytest.mark.parametrize(
    "changes",
    [
        {"soft_labels": True},
        {"label_smoothing": 0.2},
        {"beta": 0.5},
        {"dense": True},
        {"image_coefficient": 1.0, "image_damage": "exchange"},
        {"anchor_coefficient": 1.0, "anchor_delta": 0.5},
    ],
)
def test_settings_change_the_training(make_run: MakeRun, changes: dict[str, float]) -> None:
    plain = make_run(Kind.DPO, "plain", **FOUR_STEPS)
    changed = make_run(Kind.DPO, "changed", **FOUR_STEPS, **changes)
    for directory in (plain, changed):
        mark_the_worse(directory, words=slice(0, 2))
    assert train(plain) == train(changed) == 0
    one, two = (last_metrics(events(d))[4]["train/loss"] for d in (plain, changed))
    assert one != pytest.approx(two, rel=1e-4)


def test_answer_term_makes_the_better_answer_itself_more_probable(make_run: MakeRun) -> None:
    rewards = []
    for coefficient in (0.0, 5.0):
        directory = make_run(
            Kind.DPO,
            f"with-{coefficient:g}",
            **FOUR_STEPS | {"max_steps": 8},
            answer_coefficient=coefficient,
            optimizer=OptimizerSettings(learning_rate=0.01),
        )
        assert train(directory) == 0
        rewards.append(last_metrics(events(directory))[8]["train/chosen_reward"])
    assert rewards[1] > rewards[0] + 0.05


def test_prompt_without_room_for_an_answer_is_named(make_run: MakeRun) -> None:
    directory = make_run(Kind.DPO, **FOUR_STEPS, max_length=7)
    assert train(directory) == 1
    [failure] = events(directory, "error")
    assert failure["message"].startswith("12 of 12 pairs cannot be used: record pair-0")


def mark_the_worse(directory: Path, *, words: slice) -> None:
    """Mark some words of each pair's worse answer as false."""
    path = directory / "data" / "train.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        worse = record[f"output_{3 - record['preference']}"]
        marked = " ".join(worse["value"].split()[words])
        start = worse["value"].index(marked)
        worse["marks"] = [{"start": start, "end": start + len(marked), "kind": "object"}]
    tiny.write_lines(path, records)


def losses_with_marks(make_run: MakeRun, name: str, words: slice, **settings: Any) -> list[float]:
    directory = make_run(
        Kind.DPO, name, **FOUR_STEPS, optimizer=OptimizerSettings(learning_rate=0.01), **settings
    )
    mark_the_worse(directory, words=words)
    assert train(directory) == 0
    found = last_metrics(events(directory))
    assert found[1]["train/loss"] == pytest.approx(math.log(2), abs=1e-6)
    return [found[step]["train/loss"] for step in found]


def test_marks_steer_dense_training_and_no_other(make_run: MakeRun) -> None:
    first = losses_with_marks(make_run, "first", slice(0, 1), dense=True)
    last = losses_with_marks(make_run, "last", slice(-1, None), dense=True)
    assert first != pytest.approx(last, rel=1e-4)
    plain_first = losses_with_marks(make_run, "plain-first", slice(0, 1))
    assert plain_first == losses_with_marks(make_run, "plain-last", slice(-1, None))


def test_dense_training_needs_marks_that_tell_the_answers_apart(make_run: MakeRun) -> None:
    plain = make_run(Kind.DPO, "plain", **FOUR_STEPS, dense=True)
    of_the_better = make_run(Kind.DPO, "of-the-better", **FOUR_STEPS, dense=True)
    path = of_the_better / "data" / "train.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        mark = {"start": 0, "end": 1, "kind": "object"}
        record[f"output_{record['preference']}"]["marks"] = [mark]
    tiny.write_lines(path, records)
    for directory in (plain, of_the_better):
        assert train(directory) == 1
        [failure] = events(directory, "error")
        assert failure["message"].startswith("settings.dense: 0 of 12 pairs have marked words")


@pytest.mark.parametrize("damage", ["crop", "exchange"])
def test_policy_learns_to_tell_its_image_from_a_damaged_one(make_run: MakeRun, damage: str) -> None:
    directory = make_run(
        Kind.DPO,
        **FOUR_STEPS | {"max_steps": 16, "evaluate_every": 8},
        held_out=4,
        image_coefficient=1.0,
        image_damage=damage,
        anchor_coefficient=1.0,
        optimizer=OptimizerSettings(learning_rate=0.01),
    )
    noise = Image.effect_noise((16, 16), 120)
    for number, path in enumerate(sorted((directory / "images").iterdir())):
        noise.rotate(7 * number).convert("RGB").save(path)
    assert train(directory) == 0
    metrics = last_metrics(events(directory))
    # three losses of nothing learnt yet: of the pair, of the image, of the anchor
    assert metrics[1]["train/loss"] == pytest.approx(3 * math.log(2), abs=1e-5)
    assert metrics[1]["train/image_margin"] == pytest.approx(0, abs=1e-6)
    assert metrics[16]["train/image_margin"] > 0.01
    assert {"held_out/margin_image_exchanged", "held_out/margin"} <= metrics[16].keys()


def test_images_that_cannot_be_exchanged_are_refused(make_run: MakeRun) -> None:
    directory = make_run(Kind.DPO, **FOUR_STEPS, image_coefficient=1.0, image_damage="exchange")
    path = directory / "data" / "train.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    tiny.write_lines(path, [record | {"image": records[0]["image"]} for record in records])
    assert train(directory) == 1
    [failure] = events(directory, "error")
    assert "12 of 12 pairs find no other record's image" in failure["message"]
    assert "settings.image_damage" in failure["message"]


def test_the_margin_with_another_image_is_of_the_pairs_that_report(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.rlhf.train_dpo.halves", lambda *_, **__: Halves([0, 1], [2, 3]))
    margin, measured = PreferenceLearner.margin, []

    def spy(self: PreferenceLearner, pairs: list[PreferencePair], reference: Any) -> float:
        measured.append([pair.id for pair in pairs])
        return margin(self, pairs, reference)

    monkeypatch.setattr(PreferenceLearner, "margin", spy)
    directory = make_run(Kind.DPO, **FOUR_STEPS | {"max_steps": 1}, held_out=4)
    assert train(directory) == 0
    lines = (directory / "data" / "held_out.jsonl").read_text().splitlines()
    assert measured == [[json.loads(line)["id"] for line in lines[2:]]]

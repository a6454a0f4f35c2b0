from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from tests.annotation.storage.test_one_writer import opened_for_writing
from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import MakeRun, events
from tests.training.rlhf.resuming import (
    PowerCut,
    assert_same_weights,
    cut_power,
    interrupt_at,
    last_metrics,
)
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind, OptimizerSettings

FOUR_STEPS = {
    "batch_size": 4,
    "micro_batch_size": 3,
    "epochs": 9.0,
    "max_steps": 4,
    "checkpoint_every": 2,
    "optimizer": OptimizerSettings(learning_rate=0.01),
}


def train(directory: Path) -> int:
    return main(["sft", "--run-dir", str(directory)])


@pytest.mark.parametrize("full_model", [False, True])
def test_training_lowers_the_loss_of_answers(make_run: MakeRun, full_model: bool) -> None:
    directory = make_run(
        Kind.SFT, **FOUR_STEPS | {"max_steps": 20}, full_model=full_model, held_out=3
    )
    assert train(directory) == 0
    metrics = last_metrics(events(directory))
    assert metrics[20]["train/loss"] < 0.7 * metrics[1]["train/loss"]
    assert metrics[20]["held_out/loss"] < metrics[2]["held_out/loss"]
    final = events(directory, "checkpoint")[-1]
    assert final["final"] and final["metrics"]["held_out/loss"] == metrics[20]["held_out/loss"]


@pytest.mark.parametrize("average", ["token", "example"])
def test_first_loss_is_that_of_a_plain_forward_pass(make_run: MakeRun, average: str) -> None:
    directory = make_run(
        Kind.SFT, **FOUR_STEPS | {"max_steps": 1, "batch_size": 12}, average=average
    )
    assert train(directory) == 0
    model, processor = tiny.model(), tiny.processor()
    losses, counts = [], []
    for record in tiny.conversation_records(sorted(p.name for p in directory.glob("images/*"))):
        answer = record["conversations"][1]["value"] + " </s>"
        text = f"<s> USER: <image> what is there ? ASSISTANT: {answer}"
        image = Image.open(directory / "images" / record["image"])
        inputs = processor(text=text, images=[image], return_tensors="pt", add_special_tokens=False)
        count = len(answer.split())
        logprobs = torch.log_softmax(model(**inputs).logits[0, :-1].detach(), -1)
        target = inputs["input_ids"][0, 1:]
        losses.append(-logprobs.gather(1, target[:, None])[-count:].sum())
        counts.append(count)
    total, number = torch.stack(losses), torch.tensor(counts)
    expected = total.sum() / number.sum() if average == "token" else (total / number).mean()
    loss = last_metrics(events(directory))[1]["train/loss"]
    assert loss == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("full_model", [False, True])
def test_resumed_training_equals_uninterrupted_training(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, full_model: bool
) -> None:
    whole = make_run(Kind.SFT, "whole", **FOUR_STEPS, full_model=full_model)
    assert train(whole) == 0
    parts = make_run(Kind.SFT, "parts", **FOUR_STEPS, full_model=full_model)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, cut_power)
        with pytest.raises(PowerCut):
            train(parts)
    assert train(parts) == 0
    assert_same_weights(whole / "final", parts / "final")
    assert last_metrics(events(whole)) == last_metrics(events(parts))


def test_full_model_is_a_whole_model_with_the_same_eyes(
    make_run: MakeRun, base_folder: Path
) -> None:
    directory = make_run(Kind.SFT, **FOUR_STEPS, full_model=True)
    assert train(directory) == 0
    before = AutoModelForImageTextToText.from_pretrained(base_folder).state_dict()
    after = AutoModelForImageTextToText.from_pretrained(directory / "final").state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert "model.language_model.layers.0.mlp.up_proj.weight" in changed
    assert not any("vision_tower" in name or "projector" in name for name in changed)


def test_training_goes_on_from_an_adapter(make_run: MakeRun) -> None:
    first = make_run(Kind.SFT, "first", **FOUR_STEPS)
    assert train(first) == 0
    still = FOUR_STEPS | {"optimizer": OptimizerSettings(learning_rate=0.0), "max_steps": 1}
    second = make_run(Kind.SFT, "second", policy=first / "final", **still)
    assert train(second) == 0
    assert_same_weights(first / "final", second / "final")
    weights = load_file(second / "final" / "adapter_model.safetensors")
    assert any(float(t.abs().sum()) > 0 for name, t in weights.items() if "lora_B" in name)


def test_adapter_dropout_is_drawn_the_same_after_resuming(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.rlhf.contract import LoraSettings

    settings = FOUR_STEPS | {"lora": LoraSettings(rank=4, alpha=4, dropout=0.5)}
    whole = make_run(Kind.SFT, "whole", **settings)
    assert train(whole) == 0
    parts = make_run(Kind.SFT, "parts", **settings)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, cut_power)
        with pytest.raises(PowerCut):
            train(parts)
    assert train(parts) == 0
    assert_same_weights(whole / "final", parts / "final")


def test_weights_that_are_multiplied_in_bfloat16_are_kept_in_float32(
    make_run: MakeRun, base_folder: Path
) -> None:
    """Steps of a thousandth of an ulp of bfloat16 go the way that they go in float32."""
    small = OptimizerSettings(learning_rate=1e-6)
    changes = FOUR_STEPS | {"full_model": True, "optimizer": small, "held_out": 3}
    before = load_file(base_folder / "model.safetensors")
    losses, moved = [], []
    for name, more in {
        "exact": {},
        "mixed": {"mixed_precision": True},
        "again": {"mixed_precision": True, "gradient_checkpointing": True},
    }.items():
        directory = make_run(Kind.SFT, name, **changes, **more)
        assert train(directory) == 0
        found = last_metrics(events(directory))
        losses.append([found[4]["train/loss"], found[4]["held_out/loss"]])
        after = load_file(directory / "final" / "model.safetensors")
        assert {tensor.dtype for tensor in after.values()} == {torch.float32}
        steps = [(after[key] - before[key]).flatten() for key in after if ".layers." in key]
        moved.append(torch.cat([step for step in steps if bool(step.any())]))
    exact, mixed, again = moved
    assert losses[1] == pytest.approx(losses[0], rel=0.02) and losses[1] != losses[0]
    assert losses[2] == losses[1]
    assert float(torch.cosine_similarity(again, mixed, dim=0)) > 0.9999
    assert 0.9 < float(torch.cosine_similarity(exact, mixed, dim=0)) < 0.9999


def test_an_adapter_is_multiplied_as_its_base_is(make_run: MakeRun) -> None:
    directory = make_run(Kind.SFT, **FOUR_STEPS, mixed_precision=True)
    assert train(directory) == 1
    [failure] = events(directory, "error")
    assert failure["message"].startswith("spec.json, settings.mixed_precision: is for full_model")


def test_small_steps_are_not_lost_in_bfloat16(make_run: MakeRun) -> None:
    directory = make_run(Kind.SFT, **FOUR_STEPS, full_model=True)
    spec = (directory / "spec.json").read_text().replace('"float32"', '"bfloat16"')
    (directory / "spec.json").write_text(spec)
    assert train(directory) == 1
    [failure] = events(directory, "error")
    assert "float32" in failure["message"]


def test_prompt_without_room_for_an_answer_is_named(make_run: MakeRun) -> None:
    directory = make_run(Kind.SFT, **FOUR_STEPS, max_length=7)
    assert train(directory) == 1
    [failure] = events(directory, "error")
    assert failure["message"].startswith("12 of 12 conversations cannot be used: record conv")
    assert "record conversation-0: the prompt leaves no room" in failure["message"]


def test_no_file_of_a_run_is_opened_for_writing_under_its_name(make_run: MakeRun) -> None:
    """But for the one that grows by whole lines."""
    directory = make_run(Kind.SFT, **FOUR_STEPS, held_out=3)
    with opened_for_writing(directory) as found:
        assert train(directory) == 0
    hidden = [name for name in found if any(part.startswith(".") for part in Path(name).parts)]
    assert len(hidden) > 4
    assert set(found) - set(hidden) == {"events.jsonl"}

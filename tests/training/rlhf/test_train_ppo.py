from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

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
from training.rlhf import experience
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind, OptimizerSettings, SamplingSettings
from training.rlhf.optimization import learning_rate
from training.rlhf.scoring import Scores

SHORT = SamplingSettings(temperature=1.0, query_length=48, response_length=6)
FOUR_ROUNDS = {
    "steps": 4,
    "rollout_batch_size": 6,
    "rollout_micro_batch_size": 4,
    "batch_size": 4,
    "micro_batch_size": 3,
    "checkpoint_every": 2,
    "samples_every": 2,
    "sampling": SHORT,
}


def train(directory: Path) -> int:
    return main(["ppo", "--run-dir", str(directory)])


def test_training_leaves_a_policy_and_tells_its_figures(
    make_run: MakeRun, reward_folder: Path
) -> None:
    directory = make_run(Kind.PPO, reward_model=reward_folder, **FOUR_ROUNDS)
    assert train(directory) == 0
    metrics = last_metrics(events(directory))
    assert set(metrics) == {1, 2, 3, 4}
    assert {
        *("ppo/reward", "ppo/score", "ppo/kl", "ppo/entropy", "ppo/response_tokens"),
        *("ppo/clip_fraction", "ppo/policy_loss", "ppo/value_loss", "ppo/finished"),
    } <= set(metrics[1])
    assert metrics[1]["ppo/kl"] == 0  # the policy begins as its own reference
    assert metrics[4]["ppo/kl"] != 0
    final = events(directory, "checkpoint")[-1]
    assert final["final"] and final["metrics"]["ppo/score"] == metrics[4]["ppo/score"]
    weights = load_file(directory / "final" / "adapter_model.safetensors")
    assert any(float(t.abs().sum()) > 0 for name, t in weights.items() if "lora_B" in name)
    samples = events(directory, "sample")
    shown = [(sample["step"], sample["prompt_id"]) for sample in samples]
    assert shown == [(step, f"prompt-{n}") for step in (1, 2, 4) for n in range(4)]


def test_policy_learns_what_is_rewarded(
    make_run: MakeRun, reward_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole path from score to weights, with a score that a person can check."""

    def count_of_red(reward_model, settings, records, prompts, responses, **_):  # type: ignore[no-untyped-def]
        red = torch.tensor([float(text.split().count("red")) for text in responses.texts])
        zero = torch.zeros_like(red)
        return Scores(red, zero, zero, zero)

    monkeypatch.setattr(experience, "score", count_of_red)
    directory = make_run(
        Kind.PPO,
        reward_model=reward_folder,
        **FOUR_ROUNDS
        | {
            "steps": 12,
            "rollout_batch_size": 48,
            "rollout_micro_batch_size": 48,
            "batch_size": 24,
            "micro_batch_size": 24,
            "checkpoint_every": 100,
        },
        policy_optimizer=OptimizerSettings(learning_rate=0.01),
        value_optimizer=OptimizerSettings(learning_rate=0.01),
        kl_coefficient=0.01,
    )
    assert train(directory) == 0
    metrics = last_metrics(events(directory))
    scores = [metrics[step]["ppo/score"] for step in range(1, 13)]
    assert sum(scores[-3:]) / 3 > 3 * sum(scores[:3]) / 3


@pytest.mark.parametrize(("interrupt", "code"), [(cut_power, None), (terminate, 143)])
def test_resumed_training_equals_uninterrupted_training(
    make_run: MakeRun,
    reward_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    interrupt: Callable[[], None],
    code: int | None,
) -> None:
    cosine = OptimizerSettings(learning_rate=1e-3, schedule="cosine")
    settings = FOUR_ROUNDS | {"steps": 0, "epochs": 2.0, "kl_target": 1.0}
    settings |= {"policy_optimizer": cosine}
    whole = make_run(Kind.PPO, "whole", reward_model=reward_folder, **settings)
    assert train(whole) == 0
    parts = make_run(Kind.PPO, "parts", reward_model=reward_folder, **settings)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, interrupt)
        if code is None:
            with pytest.raises(PowerCut):
                train(parts)
        else:
            assert train(parts) == code
    assert not (parts / "final").exists()
    assert train(parts) == 0
    assert_same_weights(whole / "final", parts / "final")
    assert_same_weights(whole / "checkpoints" / "step-4", parts / "checkpoints" / "step-4")
    assert last_metrics(events(whole)) == last_metrics(events(parts))


def test_sigterm_while_sampling_saves_the_rounds_so_far(
    make_run: MakeRun, reward_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = FOUR_ROUNDS | {"checkpoint_every": 100}
    whole = make_run(Kind.PPO, "whole", reward_model=reward_folder, **settings)
    assert train(whole) == 0
    parts = make_run(Kind.PPO, "parts", reward_model=reward_folder, **settings)
    calls = iter(range(100))
    original = experience.measure_rows

    def measure_rows(*arguments, **options):  # type: ignore[no-untyped-def]
        if next(calls) == 4:  # there are two batches in a round
            terminate()
        return original(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(experience, "measure_rows", measure_rows)
        assert train(parts) == 143
    assert sorted(path.name for path in (parts / "checkpoints").iterdir()) == ["step-2"]
    assert train(parts) == 0
    assert_same_weights(whole / "final", parts / "final")


def test_paper_preset_runs_over_all_slots(make_run: MakeRun, reward_folder: Path) -> None:
    directory = make_run(
        Kind.PPO,
        reward_model=reward_folder,
        preset="paper",
        **FOUR_ROUNDS | {"steps": 0, "epochs": 1.0},
    )
    spec = json.loads((directory / "spec.json").read_text())["settings"]
    assert (spec["score_position"], spec["mask_padding"]) == ("last_slot", False)
    assert train(directory) == 0
    metrics = last_metrics(events(directory))
    assert set(metrics) == {1, 2}  # 12 prompts, 6 a round
    optimizer = OptimizerSettings(**spec["policy_optimizer"])
    assert metrics[2]["ppo/learning_rate"] == pytest.approx(
        learning_rate(optimizer, 1, 2)
    )  # rounds
    assert "2 rounds: 1 passes over 12 prompts" in [e["text"] for e in events(directory, "stage")]


def test_ppo_begins_from_the_policy_it_is_given(make_run: MakeRun, reward_folder: Path) -> None:
    first = make_run(Kind.PPO, "first", reward_model=reward_folder, **FOUR_ROUNDS)
    assert train(first) == 0
    frozen = OptimizerSettings(learning_rate=0.0)
    second = make_run(
        Kind.PPO,
        "second",
        reward_model=reward_folder,
        policy=first / "final",
        **FOUR_ROUNDS | {"steps": 1},
        policy_optimizer=frozen,
    )
    assert train(second) == 0
    assert last_metrics(events(second))[1]["ppo/kl"] == 0
    assert_same_weights(first / "final", second / "final")


def test_long_prompts_are_left_out_with_their_images_and_facts(
    make_run: MakeRun, reward_folder: Path
) -> None:
    # "is there a cross ?" has 8 text tokens, "what is there ?" 7
    directory = make_run(
        Kind.PPO,
        reward_model=reward_folder,
        **FOUR_ROUNDS
        | {
            "steps": 1,
            "sampling": SamplingSettings(temperature=1.0, query_length=7, response_length=4),
        },
    )
    path = directory / "data" / "train.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for number, record in enumerate(records):
        record["captions"] = [f"fact {number}"]
    tiny.write_lines(path, records)
    for record in records[::2]:  # nobody may need the images of prompts that are left out
        (directory / "images" / record["image"]).write_bytes(b"broken")
    assert train(directory) == 0
    shown = [(s["prompt_id"], s["image"], s["facts"]) for s in events(directory, "sample")]
    assert shown == [(r["id"], r["image"], r["captions"]) for r in records[1:8:2]]


def test_no_prompt_that_is_short_enough_is_an_error(make_run: MakeRun, reward_folder: Path) -> None:
    two = {"sampling": SamplingSettings(temperature=1.0, query_length=2)}
    directory = make_run(Kind.PPO, reward_model=reward_folder, **FOUR_ROUNDS | two)
    assert train(directory) == 1
    [failure] = events(directory, "error")
    assert failure["message"].startswith("12 of 12 prompts cannot be used: record prompt-0")
    assert "more than 2 (settings.sampling.query_length)" in failure["message"]


def change_spec(directory: Path, **fields: object) -> None:
    path = directory / "spec.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_training_stops_when_the_kl_passes_its_limit(
    make_run: MakeRun, reward_folder: Path
) -> None:
    directory = make_run(
        Kind.PPO,
        reward_model=reward_folder,
        **FOUR_ROUNDS | {"kl_stop": 1e-9, "kl_estimator": "k3"},
        policy_optimizer=OptimizerSettings(learning_rate=0.01),
    )
    assert train(directory) == 0
    assert set(last_metrics(events(directory))) == {1, 2}
    assert events(directory, "checkpoint")[-1]["path"] == "final"
    assert train(directory) == 0  # and does not go on when started again
    assert set(last_metrics(events(directory))) == {1, 2}


def test_images_are_encoded_once_in_a_whole_run(
    make_run: MakeRun, reward_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import CLIPVisionModel

    counts: list[int] = []
    original = CLIPVisionModel.forward

    def forward(self, pixel_values, **options):  # type: ignore[no-untyped-def]
        counts.append(len(pixel_values))
        return original(self, pixel_values, **options)

    monkeypatch.setattr(CLIPVisionModel, "forward", forward)
    directory = make_run(Kind.PPO, reward_model=reward_folder, **FOUR_ROUNDS)
    assert train(directory) == 0
    tried, golden = 1, 5  # a base is shown a picture before it is taken
    assert sum(counts) == tried + golden + 12


def test_few_checkpoints_are_kept_if_asked(make_run: MakeRun, reward_folder: Path) -> None:
    directory = make_run(
        Kind.PPO,
        reward_model=reward_folder,
        **FOUR_ROUNDS | {"checkpoint_every": 1},
        keep_checkpoints=1,
    )
    assert train(directory) == 0
    metrics = last_metrics(events(directory))
    best = max(metrics, key=lambda step: metrics[step]["ppo/reward"])
    left = {path.name for path in (directory / "checkpoints").iterdir()}
    assert left == {f"step-{best}", "step-4"}

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.rlhf.conftest import MakeRun, events
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind


def test_scores_are_the_normalised_rewards_of_both_outputs(
    make_run: MakeRun, reward_folder: Path
) -> None:
    directory = make_run(Kind.SCORE, reward_model=reward_folder)
    assert main(["score", "--run-dir", str(directory)]) == 0
    lines = (directory / "final" / "scores.jsonl").read_text().splitlines()
    scores = {score["id"]: score for score in map(json.loads, lines)}
    assert list(scores) == [f"pair-{n}" for n in range(12)]
    # the reward model told these when it was trained, on the same pairs
    told = events(reward_folder.parent, "sample")
    assert told
    for one, two in zip(told[::2], told[1::2], strict=True):
        score = scores[one["prompt_id"]]
        assert score["reward_1"] == pytest.approx(one["reward"], abs=1e-4)
        assert score["reward_2"] == pytest.approx(two["reward"], abs=1e-4)
    assert set(events(directory, "checkpoint")[-1]["metrics"]) >= {"score/accuracy", "score/loss"}


def test_reward_model_must_be_named(make_run: MakeRun) -> None:
    directory = make_run(Kind.SCORE)
    assert main(["score", "--run-dir", str(directory)]) == 1
    [failure] = events(directory, "error")
    assert failure["message"] == "spec.json, reward_model: score needs one"

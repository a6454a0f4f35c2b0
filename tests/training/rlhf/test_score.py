from __future__ import annotations

import json
import math
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
        pair = one["prompt_id"].removesuffix(", output 1")
        assert two["prompt_id"] == f"{pair}, output 2"
        score = scores[pair]
        assert score["reward_1"] == pytest.approx(one["reward"], abs=1e-4)
        assert score["reward_2"] == pytest.approx(two["reward"], abs=1e-4)
    assert set(events(directory, "checkpoint")[-1]["metrics"]) >= {"score/accuracy", "score/loss"}


def test_reward_model_must_be_named(make_run: MakeRun) -> None:
    directory = make_run(Kind.SCORE)
    assert main(["score", "--run-dir", str(directory)]) == 1
    [failure] = events(directory, "error")
    assert failure["message"].startswith("spec.json, reward_model: score needs one")


def test_unlabelled_pairs_get_the_same_rewards_and_the_chance_that_the_first_is_better(
    make_run: MakeRun, reward_folder: Path
) -> None:
    labelled = make_run(Kind.SCORE, "labelled", reward_model=reward_folder)
    blank = make_run(Kind.SCORE, "blank", reward_model=reward_folder, labelled=False)
    data = blank / "data" / "train.jsonl"
    records = [json.loads(line) for line in data.read_text().splitlines()]
    for record in records:
        del record["preference"]
    data.write_text("".join(json.dumps(record) + "\n" for record in records))
    for directory in (labelled, blank):
        assert main(["score", "--run-dir", str(directory)]) == 0
    told = [(folder / "final" / "scores.jsonl").read_text() for folder in (labelled, blank)]
    assert told[0] == told[1]
    description = json.loads((reward_folder / "reward_model.json").read_text())
    for score in map(json.loads, told[0].splitlines()):
        difference = (score["reward_1"] - score["reward_2"]) * description["deviation"]
        stated = 1 / (1 + math.exp(-difference))
        assert score["probability_1"] == pytest.approx(stated, abs=1e-5)
    assert events(blank, "checkpoint")[-1]["metrics"] == {}

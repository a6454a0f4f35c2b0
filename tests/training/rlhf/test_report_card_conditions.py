"""The engine scores what a report card asks: blank pictures, no facts, those of another image."""

from __future__ import annotations

import json
from pathlib import Path

from benchmark.report_cards import figures
from benchmark.report_cards.kind import BLANK, blank_picture, conditions, scored
from tests.training.rlhf.conftest import MakeRun
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind, PreferencePair


def test_each_condition_gets_rewards_of_its_own(make_run: MakeRun, reward_folder: Path) -> None:
    directory = make_run(Kind.SCORE, reward_model=reward_folder, labelled=False)
    data = directory / "data" / "train.jsonl"
    pairs = [PreferencePair.from_json(json.loads(line)) for line in data.read_text().splitlines()]
    asked = list(conditions(pairs))
    data.write_text("".join(json.dumps(pair.to_json()) + "\n" for pair in asked))
    (directory / "images" / BLANK).write_bytes(blank_picture())
    assert main(["score", "--run-dir", str(directory)]) == 0
    lines = map(json.loads, (directory / "final" / "scores.jsonl").read_text().splitlines())
    told = {line["id"]: line for line in lines}
    assert told.keys() == {pair.id for pair in asked}
    found = figures.report(scored(pairs, told))
    assert found["pairs"] == len(pairs)
    assert {one["count"] for one in found["conditions"].values()} == {len(pairs)}
    rewards = {
        name: [told[f"{name}/{pair.id}"]["reward_1"] for pair in pairs]
        for name in found["conditions"]
    }
    assert rewards["image_and_facts"] != rewards["image"]  # It is shown the facts,
    assert rewards["image"] != rewards["neither"]  # and it is shown the picture.
    assert rewards["image_and_facts"] != rewards["other_facts"]

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import MakeRun, events
from tests.training.rlhf.resuming import terminate
from training.rlhf import generate as module
from training.rlhf.__main__ import main
from training.rlhf.contract import Generation, Kind, SamplingSettings

SHORT = SamplingSettings(temperature=1.0, response_length=6)


def generations(directory: Path) -> list[Generation]:
    lines = (directory / "final" / "generations.jsonl").read_text().splitlines()
    return [Generation.from_json(json.loads(line)) for line in lines]


def test_every_prompt_gets_its_answers_in_order(make_run: MakeRun) -> None:
    directory = make_run(Kind.GENERATE, samples_per_prompt=3, batch_size=5, sampling=SHORT)
    assert main(["generate", "--run-dir", str(directory)]) == 0
    found = generations(directory)
    assert [g.id for g in found] == [f"prompt-{n}" for n in range(12)]
    assert all(len(g.responses) == len(g.finished) == 3 for g in found)
    assert any(len(set(g.responses)) > 1 for g in found)
    special = set(tiny.SPECIAL)
    assert not any(special & set(text.split()) for g in found for text in g.responses)
    assert all(len(text.split()) <= 6 for g in found for text in g.responses)
    progress = [(e["done"], e["total"], e["unit"]) for e in events(directory, "progress")]
    assert progress == [(5, 12, "prompt"), (10, 12, "prompt"), (12, 12, "prompt")]


def test_answers_depend_on_the_seed_alone(make_run: MakeRun) -> None:
    found = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        directory = make_run(Kind.GENERATE, name, seed=seed, sampling=SHORT)
        assert main(["generate", "--run-dir", str(directory)]) == 0
        found.append(generations(directory))
    assert found[0] == found[1] != found[2]


def test_answers_are_those_of_the_adapter(make_run: MakeRun) -> None:
    from training.rlhf.contract import OptimizerSettings

    policy = make_run(
        Kind.SFT,
        "policy",
        max_steps=60,
        batch_size=12,
        optimizer=OptimizerSettings(learning_rate=0.01),
        epochs=100.0,
    )
    assert main(["sft", "--run-dir", str(policy)]) == 0
    greedy = SamplingSettings(temperature=0.0, response_length=8)
    directory = make_run(Kind.GENERATE, policy=policy / "final", sampling=greedy)
    records = tiny.conversation_records([f"{n:03d}-red.png" for n in range(12)])
    questions = [
        record | {"conversations": tiny.wire_turns("what is there ?")} for record in records
    ]
    for question, path in zip(questions, sorted(directory.glob("images/*")), strict=True):
        question["image"] = path.name
    tiny.write_lines(directory / "data" / "train.jsonl", questions)
    assert main(["generate", "--run-dir", str(directory)]) == 0
    found = generations(directory)
    assert {text for g in found for text in g.responses} <= {"yes", "a red circle and a cross"}
    assert all(all(g.finished) for g in found)


def test_sigterm_ends_generation_without_half_a_result(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = module.sample

    def sample(*arguments, **options):  # type: ignore[no-untyped-def]
        terminate()
        return original(*arguments, **options)

    monkeypatch.setattr(module, "sample", sample)
    directory = make_run(Kind.GENERATE, batch_size=5, sampling=SHORT)
    assert main(["generate", "--run-dir", str(directory)]) == 143
    assert not (directory / "final").exists()
    assert events(directory, "error") == []

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import MakeRun, events
from tests.training.rlhf.resuming import terminate
from training.rlhf import generate as module
from training.rlhf.__main__ import main
from training.rlhf.contract import Generation, Kind, SamplingSettings
from training.rlhf.decoding import Flight
from training.rlhf.rollout import Responses

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


@pytest.mark.parametrize("temperature", [1.0, 0.0])
def test_answers_do_not_depend_on_how_many_are_answered_at_once_nor_on_company(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, temperature: float
) -> None:
    """In windows of several batches, in batches one after the other, alone, in another order."""
    sampling = SamplingSettings(temperature=temperature, response_length=12)
    changes = {"samples_per_prompt": 2, "sampling": sampling}

    def answers(name: str, size: int, window: int, *, some: slice = slice(None)) -> dict[str, Any]:
        monkeypatch.setattr(module, "_WINDOW", window)
        directory = make_run(Kind.GENERATE, name, batch_size=size, **changes)
        file = directory / "data" / "train.jsonl"
        file.write_text("".join([f"{line}\n" for line in file.read_text().splitlines()[some]]))
        assert main(["generate", "--run-dir", str(directory)]) == 0
        return {found.id: found for found in generations(directory)}

    together = answers("together", 4, 16)
    assert len(together) == 12
    if temperature:
        assert len({text for one in together.values() for text in one.responses}) > 12
    assert answers("apart", 5, 1) == together
    assert answers("alone", 1, 1, some=slice(3)).items() <= together.items()
    assert answers("backwards", 3, 2, some=slice(None, None, -1)) == together


def test_a_prompt_takes_the_place_of_a_finished_answer(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So there are fewer steps than the longest answers of all batches have together."""
    steps = []
    step = Flight._step
    monkeypatch.setattr(Flight, "_step", lambda self: (steps.append(1), step(self))[1])
    sampling = SamplingSettings(temperature=1.0, response_length=40)
    directory = make_run(Kind.GENERATE, batch_size=4, samples_per_prompt=4, sampling=sampling)
    lengths: list[int] = []
    original = module.sample

    def sample(*arguments: Any, **options: Any) -> Responses:
        responses = original(*arguments, **options)
        lengths.extend(responses.lengths.tolist())
        return responses

    monkeypatch.setattr(module, "sample", sample)
    assert main(["generate", "--run-dir", str(directory)]) == 0
    assert len(lengths) == 48
    apart = sum(max(lengths[start : start + 16]) for start in range(0, 48, 16))
    assert max(lengths) <= len(steps) < 0.9 * apart


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

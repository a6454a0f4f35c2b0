from __future__ import annotations

import json
from typing import Any

import pytest

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import MakeRun, events
from tests.training.rlhf.resuming import last_metrics
from training.rlhf import held_out_halves as module
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind, PreferencePair
from training.rlhf.held_out_halves import halves

STEPS: dict[str, Any] = {"max_steps": 4, "epochs": 9.0, "batch_size": 6, "evaluate_every": 2}


class Told:
    """Stands for a run's events."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.events = self

    def stage(self, text: str) -> None:
        self.texts.append(text)


def pairs(count: int, images: int) -> list[PreferencePair]:
    names = [f"{number % images:03d}-red.png" for number in range(count)]
    return [PreferencePair.from_json(record) for record in tiny.preference_records(names)]


def test_images_are_divided_and_every_pair_is_on_one_side() -> None:
    told, held_out = Told(), pairs(60, 20)
    split = halves(told, held_out, chooses=True)  # type: ignore[arg-type]
    assert sorted(split.choosing + split.reporting) == list(range(60))
    one, two = ({held_out[n].image for n in half} for half in (split.choosing, split.reporting))
    assert not one & two and len(one) == len(two) == 10
    assert "chosen on 30 held-out pairs" in told.texts[0]


@pytest.mark.parametrize(("count", "chooses", "says"), [(8, True, 1), (60, False, 0), (0, True, 0)])
def test_all_report_where_nothing_chooses_or_they_are_few(
    count: int, chooses: bool, says: int
) -> None:
    told = Told()
    split = halves(told, pairs(count, 20), chooses=chooses)  # type: ignore[arg-type]
    assert split.choosing == split.reporting == list(range(count))
    assert len(told.texts) == says


@pytest.mark.parametrize("kind", [Kind.REWARD, Kind.DPO])
def test_the_step_is_chosen_on_other_pairs_than_those_reported(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    monkeypatch.setattr(module, "FEWEST", 6)
    directory = make_run(kind, **STEPS, held_out=6)
    assert main([kind.value, "--run-dir", str(directory)]) == 0
    metrics = last_metrics(events(directory))
    best = json.loads((directory / "checkpoints" / "best" / "metrics.json").read_text())["step"]
    judged = {
        step: (values["choosing/accuracy"], -values["choosing/loss"])
        for step, values in metrics.items()
        if "choosing/accuracy" in values
    }
    assert set(judged) == {2, 4} and judged[best] == max(judged.values())
    final = events(directory, "checkpoint")[-1]["metrics"]
    assert final["held_out/loss"] == pytest.approx(metrics[best]["held_out/loss"], abs=1e-5)
    assert final["held_out/loss"] != final["choosing/loss"]

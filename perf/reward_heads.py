"""Several reward heads on one backbone against several reward models, in the small world.

    OMP_NUM_THREADS=1 python -m perf.reward_heads [--seeds 1] [--output var/reward-heads]

Makes all it needs: the pairs of a seed of the study (``demo.study_seed``) with their mistaken
votes, then the reward models of each choice on the same pairs. What is printed is of held-out
pairs, all of which report (nothing is chosen on them), as means over seeds. What has been made is
not made again.

``error`` is the expected calibration error of P(first is better). ``spread`` and ``doubt`` are
areas under the curve of telling the wrongly judged pairs by the spread about the difference of the
rewards and by a small mean difference; 0.5 says nothing. ``least`` and ``most`` are the shares
judged wrongly among the third of the pairs with the least spread and with the most. ``cost`` is
the processor time of training, in units of one linear head's.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import io
import json
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from demo.console import Console
from demo.study_engine import prepare, read_lines
from demo.study_seed import BASE_MODEL, Pair, Plan, Seed
from training.rlhf import run_directory, score, train_reward
from training.rlhf.contract import Kind, RunSpec, settings_from_json
from training.rlhf.evaluation import area_under_curve, calibration_error
from training.rlhf.presets import preset_spec

MEMBERS = 4


@dataclass(frozen=True)
class Choice:
    """Changes to the reward model's settings; ``models`` of them, which differ in their seed."""

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    models: int = 1


CHOICES = (
    Choice("one linear head"),
    Choice("one mlp head", {"head": "mlp"}),
    Choice(f"{MEMBERS} linear heads", {"ensemble": MEMBERS}),
    Choice(f"{MEMBERS} mlp heads", {"head": "mlp", "ensemble": MEMBERS}),
    Choice(f"{MEMBERS} models", models=MEMBERS),
)
FIGURES = ("accuracy", "loss", "error", "spread", "doubt", "least", "most", "cost")


def main() -> None:
    options = parse()
    found: dict[str, list[dict[str, float]]] = {choice.name: [] for choice in CHOICES}
    for number in range(options.seeds):
        seed = Seed(options.output / f"seed-{number}", number, Plan(), Console())
        train, held_out = seed.pairs()
        for choice in CHOICES:
            found[choice.name].append(measured(seed, choice, train, held_out))
    unit = statistics.fmean(one["cost"] for one in found[CHOICES[0].name])
    print(f"{'':18}" + "".join(f"{name:>10}" for name in FIGURES))
    for name, rows in found.items():
        means = {
            figure: statistics.fmean(row[figure] for row in rows)
            for figure in FIGURES
            if figure in rows[0]
        }
        means["cost"] /= unit
        cells = (f"{means[f]:>10.3f}" if f in means else f"{'-':>10}" for f in FIGURES)
        print(f"{name:18}" + "".join(cells))


def measured(
    seed: Seed, choice: Choice, train: Sequence[Pair], held_out: Sequence[Pair]
) -> dict[str, float]:
    """Figures of a choice on the held-out pairs of one seed; ``cost`` in processor seconds."""
    folders = [trained(seed, choice, number, train, held_out) for number in range(choice.models)]
    lines = [scored(seed, folder, held_out) for folder in folders]
    # [models, pairs], in log-odds
    each = torch.tensor([[log_odds(line["probability_1"]) for line in one] for one in lines])
    apart: Tensor | None = each.std(0, correction=0)
    if choice.models == 1:
        known = "spread" in lines[0][0]
        apart = torch.tensor([line["spread"] for line in lines[0]]) if known else None
    first = torch.tensor([pair.voted.preference == 1 for pair in held_out])
    cost = sum(json.loads((folder / "cost.json").read_text()) for folder in folders)
    return figures(each.mean(0), apart, first) | {"cost": cost}


def figures(difference: Tensor, apart: Tensor | None, first: Tensor) -> dict[str, float]:
    """Of the mean difference of both rewards and its spread, ``[pairs]`` each in log-odds, and of
    whether the first is better."""
    toward = torch.where(first, difference, -difference)
    wrong = toward <= 0
    found = {
        "accuracy": float((~wrong).float().mean()),
        "loss": float(-torch.nn.functional.logsigmoid(toward).mean()),
        "error": calibration_error(torch.sigmoid(difference), first),
        "doubt": area_under_curve(-difference.abs(), wrong),
    }
    if apart is None:
        return found
    third = len(wrong) // 3
    order = apart.argsort()
    return found | {
        "spread": area_under_curve(apart, wrong),
        "least": float(wrong[order[:third]].float().mean()),
        "most": float(wrong[order[-third:]].float().mean()),
    }


def trained(
    seed: Seed, choice: Choice, number: int, train: Sequence[Pair], held_out: Sequence[Pair]
) -> Path:
    """The run of one reward model, with the processor seconds that it took in ``cost.json``."""
    folder = seed.folder / f"{choice.name.replace(' ', '-')}-{number}"
    if not (folder / "cost.json").exists():
        changes = {"keep_best": False, "with_facts": True, **choice.changes}
        spec = spec_of(Kind.REWARD, seed.number + 1000 * number, changes)
        voted, apart = ([pair.voted for pair in pairs] for pairs in (train, held_out))
        prepare(folder, spec, voted, held_out=apart, images=seed.folder / "images")
        began = time.process_time()
        carry_out(folder, Kind.REWARD)
        (folder / "cost.json").write_text(json.dumps(time.process_time() - began))
    return folder


def scored(seed: Seed, model: Path, held_out: Sequence[Pair]) -> list[dict[str, Any]]:
    """What a reward model says of the held-out pairs."""
    folder = model / "scored"
    if not (folder / "final").exists():
        spec = dataclasses.replace(
            spec_of(Kind.SCORE, seed.number, {}), reward_model="adapters/reward"
        )
        voted = [pair.voted for pair in held_out]
        reward = {"reward": model / "final"}
        prepare(folder, spec, voted, images=seed.folder / "images", adapters=reward)
        carry_out(folder, Kind.SCORE)
    return read_lines(folder / "final" / "scores.jsonl")


def spec_of(kind: Kind, seed: int, changes: Mapping[str, Any]) -> RunSpec:
    spec = preset_spec(kind, "small-world", base_model=str(BASE_MODEL), seed=seed)
    settings = spec.to_json()["settings"] | dict(changes)
    return dataclasses.replace(spec, settings=settings_from_json(kind, settings))


WORK = {Kind.REWARD: train_reward.train_reward, Kind.SCORE: score.score}
"""Loaded here, so that no run pays for it."""


def carry_out(folder: Path, kind: Kind) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        code = run_directory.carry_out(folder, kind, WORK[kind])
    assert code == 0, folder


def log_odds(probability: float) -> float:
    held = min(max(probability, 1e-9), 1 - 1e-9)
    return math.log(held / (1 - held))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("var/reward-heads"))
    return parser.parse_args()


if __name__ == "__main__":
    main()

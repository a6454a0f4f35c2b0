"""What the demo found: the oracle's measures of each model, as JSON and as a table.

Nothing here is an input of training: the answers are those that the engine gave in the
evaluations of each chain, to scenes that no training has seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.models import Answer, Evaluation
from benchmark.protocols.small_world import Scene, coverage, hallucinating
from benchmark.statistics import bootstrap_interval
from demo.console import Console
from training.checkpoints import registry
from training.models import Chain, Run

TITLES = {"base": "base model", "rlhf": "RLHF (no facts)", "fact_rlhf": "Fact-RLHF"}


def make(chains: Mapping[str, Chain], *, seconds: float, labels: int) -> dict[str, Any]:
    """The report as written to ``report.json``; shares are between 0 and 1."""
    return {
        "seconds": round(seconds, 1),
        "labels": labels,
        "reward_model": {
            "plain": _reward_model(chains["rlhf"]),
            "fact": _reward_model(chains["fact_rlhf"]),
        },
        **{name: _measures(chains[name]) for name in TITLES},
    }


def write(found: dict[str, Any], path: Path) -> None:
    """Written whole or not at all."""
    fresh = path.with_suffix(".tmp")
    fresh.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)


def show(found: dict[str, Any], console: Console) -> None:
    """The table at the end, each share with its 95 % interval."""
    rows = []
    for name, title in TITLES.items():
        measured = found[name]
        facts = {"rlhf": "plain", "fact_rlhf": "fact"}.get(name)
        accuracy = found["reward_model"][facts]["held_out_accuracy"] if facts else None
        rows.append(
            [
                title,
                _percent(measured, "hallucinating_answers"),
                _percent(measured, "coverage"),
                f"{measured['mmhal_score']:.2f}",
                "" if accuracy is None else f"{100 * accuracy:.0f} %",
            ]
        )
    console.table(
        ["", "hallucinating answers", "coverage", "score 0-6", "reward model, held-out"], rows
    )
    answers = found["base"]["answers"]
    console.line(f"Shares are the oracle's, of {answers} held-out scenes, with 95 % intervals.")
    console.line(f"{found['labels']:,} labels, {found['seconds']:.0f} s in all")


def _percent(measured: dict[str, Any], name: str) -> str:
    low, high = measured["intervals"][name]
    return f"{100 * measured[name]:.1f} % ({100 * low:.0f} to {100 * high:.0f})"


def _reward_model(chain: Chain) -> dict[str, float]:
    checkpoint = registry.final_checkpoint(chain.runs.get(kind="reward"))
    assert checkpoint is not None
    return {"held_out_accuracy": checkpoint.metrics["held_out/accuracy"]}


def _measures(chain: Chain) -> dict[str, Any]:
    questions, descriptions = (
        Evaluation.objects.get(run=run)
        for run in Run.objects.filter(chain=chain, kind="evaluation").order_by("pk")
    )
    answers = Answer.objects.filter(evaluation=descriptions).select_related("question")
    wrong, covered = [], []
    for answer in answers:
        scene = Scene.from_json(answer.question.data["truth"]["scene"])
        wrong.append(float(hallucinating(answer.text, scene)))
        covered.append(coverage(answer.text, scene))
    shares = {"hallucinating_answers": wrong, "coverage": covered}
    return {
        **{name: float(np.mean(values)) for name, values in shares.items()},
        "mmhal_score": questions.summary["score"]["value"],
        "intervals": {name: _interval(values) for name, values in shares.items()},
        "answers": len(wrong),
    }


def _interval(values: list[float]) -> list[float]:
    found = bootstrap_interval(values)
    return [found.low, found.high]

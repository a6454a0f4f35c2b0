"""What the demo found: the oracle's measures of each model, as JSON and as a table.

Nothing here is an input of training: the answers are those that the engine gave in the
evaluations of each chain, to scenes that no training has seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

import durable
from benchmark.models import Answer, Evaluation
from benchmark.protocols.small_world import Scene, coverage, hallucinating, rate
from benchmark.statistics import SHARE, Measure, mean_between, paired_test
from demo.console import Console
from demo.faults import has_held_out_companion
from training.checkpoints import registry
from training.models import Chain, Run

TITLES = {"base": "base model", "rlhf": "RLHF (no facts)", "fact_rlhf": "Fact-RLHF"}
LOWEST_HONEST, HIGHEST_RATING = 3, 6
MEASURES = {"hallucinating_answers": SHARE, "coverage": mean_between(0, 1)}


@dataclass(frozen=True)
class Asked:
    """One answer to a question of the benchmark and what the exact judge makes of it."""

    type: str
    rating: int
    covered: float | None
    """Coverage of a description, None for other questions."""
    held_out_companion: bool


def make(chains: Mapping[str, Chain], *, seconds: float, labels: int) -> dict[str, Any]:
    """The report as written to ``report.json``; shares are between 0 and 1.

    ``greedy`` is the benchmark of the eight types, each question answered with the most likely
    words; what stands under the name of a model by itself is of descriptions at temperature 1.
    """
    asked = {name: _asked(_evaluations(chains[name])[1]) for name in TITLES}
    return {
        "seconds": round(seconds, 1),
        "labels": labels,
        "reward_model": {
            "plain": _reward_model(chains["rlhf"]),
            "fact": _reward_model(chains["fact_rlhf"]),
        },
        "greedy": {name: _greedy(asked[name]) for name in TITLES},
        "greedy_questions": len(asked["base"]),
        "greedy_by_type": {name: _by_type(asked[name]) for name in TITLES},
        "greedy_held_out_companions": {
            name: _score([one for one in asked[name] if one.held_out_companion]) for name in TITLES
        },
        "greedy_differences": {
            f"{one} to {two}": _difference(asked[one], asked[two])
            for one, two in (("base", "rlhf"), ("base", "fact_rlhf"), ("rlhf", "fact_rlhf"))
        },
        **{name: _measures(chains[name]) for name in TITLES},
    }


def _asked(evaluation: Evaluation) -> list[Asked]:
    found = []
    for answer in Answer.objects.filter(evaluation=evaluation).select_related("question"):
        data = answer.question.data
        scene = Scene.from_json(data["truth"]["scene"])
        kind = data["question_type"]
        found.append(
            Asked(
                type=kind,
                rating=rate(data, answer.text).rating,
                covered=coverage(answer.text, scene) if kind == "holistic" else None,
                held_out_companion=has_held_out_companion(scene),
            )
        )
    return found


def _greedy(asked: Sequence[Asked]) -> dict[str, float]:
    covered = [one.covered for one in asked if one.covered is not None]
    return {
        "score": fmean(one.rating for one in asked),
        "hallucination_rate": fmean(one.rating < LOWEST_HONEST for one in asked),
        "coverage": fmean(covered),
    }


def _by_type(asked: Sequence[Asked]) -> dict[str, float]:
    types = dict.fromkeys(one.type for one in asked)
    return {kind: fmean(one.rating for one in asked if one.type == kind) for kind in types}


def _score(asked: Sequence[Asked]) -> dict[str, float | int | None]:
    score = fmean(one.rating for one in asked) if asked else None
    return {"score": score, "questions": len(asked)}


def _difference(first: Sequence[Asked], second: Sequence[Asked]) -> dict[str, Any]:
    """Paired over questions, which both evaluations hold in one order."""
    found = paired_test(
        [one.rating for one in first], [two.rating for two in second], span=HIGHEST_RATING
    )
    interval = [found.interval.low, found.interval.high]
    return {"difference": found.difference, "interval": interval, "p": found.p_value}


def write(found: dict[str, Any], path: Path) -> None:
    """Written whole or not at all."""
    durable.write(path, json.dumps(found, indent=2) + "\n")


def show(found: dict[str, Any], console: Console) -> None:
    """The two tables at the end: the most likely answers first, then sampled descriptions."""
    rows = []
    for name, title in TITLES.items():
        greedy = found["greedy"][name]
        facts = {"rlhf": "plain", "fact_rlhf": "fact"}.get(name)
        accuracy = found["reward_model"][facts]["held_out_accuracy"] if facts else None
        rows.append(
            [
                title,
                f"{greedy['score']:.2f}",
                f"{100 * greedy['hallucination_rate']:.1f} %",
                f"{100 * greedy['coverage']:.1f} %",
                "" if accuracy is None else f"{100 * accuracy:.0f} %",
            ]
        )
    console.line(f"Answered greedily: {found['greedy_questions']} held-out questions of 8 types")
    console.table(
        ["", "score 0-6", "hallucinating", "coverage", "reward model, held-out votes"], rows
    )
    for pair, told in found["greedy_differences"].items():
        low, high = told["interval"]
        console.line(
            f"{pair}: {told['difference']:+.2f} ({low:+.2f} to {high:+.2f}), p {told['p']:.4f}"
        )
    console.line(f"Sampled at temperature 1: {found['base']['answers']} held-out descriptions")
    shares = ("hallucinating_answers", "coverage")
    console.table(
        ["", "hallucinating", "coverage"],
        [
            [title, *(_percent(found[name], share) for share in shares)]
            for name, title in TITLES.items()
        ],
    )
    console.line("Judged by the oracle; brackets hold 95 % intervals.")
    console.line(f"{found['labels']:,} labels, {found['seconds']:.0f} s in all")


def _percent(measured: dict[str, Any], name: str) -> str:
    low, high = measured["intervals"][name]
    return f"{100 * measured[name]:.1f} % ({100 * low:.0f} to {100 * high:.0f})"


def _reward_model(chain: Chain) -> dict[str, float]:
    checkpoint = registry.final_checkpoint(chain.runs.get(kind="reward"))
    assert checkpoint is not None
    return {"held_out_accuracy": checkpoint.metrics["held_out/accuracy"]}


def _evaluations(chain: Chain) -> list[Evaluation]:
    """The descriptions, then the eight types."""
    runs = Run.objects.filter(chain=chain, kind="evaluation").order_by("pk")
    return [Evaluation.objects.get(run=run) for run in runs]


def _measures(chain: Chain) -> dict[str, Any]:
    descriptions, questions = _evaluations(chain)
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
        "intervals": {name: _interval(values, MEASURES[name]) for name, values in shares.items()},
        "answers": len(wrong),
    }


def _interval(values: list[float], measure: Measure) -> list[float]:
    found = measure.interval(values, None)
    return [found.low, found.high]

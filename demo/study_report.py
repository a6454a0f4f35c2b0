"""What the study found: measures of answers, what seeds have in common, a page with plots.

Intervals are over seeds (``training.figures.seeds``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from benchmark.protocols.mmhal import LOWEST_HONEST_RATING
from benchmark.protocols.small_world import coverage, rate
from demo.claims import mistakes
from demo.study_arms import ARMS
from demo.world import Prompt, benchmark_record
from training.figures.seeds import Estimate

Seeds = Sequence[Mapping[str, Any]]


def measure(texts: Sequence[str], asked: Sequence[Prompt]) -> dict[str, float]:
    """One model on the benchmark, by its exact judge; ``texts`` are in the order of ``asked``.

    ``score`` is the mean rating (0 to 6), ``hallucinating`` the share rated below 3, ``coverage``
    that of the descriptions among them.
    """
    ratings = [rate(benchmark_record(p), text).rating for p, text in zip(asked, texts, strict=True)]
    described = [
        coverage(text, prompt.scene)
        for prompt, text in zip(asked, texts, strict=True)
        if prompt.question.type == "holistic"
    ]
    return {
        "score": fmean(ratings),
        "hallucinating": fmean(rating < LOWEST_HONEST_RATING for rating in ratings),
        "coverage": fmean(described),
    }


def reward_measure(
    texts: Sequence[str], asked: Sequence[Prompt], rewards: Sequence[float]
) -> dict[str, float]:
    """The mean of a reward model's ``rewards`` of these answers, and what they are worth."""
    wrong = [
        mistakes(text, prompt.question, prompt.scene) > 0
        for prompt, text in zip(asked, texts, strict=True)
    ]
    return {"reward": fmean(rewards), "told_apart": told_apart(rewards, wrong)}


def shares_by_kind(kinds: Sequence[str], right: Sequence[bool]) -> dict[str, dict[str, float]]:
    """How often the answer was right of each kind, and of how many."""
    groups: dict[str, list[bool]] = {}
    for kind, is_right in zip(kinds, right, strict=True):
        groups.setdefault(kind, []).append(is_right)
    return {kind: {"share": fmean(v), "pairs": len(v)} for kind, v in sorted(groups.items())}


def told_apart(rewards: Sequence[float], wrong: Sequence[bool]) -> float:
    """How often an honest answer has a higher reward than a hallucinating one (AUC), 0 to 1.

    A half where all answers are of one sort.
    """
    honest = [reward for reward, is_wrong in zip(rewards, wrong, strict=True) if not is_wrong]
    others = [reward for reward, is_wrong in zip(rewards, wrong, strict=True) if is_wrong]
    if not honest or not others:
        return 0.5
    return fmean((h > o) + 0.5 * (h == o) for h in honest for o in others)


def along(seeds: Seeds, arm: str, name: str) -> dict[int, Estimate]:
    """The measure ``name`` of an arm at each step that every seed with that arm reached."""
    found = [seed["arms"][arm] for seed in seeds if arm in seed["arms"]]
    by_seed = [{row["step"]: row[name] for row in rows} for rows in found]
    steps = sorted(set.intersection(*map(set, by_seed))) if by_seed else []
    return {step: Estimate.of([rows[step] for rows in by_seed]) for step in steps}


def ends(seeds: Seeds, arm: str, name: str) -> dict[int, float]:
    """The measure where training ended, by the number of the seed; "base" is where every training
    began, which the controls did not."""
    if arm == "base":
        trained = [arm.name for arm in ARMS]
        began = {s["seed"]: [s["arms"][n][0] for n in trained if n in s["arms"]] for s in seeds}
        return {number: rows[0][name] for number, rows in began.items() if rows}
    return {seed["seed"]: seed["arms"][arm][-1][name] for seed in seeds if arm in seed["arms"]}


def differences(seeds: Seeds, one: str, two: str, name: str) -> Estimate | None:
    """``two`` minus ``one`` where training ended, in the seeds that have both; None without any."""
    first, second = ends(seeds, one, name), ends(seeds, two, name)
    both = sorted(first.keys() & second.keys())
    return Estimate.of([second[n] - first[n] for n in both]) if both else None

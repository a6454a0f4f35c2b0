"""What the study found: measures of answers, what seeds have in common, a page with plots.

Intervals are Student's t over seeds at 95 %, because a seed is what varies when somebody repeats
the study; the scenes inside a seed are not independent repetitions of training.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev
from typing import Any

from benchmark.protocols.small_world import Scene, claims, coverage, hallucinating, words
from demo.world import Prompt
from training.rlhf.contract import Generation

CONFIDENCE = 0.95
_T_QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""97.5 % quantiles of Student's t with 1 to 9 degrees of freedom."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds; ``low`` and ``high`` are NaN where one seed tells no spread."""

    mean: float
    low: float
    high: float
    each: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate:
        """The t-interval of independent ``values``; ValueError without any."""
        if not values:
            raise ValueError("no seed, no estimate")
        mean = fmean(values)
        half = math.nan
        if len(values) > 1:
            half = _t_quantile(len(values) - 1) * stdev(values) / math.sqrt(len(values))
        return cls(mean, mean - half, mean + half, tuple(values))


def measure(generations: Sequence[Generation], asked: Sequence[Prompt]) -> dict[str, float]:
    """One policy on held-out scenes, by the oracle; one response to each prompt, in their order."""
    texts, scenes = _answers(generations, asked)
    return {
        "hallucinating": fmean(map(hallucinating, texts, scenes)),
        "coverage": fmean(map(coverage, texts, scenes)),
        "words": fmean(len(words(text)) for text in texts),
        "finished": fmean(generation.finished[0] for generation in generations),
        **claim_measures(texts, scenes),
    }


def claim_measures(texts: Sequence[str], scenes: Sequence[Scene]) -> dict[str, float]:
    """What is claimed in captions that can be read, as shares of their claims.

    ``invented``: there is nothing at that place; ``mistaken``: there is something else. ``skew``
    is the total variation distance between how often the claims, and how often the scenes, have
    each of the twelve kinds of objects (red circle, ...): 0 for the same frequencies. All are 0
    where nothing is claimed.
    """
    told = [
        (claim, scene)
        for text, scene in zip(texts, scenes, strict=True)
        for claim in claims(text) or ()
    ]
    there = [(claim, scene.at(claim.position)) for claim, scene in told]
    total = max(len(told), 1)
    claimed = Counter((claim.color, claim.shape) for claim, _ in told)
    shown = Counter((thing.color, thing.shape) for scene in scenes for thing in scene.things)
    gaps = (claimed[kind] / total - shown[kind] / shown.total() for kind in claimed | shown)
    return {
        "invented": sum(thing is None for _, thing in there) / total,
        "mistaken": sum(thing is not None and thing != claim for claim, thing in there) / total,
        "skew": sum(map(abs, gaps)) / 2 if told else 0.0,
    }


def reward_measure(
    generations: Sequence[Generation], asked: Sequence[Prompt], rewards: Sequence[float]
) -> dict[str, float]:
    """The mean of a reward model's ``rewards`` of these answers, and what they are worth."""
    wrong = list(map(hallucinating, *_answers(generations, asked)))
    return {"reward": fmean(rewards), "told_apart": told_apart(rewards, wrong)}


def _answers(
    generations: Sequence[Generation], asked: Sequence[Prompt]
) -> tuple[list[str], list[Scene]]:
    if [generation.id for generation in generations] != [prompt.record.id for prompt in asked]:
        raise ValueError("the answers do not match the prompts one to one")
    return [g.responses[0] for g in generations], [prompt.scene for prompt in asked]


def told_apart(rewards: Sequence[float], wrong: Sequence[bool]) -> float:
    """How often an honest answer has a higher reward than a hallucinating one (AUC), 0 to 1.

    A half where all answers are of one sort.
    """
    honest = [reward for reward, is_wrong in zip(rewards, wrong, strict=True) if not is_wrong]
    others = [reward for reward, is_wrong in zip(rewards, wrong, strict=True) if is_wrong]
    if not honest or not others:
        return 0.5
    return fmean((h > o) + 0.5 * (h == o) for h in honest for o in others)


def along(seeds: Sequence[Mapping[str, Any]], arm: str, name: str) -> dict[int, Estimate]:
    """The measure ``name`` of an arm at each step that every seed reached."""
    by_seed = [{row["step"]: row[name] for row in seed["arms"][arm]} for seed in seeds]
    steps = sorted(set.intersection(*(set(found) for found in by_seed)))
    return {step: Estimate.of([found[step] for found in by_seed]) for step in steps}


def at_end(seeds: Sequence[Mapping[str, Any]], arm: str, name: str) -> Estimate:
    """The measure ``name`` where training ended, after however many steps that was."""
    return Estimate.of([seed["arms"][arm][-1][name] for seed in seeds])


def difference(one: Estimate, two: Estimate) -> Estimate:
    """``two`` minus ``one``, seed by seed."""
    return Estimate.of([b - a for a, b in zip(one.each, two.each, strict=True)])


def relative_drop(base: Estimate, after: Estimate) -> Estimate:
    """By what share of itself ``base`` fell, seed by seed."""
    return Estimate.of([1 - b / a for a, b in zip(base.each, after.each, strict=True)])


def _t_quantile(freedom: int) -> float:
    if freedom <= len(_T_QUANTILES):
        return _T_QUANTILES[freedom - 1]
    # The normal quantile with three terms of its expansion in 1 / freedom: within 1e-3 from 10 on.
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))

"""Which labels of a machine may stand, by what people said of a random sample of them.

The promise: with the asked-for confidence, no more than ``level`` of the labels that are at least
as confident as the threshold are wrong. It holds of the labels together, not of each, whatever the
machine's confidence means: a confidence without worth costs labels, never truth.

Source: fixed-sequence testing as in *Learn then Test* (Angelopoulos et al., 2021, arXiv 2110.01052,
section 2.3), with exact binomial tests, which are Clopper and Pearson's (1934) upper bound turned
round; the order goes from the most confident labels to all of them, as selective classification
does (Geifman and El-Yaniv 2017, arXiv 1705.08500).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from annotation.quality.binomial import at_most

FIRST_FORGIVES = 2
"""Errors that the first threshold may meet. One that forgives none is reached with the fewest
labels, and ends everything at the first slip of a machine that is right 99 times of 100."""
_HALVINGS = 60


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One label of the sample."""

    confidence: float
    wrong: bool
    """Whether people settled on anything else."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One threshold that was tried."""

    threshold: float
    sample: int
    """Labels of the sample that are at least so confident."""
    errors: int
    bound: float
    """Clopper and Pearson's upper bound of the share of wrong labels among them."""
    passed: bool


@dataclass(frozen=True, kw_only=True)
class Tested:
    """All steps, in the order in which they were tried; the last one that passed holds."""

    steps: list[Step]

    @property
    def chosen(self) -> Step | None:
        return next((step for step in reversed(self.steps) if step.passed), None)


@lru_cache(maxsize=4096)
def upper_bound(errors: int, sample: int, confidence: float) -> float:
    """The largest share of wrong labels that ``errors`` in ``sample`` do not rule out.

    One-sided, Clopper and Pearson (1934); 1 of an empty sample. Raises ValueError for a number of
    errors that is not within the sample, and a confidence that is not between 0 and 1.
    """
    if not 0 <= errors <= sample or not 0 < confidence < 1:
        raise ValueError(f"{errors} errors in {sample} at confidence {confidence}")
    low, high = (errors / sample if sample else 1.0), 1.0
    if errors == sample:
        return 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if at_most(errors, sample, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


@lru_cache(maxsize=4096)
def fewest(level: float, confidence: float, errors: int = 0) -> int:
    """The fewest labels, ``errors`` of them wrong, that show that at most ``level`` are."""
    low, high = errors, errors + 1
    while at_most(errors, high, level) > 1 - confidence:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if at_most(errors, middle, level) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def certify(sample: Sequence[Answered], *, level: float, confidence: float) -> Tested:
    """The labels of ``sample`` that may stand.

    Thresholds follow from the confidences and the size of the sample, never from what people said:
    the first lets in as many labels as can forgive FIRST_FORGIVES errors, each further one as many
    as can forgive one more, the last all. Each is tested at ``1 - confidence``, and the first that
    fails ends it: to pass a wrong one, the first wrong one has to be passed, so that
    ``1 - confidence`` is the chance of it in all. Equal confidences are never parted.
    """
    if not 0 < level < 1:
        raise ValueError(f"{level} is no share that may be wrong")
    ordered = sorted(sample, key=lambda one: -one.confidence)
    steps: list[Step] = []
    for number in _sizes([one.confidence for one in ordered], level, confidence):
        errors = sum(one.wrong for one in ordered[:number])
        bound = upper_bound(errors, number, confidence)
        step = Step(
            threshold=ordered[number - 1].confidence,
            sample=number,
            errors=errors,
            bound=bound,
            passed=bound <= level,
        )
        steps.append(step)
        if not step.passed:
            break
    return Tested(steps=steps)


def _sizes(confidences: Sequence[float], level: float, confidence: float) -> list[int]:
    """How many of the most confident labels each step has."""
    whole = len(confidences)
    needed: list[int] = []
    while (next_one := fewest(level, confidence, len(needed))) <= whole:
        needed.append(next_one)
    sizes: list[int] = []
    for start in [*needed[min(FIRST_FORGIVES, len(needed) - 1) :], whole] if needed else []:
        number = start
        while number < whole and confidences[number] == confidences[number - 1]:
            number += 1
        if not sizes or number > sizes[-1]:
            sizes.append(number)
    return sizes


def evidence_against(errors: int, answers: int, level: float) -> float:
    """How strongly ``errors`` in ``answers`` speak against "no more than ``level`` are wrong".

    The mean, over all shares above ``level`` alike, of how much better that share explains the
    answers: a test martingale's value (Ville 1939; Ramdas et al. 2023, arXiv 2210.01948). Under
    the promise the chance that it *ever* reaches 1 / alpha is at most alpha, so it may be looked
    at after every answer.
    """
    if not 0 <= errors <= answers or not 0 < level < 1:
        raise ValueError(f"{errors} errors in {answers} at level {level}")
    # The integral of a beta density above ``level`` is a binomial chance.
    above = at_most(errors, answers + 1, level)
    right = answers - errors
    beta = math.lgamma(errors + 1) + math.lgamma(right + 1) - math.lgamma(answers + 2)
    promised = errors * math.log(level) + right * math.log1p(-level)
    return math.exp(min(700.0, beta + math.log(above) - math.log1p(-level) - promised))

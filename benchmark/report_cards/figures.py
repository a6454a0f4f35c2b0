"""The figures of a report card, out of held-out pairs and the rewards that each got.

Each pair is scored several times: as it is, and with its picture, its facts, or both taken away or
exchanged. A reward model that is as good without them has learnt style. Differences between these
conditions are paired: every pair is its own control.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.report_cards import best_of_n, sentences
from benchmark.statistics import (
    NOT_DEFINED,
    SHARE,
    Interval,
    Resampled,
    estimate,
    estimate_of_sums,
    paired_test,
    ratio,
    unseen_of_mean,
)

WHOLE = "image_and_facts"
CONDITIONS = {
    WHOLE: "Image and facts",
    "image": "Image alone",
    "facts": "Facts alone",
    "neither": "Neither",
    "other_facts": "Facts of another image",
}
"""What the reward model is shown; what is taken away is a blank picture, or no facts."""
BINS = 5
_SHARES = ("conditions", "by_margin", "by_decision", "by_length")
LEAST_SHOWN = 5
"""Groups of fewer pairs say nothing and are left out."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One held-out pair: ``first`` is the chance in 0..1 that the reward model gives the first
    response of being the better one, by condition; ``preference`` is 1 or 2."""

    preference: int
    honesty: bool
    """Whether people decided by hallucination, and not by helpfulness."""
    margin: float
    lengths: tuple[int, int]
    """Of both responses, in characters."""
    first: Mapping[str, float]
    rewards: tuple[float, float]
    """As the pair is."""

    def right(self, condition: str) -> float:
        """1, 0, or half for a tie."""
        toward = self.first[condition] if self.preference == 1 else 1 - self.first[condition]
        return 0.5 if toward == 0.5 else float(toward > 0.5)


def report(pairs: Sequence[Scored]) -> dict[str, Any]:
    """All figures as plain JSON types: accuracies as {"value", "low", "high", "count"}, 0 to 1.

    Raises ValueError where there is no pair.
    """
    if not pairs:
        raise ValueError("no held-out pair got rewards: there is nothing fair to report")
    shown = [name for name in CONDITIONS if all(name in pair.first for pair in pairs)]
    whole = shown[0]
    return {
        "pairs": len(pairs),
        "whole": whole,
        "conditions": {name: _accuracy(pairs, name) for name in shown},
        "tests": {name: _against(pairs, whole, name) for name in shown[1:]},
        "calibration": _calibration(pairs, whole),
        "by_margin": _grouped(pairs, whole, _margin_name),
        "by_decision": _grouped(
            pairs, whole, lambda pair: "honesty" if pair.honesty else "helpfulness"
        ),
        "by_length": _grouped(pairs, whole, _length_name),
        "longer_preferred": _longer(pairs, whole),
        "length_correlation": (correlation := _correlation(pairs))["value"],
        "length_correlation_interval": {end: correlation[end] for end in ("low", "high")},
    }


def renewed(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a report with intervals as they are made now, as far as what is stored tells:
    of shares, and of differences that had no width. Nothing else changes."""

    def share(found: Mapping[str, Any]) -> dict[str, Any]:
        between = SHARE.interval([found["value"]] * found["count"], None)
        return {**found, "low": between.low, "high": between.high}

    def shares(found: Mapping[str, Any]) -> dict[str, Any]:
        return {name: share(one) for name, one in found.items()}

    def difference(found: Mapping[str, Any]) -> dict[str, Any]:
        if found["low"] < found["high"]:
            return dict(found)
        values = [found["difference"]] * found["count"]
        between = unseen_of_mean(Interval(found["low"], found["high"]), values, (-1, 1))
        return {**found, "low": between.low, "high": between.high}

    longer = figures.get("longer_preferred")
    return {
        **figures,
        **{name: shares(figures[name]) for name in _SHARES if name in figures},
        "tests": {name: difference(one) for name, one in figures["tests"].items()},
        "calibration": [share(one) for one in figures["calibration"]],
        "longer_preferred": longer and share(longer),
    }


def findings(figures: Mapping[str, Any]) -> list[str]:
    """What the tests show, in sentences for people."""
    whole = figures["conditions"][figures["whole"]]
    told = [
        sentences.of_few(int(figures["pairs"])),
        sentences.of_chosen(figures.get("left_aside"), flattered=figures.get("flattered", False)),
        sentences.against_chance(whole),
    ]
    told += [
        sentences.ablation(
            name,
            whole["value"],
            figures["conditions"][name]["value"],
            figures["tests"][name],
            facts=figures["whole"] == WHOLE,
        )
        for name in sentences.ABLATIONS
        if name in figures["tests"]
    ]
    if best := figures.get("best_of_n"):
        told.append(best_of_n.finding(best))
    return [sentence for sentence in told if sentence]


def _accuracy(pairs: Sequence[Scored], condition: str) -> dict[str, float]:
    right = [pair.right(condition) for pair in pairs]
    return {**estimate(fmean(right), right, SHARE), "count": len(right)}


def _against(pairs: Sequence[Scored], whole: str, condition: str) -> dict[str, Any]:
    """The condition minus the whole."""
    first, second = ([pair.right(name) for pair in pairs] for name in (whole, condition))
    test = paired_test(first, second, span=1)
    return {
        "count": test.count,
        "changed": sum(one != other for one, other in zip(first, second, strict=True)),
        "difference": test.difference,
        "low": test.interval.low,
        "high": test.interval.high,
        "p_value": test.p_value,
        "shown": test.shown,
    }


def _calibration(pairs: Sequence[Scored], whole: str) -> list[dict[str, float]]:
    """How often the response is preferred that is stated to be so with a chance of 0.5 to 1."""
    sure = [max(pair.first[whole], 1 - pair.first[whole]) for pair in pairs]
    found = []
    for place in range(BINS):
        low, high = 0.5 + place / (2 * BINS), 0.5 + (place + 1) / (2 * BINS)
        last = place == BINS - 1
        inside = [n for n, one in enumerate(sure) if low <= one < high or (last and one >= high)]
        if len(inside) >= LEAST_SHOWN:
            right = [pairs[n].right(whole) for n in inside]
            stated = fmean(sure[n] for n in inside)
            observed = {**estimate(fmean(right), right, SHARE), "count": len(right)}
            found.append({"from": low, "to": high, "stated": stated, **observed})
    return found


def _grouped(
    pairs: Sequence[Scored], whole: str, name_of: Callable[[Scored], str]
) -> dict[str, dict[str, float]]:
    groups: dict[str, list[Scored]] = {}
    for pair in pairs:
        groups.setdefault(name_of(pair), []).append(pair)
    return {
        name: _accuracy(group, whole)
        for name, group in sorted(groups.items())
        if len(group) >= LEAST_SHOWN
    }


def _margin_name(pair: Scored) -> str:
    if pair.margin >= 1:
        return "all votes agree"
    return "half or more" if pair.margin >= 0.5 else "close"


def _length_name(pair: Scored) -> str:
    """By whether the preferred response is the longer one."""
    first, second = pair.lengths
    longer, shorter = max(first, second), max(1, min(first, second))
    if longer / shorter < 1.1:
        return "about equal"
    preferred = 1 if first > second else 2
    return "longer preferred" if preferred == pair.preference else "shorter preferred"


def _longer(pairs: Sequence[Scored], whole: str) -> dict[str, float] | None:
    """How often the longer response gets more, whatever people prefer."""
    chosen = []
    for pair in pairs:
        first, second = pair.lengths
        if first != second:
            stated = pair.first[whole]
            chosen.append(0.5 if stated == 0.5 else float((stated > 0.5) == (first > second)))
    return {**estimate(fmean(chosen), chosen, SHARE), "count": len(chosen)} if chosen else None


def _correlation(pairs: Sequence[Scored]) -> dict[str, float | None]:
    """Pearson's r of reward and length over all responses, its interval over pairs; not defined
    where one of them is constant."""
    rewards = np.asarray([pair.rewards for pair in pairs], dtype=np.float64)
    lengths = np.asarray([pair.lengths for pair in pairs], dtype=np.float64)
    if np.ptp(rewards) == 0 or np.ptp(lengths) == 0:
        return dict(NOT_DEFINED)
    x, y = (values - values.mean() for values in (rewards, lengths))
    parts = (np.full_like(x, 1), x, y, x * y, x * x, y * y)
    # A pair of the usual spread whose reward falls, or rises, with the length in full.
    xx, yy = 2 * (x * x).mean(), 2 * (y * y).mean()
    ends = tuple((2.0, 0.0, 0.0, sign * np.sqrt(xx * yy), xx, yy) for sign in (-1, 1))
    rows = np.stack([part.sum(axis=1) for part in parts], axis=1)
    return estimate_of_sums(rows, Resampled(_pearson, ends))


def _pearson(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Out of [..., (n, x, y, xy, xx, yy)]."""
    n, x, y, xy, xx, yy = np.moveaxis(sums, -1, 0)
    spread = (n * xx - x * x) * (n * yy - y * y)
    return np.asarray(ratio(n * xy - x * y, np.sqrt(np.maximum(spread, 0))))

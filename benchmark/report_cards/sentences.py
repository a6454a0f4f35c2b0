"""What a report card's figures show, in words that say no more than the tests do.

A difference that is not shown is never called equality: a few pairs show nothing of a model that
loses two thirds of its accuracy. Whether there is a difference is the paired test's word; where its
interval says otherwise, that is said too.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor
from typing import Any, NamedTuple

from annotation.quality.binomial import at_most
from benchmark.templatetags.benchmark_tags import FEW, difference, p_value

CHANCE = 0.5
LEVEL = 0.05
NEAR = 0.05
"""An interval that lies within so much of 0 leaves room for no difference that matters."""
FEWEST_UNCHANGED = 20
"""Of fewer pairs, none of which changes, one in seven of all pairs may (1 - 0.05 ** (1 / 20))."""


class Ablation(NamedTuple):
    """What is taken away, and what it means where accuracy falls, rises, or moves little."""

    start: str
    falls: str
    rises: str
    little: str


ABLATIONS = {
    "image": Ablation(
        "Without the facts",
        "the facts help it",
        "the facts mislead it",
        "it may make little of the facts",
    ),
    "facts": Ablation(
        "Without the picture",
        "it looks at the picture",
        "the picture misleads it",
        "it may make little of the picture",
    ),
    "neither": Ablation(
        "Without picture and facts",
        "it looks at what the responses are about",
        "what it is shown misleads it",
        "what it has learnt may be style",
    ),
    "other_facts": Ablation(
        "With the facts of another image",
        "it reads the facts",
        "it does not read the facts as people do",
        "it may not read the facts at all",
    ),
}


def ablation(
    name: str, before: float, after: float, test: Mapping[str, Any], *, facts: bool = True
) -> str:
    """The sentence for one condition of ``ABLATIONS``: accuracies in 0..1 before and after, and
    the paired test between them (count, difference, low, high, p_value). ``facts``: whether there
    were any to take away."""
    words = ABLATIONS[name]
    start = words.start if facts or name != "neither" else "Without the picture"
    between = f"{_percent(before)} to {_percent(after)}"
    figures = (
        f"difference {_points(test['difference'])}, 95 % interval {_points(test['low'])} to "
        f"{_points(test['high'])}, {p_value(test['p_value'])}, {_pairs(test['count'])}"
    )
    shown = test["p_value"] < LEVEL and test["difference"] != 0
    disagree = shown == (test["low"] <= 0 <= test["high"])
    if shown:
        fell = test["difference"] < 0
        told = (
            f"{start} its accuracy {'falls' if fell else 'rises'} from {between}: "
            f"{words.falls if fell else words.rises} ({figures})."
        )
        return f"{told} The interval reaches 0: take it with care." if disagree else told
    told = (
        f"{start} no difference is shown, as far as {_pairs(test['count'])} can show "
        f"({between}; {figures})"
    )
    if disagree:
        return f"{told}; the interval leaves 0 out, so take it as open."
    if _little(test):
        return f"{told}: {words.little}."
    return f"{told}. That does not make both equal."


def _little(test: Mapping[str, Any]) -> bool:
    """Whether a difference that matters is as good as ruled out, or no pair of many changed."""
    near = max(-test["low"], test["high"]) <= NEAR
    return test["count"] >= FEWEST_UNCHANGED and (near or test.get("changed") == 0)


def against_chance(accuracy: Mapping[str, Any]) -> str | None:
    """Where an accuracy ({"value", "low", "high", "count"}, 0..1) is not above chance; None where
    it is. By the exact binomial test, for few pairs have an interval too narrow to go by; ties,
    half a point each, are rounded towards chance."""
    count, value = int(accuracy["count"]), accuracy["value"]
    right = round(2 * value * count) / 2
    below = value < CHANCE
    fewer = ceil(right) if below else count - floor(right)
    shown = 2 * at_most(fewer, count, CHANCE) < LEVEL
    figures = (
        f"{_percent(value)}, 95 % interval {_percent(accuracy['low'])} to "
        f"{_percent(accuracy['high'])}"
    )
    if shown and below and accuracy["high"] < CHANCE:
        return (
            f"Its accuracy is below chance, 50 % ({figures}): it prefers what people do not. Look "
            "whether the preferences are turned round."
        )
    if shown and accuracy["low"] > CHANCE:
        return None
    return (
        f"Its accuracy cannot be told from chance, 50 %, as far as {_pairs(count)} can show "
        f"({figures})."
    )


def of_few(count: int) -> str | None:
    """That so few pairs are held out that no figure of them says much; None where there are
    enough."""
    if count >= FEW:
        return None
    return (
        f"Measured on {_pairs(count)} only: under {FEW} pairs chance moves a share by more than "
        "ten points. Do not choose a model by it."
    )


def of_chosen(aside: int | None, *, flattered: bool) -> str | None:
    """That held-out pairs chose which step was kept: others, which are left aside, or these, which
    then flatter it. ``aside`` is None in a report of before; None where nothing was chosen."""
    if aside is None:
        return (
            "Made before the pairs that chose which step was kept were left aside: where a run "
            "keeps its best step, these figures flatter it. Make it again."
        )
    if aside:
        others = "1 other held-out pair" if aside == 1 else f"{aside} other held-out pairs"
        return f"Left aside: {others}, on which the step that was kept was chosen."
    if flattered:
        return (
            "The step that was kept was chosen on these very pairs, which are too few to be "
            "divided: these figures flatter it."
        )
    return None


def _pairs(count: int) -> str:
    return f"{count} pair" if count == 1 else f"{count} pairs"


def _points(value: float) -> str:
    return difference(value, "share") if round(100 * value) else "0 points"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"

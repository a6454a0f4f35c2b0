"""Which shares of which annotators are beyond chance, when all of them are looked at together.

A project of fifty annotators with four shares each is two hundred tests: at 5 % ten honest people
would be told something. Holm's (1979) correction keeps the chance that anybody is told something
for nothing at 5 % for the whole project.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np

from annotation.quality.binomial import log_binomial
from annotation.quality.shares import Share

P = TypeVar("P", bound=Hashable)
LEVEL = 0.05
FEWEST_ANSWERS = 10
MATTERS = 0.05
"""A share this close to fair is nobody's fault, however many answers make it certain."""


LIMITS = {
    "gold": (0.8, "below"),
    "consistent": (0.8, "below"),
    "first_named": (0.5, "either"),
    "longer_won": (0.6, "above"),
    "too_fast": (0.5, "above"),
}
"""For each share the value it is tested against, and on which side it matters."""


def beyond_chance(people: Mapping[P, Mapping[str, Share]]) -> dict[P, frozenset[str]]:
    """For each person the names of the shares (of LIMITS) that are not chance.

    Exact binomial tests, corrected together. A share of fewer than FEWEST_ANSWERS answers is not
    tested.
    """
    tests = sorted(
        (_p_value(share, *LIMITS[name]), number, name)
        for number, shares in enumerate(people.values())
        for name, share in shares.items()
        if name in LIMITS and share.whole >= FEWEST_ANSWERS
    )
    found: dict[int, set[str]] = {}
    for rank, (p_value, number, name) in enumerate(tests):
        if p_value > LEVEL / (len(tests) - rank):
            break
        found.setdefault(number, set()).add(name)
    return {who: frozenset(found.get(number, ())) for number, who in enumerate(people)}


def _p_value(share: Share, limit: float, side: str) -> float:
    if side == "either":
        # The nearest value that would matter, on the side where the share is.
        above = 2 * share.part > share.whole
        nearest = limit + MATTERS if above else limit - MATTERS
        return min(1.0, 2 * _p_value(share, nearest, "above" if above else "below"))
    part = int(share.part)
    counts = np.arange(part, share.whole + 1) if side == "above" else np.arange(part + 1)
    return float(np.exp(log_binomial(counts, share.whole, limit)).sum())

"""Corrections of a release as pairs to learn from, beside people's choices or in their place."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from training.rlhf.contract import PreferencePair
from training.rlhf.errors import DataError


def with_corrections(
    pairs: Sequence[PreferencePair], how: str, *, held_out: bool = False
) -> list[PreferencePair]:
    """The pairs to learn from, or held out of it; ``how`` is the setting ``corrections``.

    Held-out pairs are corrections only where nothing else is learnt: else the share of them that is
    judged right could not be compared with that of another run. Raises DataError for "only" without
    any to learn from.
    """
    if how == "leave_out" or (held_out and how == "add"):
        return list(pairs)
    corrected = list(chain.from_iterable(pair.corrected() for pair in pairs))
    if how == "add":
        return [*pairs, *corrected]
    if not corrected and not held_out:
        raise DataError(
            f"0 of {len(pairs):,} pairs have corrections, which settings.corrections is to learn "
            "from alone"
        )
    return corrected

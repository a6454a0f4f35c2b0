"""Held-out pairs in two halves: one to choose a step on, the other to report it on.

The best of many steps on a set is better there than anywhere else. So what chooses (the best step,
the end of patience) and what scales rewards sees one half, and the figures that people read are of
the other. Images are divided and not pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from training.rlhf.contract import PreferencePair
from training.rlhf.contract.halves import FEWEST, divide_held_out
from training.rlhf.run_directory import Run


@dataclass(frozen=True)
class Halves:
    """Numbers of the pairs that choose, and of those that report."""

    choosing: list[int]
    reporting: list[int]

    def figures(
        self, of: Callable[[list[int]], dict[str, float]]
    ) -> tuple[dict[str, float], dict[str, float]]:
        """What is told ("held_out/..." and "choosing/...") and what the step is judged by.

        ``of`` gives the figures of pairs by their numbers.
        """
        reported = of(self.reporting)
        told = {f"held_out/{name}": value for name, value in reported.items()}
        if self.choosing == self.reporting:
            return told, reported
        judged = of(self.choosing)
        return told | {f"choosing/{name}": value for name, value in judged.items()}, judged


def halves(run: Run, pairs: Sequence[PreferencePair], *, chooses: bool) -> Halves:
    """Divide ``pairs``, unless the run does not choose or they are too few; says which."""
    everything = list(range(len(pairs)))
    if not pairs or not chooses:
        return Halves(everything, everything)
    choosing, reporting = divide_held_out([pair.subject for pair in pairs], fewest=FEWEST)
    if choosing == reporting:
        run.events.stage(
            f"{len(pairs)} held-out pairs are too few to choose on one half and report on the "
            "other: the figures are of the pairs that the step was chosen on, and flatter it"
        )
        return Halves(everything, everything)
    run.events.stage(
        f"the best step is chosen on {len(choosing)} held-out pairs, "
        f"and reported on {len(reporting)} others"
    )
    return Halves(choosing, reporting)

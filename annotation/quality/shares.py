"""A share of answers with its interval: of few answers a share says little."""

from __future__ import annotations

import math
from dataclasses import dataclass

Z = 1.96


def wilson(share: float, number: float, z: float = Z) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share in 0..1 of ``number`` answers, which need not be
    whole; ``z`` standard errors to each side. It has a width where all answers are alike, too."""
    centre = share + z**2 / (2 * number)
    spread = z * math.sqrt(max(0.0, share * (1 - share) / number) + z**2 / (4 * number**2))
    below = 1 + z**2 / number
    # Rounding must not put an end beyond the share itself, nor 0 and 1 where that is what it is.
    low = 0.0 if share <= 0 else min(share, (centre - spread) / below)
    high = 1.0 if share >= 1 else max(share, (centre + spread) / below)
    return (low, high)


@dataclass(frozen=True)
class Share:
    """``part`` of ``whole`` answers."""

    part: float = 0
    whole: int = 0

    @property
    def value(self) -> float | None:
        return self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson (1927), 95 %; from 0 to 1 where there is no answer."""
        return wilson(self.part / self.whole, self.whole) if self.whole else (0.0, 1.0)

    def __add__(self, other: Share) -> Share:
        return Share(self.part + other.part, self.whole + other.whole)


NONE = Share()
"""Of no answers."""

"""A share of answers with its interval: of few answers a share says little."""

from __future__ import annotations

import math
from dataclasses import dataclass

Z = 1.96


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
        if not self.whole:
            return (0.0, 1.0)
        share, number = self.part / self.whole, self.whole
        centre = share + Z**2 / (2 * number)
        spread = Z * math.sqrt(share * (1 - share) / number + Z**2 / (4 * number**2))
        below = 1 + Z**2 / number
        return ((centre - spread) / below, (centre + spread) / below)

    def __add__(self, other: Share) -> Share:
        return Share(self.part + other.part, self.whole + other.whole)


NONE = Share()
"""Of no answers."""

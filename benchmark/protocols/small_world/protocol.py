"""The small world as a protocol: MMHal-Bench's form and scale, with a judge by rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmark.protocols.mmhal.protocol import MMHal
from benchmark.protocols.protocol import EXACT, Item, Mode, Outcome
from benchmark.protocols.small_world import rules


class SmallWorld(MMHal):
    name = "small_world"
    title = "Small world"
    files = ("questions.json",)
    published = ()

    def problems(self, data: dict[str, Any]) -> list[str]:
        return [] if "truth" in data else ["truth is missing"]

    def wording(self, kind: str) -> str | None:
        return rules.RULE if kind == EXACT else super().wording(kind)

    def judge_exactly(self, items: Sequence[Item], *, mode: Mode) -> Iterator[tuple[Item, Outcome]]:
        for item in items:
            found = rules.rate(item.question, item.answer)
            yield item, Outcome(text=found.explanation, rating=found.rating, state="parsed")


PROTOCOL = SmallWorld()

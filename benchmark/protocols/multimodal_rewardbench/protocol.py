"""Multimodal RewardBench as a protocol: asked and ranked as VL-RewardBench is, in other groups.

The authors' script throws a coin for a reply that names neither response; here it stays unclear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from annotation.reading.names import quoted
from benchmark.protocols.figure_display import Shown, Table
from benchmark.protocols.multimodal_rewardbench import pairs
from benchmark.protocols.multimodal_rewardbench.published import PAPER
from benchmark.protocols.protocol import Item, Mode, Outcome, ReadQuestion, Refused
from benchmark.protocols.vl_rewardbench import parse_better
from benchmark.protocols.vl_rewardbench.protocol import VLRewardBench, as_answer, of_group

TITLES = {
    "correctness": "General correctness",
    "preference": "General preference",
    "knowledge": "Knowledge",
    "reasoning": "Reasoning",
    "safety": "Safety",
    "vqa": "VQA",
}


class MultimodalRewardBench(VLRewardBench):
    name = "multimodal_rewardbench"
    title = "Multimodal RewardBench"
    files = (pairs.FILE,)
    figures = (
        Shown("overall", "Overall", "of all pairs", style="percent_tenths", counts=True),
        Shown("macro", "Macro mean", "of the six groups", style="percent_tenths"),
        *(of_group(name, title) for name, title in TITLES.items()),
    )
    brief = 8
    answer_types: ClassVar[tuple[str, ...]] = pairs.GROUPS
    type_titles = TITLES
    published: ClassVar[tuple[Table, ...]] = (PAPER,)

    def read_questions(self, path: Path) -> list[ReadQuestion]:
        return [
            ReadQuestion(pairs.record(one), (one.image, one.image.rsplit("/", 1)[-1]))
            for one in pairs.load_pairs(path)
        ]

    def places(
        self, questions: Sequence[dict[str, Any]]
    ) -> Callable[[dict[str, Any], str], int | None]:
        """By question and responses, which the authors' script keeps under "Meta"; a line that has
        but the id names its pair where no other has that id."""
        known = {data["key"]: place for place, data in enumerate(questions)}
        by_id: dict[str, list[int]] = {}
        for place, data in enumerate(questions):
            by_id.setdefault(data["question_id"], []).append(place)

        def place_of(data: dict[str, Any], where: str) -> int | None:
            about = data.get("Meta")
            about = {**data, **about} if isinstance(about, dict) else data
            if "Output1" in about:
                return known.get(pairs.key_in(about, where))
            named = by_id.get(str(about.get("ID")), [])
            if len(named) > 1:
                raise Refused(f"{where}: several pairs have the ID {quoted(about.get('ID'))}")
            return named[0] if named else None

        return place_of

    def stated(self, data: dict[str, Any], where: str, question: dict[str, Any]) -> str:
        """What a judge said of the responses as they stand, or rewards."""
        label = {"A": 0, "B": 1}.get(str(data.get("Label")))
        if label is not None and label != question["better"]:
            raise Refused(f"{where}: Label is {quoted(data['Label'])}, which is not the set's")
        output = data.get("output")
        return output if isinstance(output, str) else super().stated(data, where, question)

    def judge_exactly(self, items: Sequence[Item], *, mode: Mode) -> Iterator[tuple[Item, Outcome]]:
        for item, outcome in super().judge_exactly(items, mode=mode):
            better = None if outcome.found else parse_better(item.answer)
            yield item, outcome if better is None else self._preferred(item, better)

    def _preferred(self, item: Item, better: str) -> Outcome:
        rewards = {"a": [1.0, 0.0], "b": [0.0, 1.0], "tie": [0.0, 0.0]}[better]
        said = replace(item, answer=as_answer(rewards))
        return next(outcome for _, outcome in super().judge_exactly([said], mode="careful"))


PROTOCOL = MultimodalRewardBench()

"""POPE as a protocol: yes or no, a question set per split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from benchmark.protocols.figure_display import Axis, Shown, Table
from benchmark.protocols.pope import questions, scores
from benchmark.protocols.pope.published import PAPER
from benchmark.protocols.protocol import Compared, Judged, ReadQuestion, Value
from benchmark.protocols.right_or_wrong import RightOrWrong, right, said
from benchmark.statistics import SHARE


def _said_yes(judged: Judged) -> Value | None:
    answer = said(judged)
    return None if answer is None else float(answer == "yes")


_SOURCES = (("gqa", "GQA"), ("aokvqa", "A-OKVQA"), ("repope", "corrected"))
"""What a file's name says of where its questions come from; COCO's, the usual ones, say nothing."""


class Pope(RightOrWrong):
    name = "pope"
    title = "POPE"
    files = tuple(
        f"*_pope_{variant}{split}.json*" for split in questions.SPLITS for variant in ("", "seem_")
    )
    figures = (
        Shown(
            "f1",
            "F1",
            "yes is positive",
            style="share_tenths",
            pooled=True,
            undefined="no question's truth is yes, and no answer is yes",
        ),
        Shown("accuracy", "Accuracy", "share of right answers", style="share_tenths", counts=True),
        Shown(
            "precision",
            "Precision",
            "of the yes answers",
            style="share_tenths",
            pooled=True,
            undefined="no answer is yes",
        ),
        Shown(
            "recall",
            "Recall",
            "of the objects there",
            style="share_tenths",
            pooled=True,
            undefined="no question's truth is yes",
        ),
        Shown("yes_ratio", "Yes ratio", "of the answers", "", style="share_tenths", counts=True),
    )
    tested = "accuracy"
    compared = {"accuracy": Compared(right, SHARE), "yes_ratio": Compared(_said_yes, SHARE)}
    headline_axis = Axis("F1", "0 to 1", 0, 1)
    published: ClassVar[tuple[Table, ...]] = (PAPER,)
    compare_note = (
        "F1, precision and recall are no means over questions, so no paired test is made for them."
    )

    def read_questions(self, path: Path) -> list[ReadQuestion]:
        return [
            ReadQuestion(questions.record(one), (one.image,))
            for one in questions.load_questions(path)
        ]

    def set_name(self, path: Path, count: int) -> str:
        """By source, split and count, since variants share the splits' names."""
        split = next((name for name in questions.SPLITS if name in path.stem), "")
        source = next((title for name, title in _SOURCES if name in path.stem.lower()), "")
        named = " ".join(part for part in (self.title, source, split) if part)
        return f"{named}, {count:,} questions"

    def summarise(self, answers: Sequence[Judged]) -> dict[str, Any]:
        labels = [one.question["gt_answer"] for one in answers]
        ratings = [one.rating for one in answers]
        pictures = [one.picture for one in answers]
        return {**scores.figures_of(labels, ratings, pictures), "by_type": {}}


PROTOCOL = Pope()

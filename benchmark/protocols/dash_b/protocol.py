"""DASH-B as a protocol: yes or no about pictures that tempt to see what is not there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmark.protocols.by_id import Line, check, read_said
from benchmark.protocols.dash_b import questions, scores
from benchmark.protocols.dash_b.published import PAPER
from benchmark.protocols.figure_display import Axis, Shown
from benchmark.protocols.protocol import Compared, Joined, Judged, ReadQuestion, Refused, Value
from benchmark.protocols.right_or_wrong import RightOrWrong
from benchmark.statistics import estimate_of_sums, sums


def _row(judged: Judged) -> Value | None:
    if judged.rating is None:
        return None
    label = "yes" if judged.type == "present" else "no"
    return scores.row(label, right=bool(judged.rating))


_VALUE: Callable[[Judged], Value | None] = _row
_ONE_SIDED = "TNR or TPR is not defined"
_KINDS = {"no": "neg", "yes": "pos"}
"""The folder of a picture by the truth, which the published answer files name as "gt"."""


class DashB(RightOrWrong):
    name = "dash_b"
    title = "DASH-B"
    files = (questions.FILES["no"],)
    figures = (
        Shown(
            "harmonic_mean",
            "Harmonic mean",
            "of TNR and TPR",
            style="share_tenths",
            undefined=_ONE_SIDED,
        ),
        Shown(
            "accuracy",
            "Accuracy",
            "mean of TNR and TPR",
            style="share_tenths",
            undefined=_ONE_SIDED,
        ),
        Shown(
            "tnr",
            "TNR",
            "right where it is not there",
            style="share_tenths",
            counts=True,
            undefined="no picture without its object was asked about",
        ),
        Shown(
            "tpr",
            "TPR",
            "right where it is there",
            style="share_tenths",
            counts=True,
            undefined="no picture with its object was asked about",
        ),
    )
    tested = "harmonic_mean"
    compared = {name: Compared(_VALUE, sums(figure)) for name, figure in scores.FIGURES.items()}
    headline_axis = Axis("harmonic mean", "0 to 1", 0, 1)
    published = (PAPER,)
    compare_note = (
        "TNR and TPR are looked at together: who always says no is right about all tempting "
        "pictures. The test exchanges each question's answers between the models."
    )

    def read_questions(self, path: Path) -> list[ReadQuestion]:
        return [
            ReadQuestion(questions.record(one), questions.image_names(one))
            for one in questions.load_questions(path)
        ]

    def read_answers(
        self, path: Path, asked: Sequence[dict[str, Any]], *, leave_out_others: bool = False
    ) -> Joined:
        """Joined by image, object and truth, where the lines name them, else by id."""
        by_picture = {_picture(data): place for place, data in enumerate(asked)}
        by_id = {data["question_id"]: place for place, data in enumerate(asked)}
        answers: dict[int, str] = {}
        others: list[str] = []
        for line, data in read_said(path):
            place = _place(line, data, by_picture, by_id)
            if place is None:
                others.append(f"{line.where}: its image and object are not in the question set")
            elif place in answers:
                raise Refused(f"{line.where}: is answered twice")
            else:
                line = line.settled(str(asked[place]["question"]))
                check(line, asked[place])
                answers[place] = line.text
        if others and not leave_out_others:
            raise Refused(others)
        if not answers:
            raise Refused(f"{path.name}: holds no answer")
        return Joined(answers, len(others))

    def summarise(self, answers: Sequence[Judged]) -> dict[str, Any]:
        rows = [row for one in answers if (row := _row(one)) is not None]
        if len(rows) != len(answers):
            return {**dict.fromkeys(scores.FIGURES), "by_type": {}}
        pictures = [one.picture for one in answers]
        figures: dict[str, Any] = {
            name: estimate_of_sums(rows, of, pictures) for name, of in scores.FIGURES.items()
        }
        for name, label in (("tnr", "absent"), ("tpr", "present")):
            figures[name]["count"] = sum(one.type == label for one in answers)
        return {**figures, "by_type": {}}


def _picture(data: dict[str, Any]) -> tuple[str, str, str]:
    kind, object_name, name = str(data["image_src"]).split("/", 2)
    return (kind, object_name, name)


def _place(
    line: Line,
    data: dict[str, Any],
    by_picture: dict[tuple[str, str, str], int],
    by_id: dict[int, int],
) -> int | None:
    """The question that an answer names by path ("neg/dog/1.png"), by object and picture where
    only one of both folders has it (or the line says which), or by id."""
    name, object_name = line.image.replace("\\", "/"), data.get("object", data.get("object_name"))
    parts = [part for part in name.split("/") if part]
    if not parts:
        return by_id.get(line.question_id)
    said = _KINDS.get(str(data.get("gt", data.get("label"))))
    kinds = [kind for kind in ("neg", "pos") if kind in parts] or ["neg", "pos"]
    kinds = [kind for kind in kinds if said in (None, kind)]
    objects = [object_name] if isinstance(object_name, str) else parts[-2:-1]
    found = {
        by_picture[key]
        for kind in kinds
        for one in objects
        if (key := (kind, one, parts[-1])) in by_picture
    }
    return found.pop() if len(found) == 1 else by_id.get(line.question_id)


PROTOCOL = DashB()

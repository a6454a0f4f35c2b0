"""MMHal-Bench as a protocol: 96 questions, joined by image and question text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from benchmark.protocols.figure_display import Table
from benchmark.protocols.mmhal.published import PAPER, SINCE_THEN
from benchmark.protocols.mmhal.questions import load_questions, read
from benchmark.protocols.mmhal.rated import Rated
from benchmark.protocols.protocol import Joined, ReadQuestion, Refused

# "truth" is the small world's.
_READ = (
    *("question_type", "question_topic", "image_id", "image_content", "question", "gt_answer"),
    "truth",
)


class MMHal(Rated):
    name = "mmhal"
    title = "MMHal-Bench"
    files = ("response_template.json",)
    unsuitable = "{judge} knows no truth about the questions of {questions}."
    published: ClassVar[tuple[Table, ...]] = (PAPER, SINCE_THEN)

    def read_questions(self, path: Path) -> list[ReadQuestion]:
        found = [
            ReadQuestion({**record, "model_answer": ""}, (question.image_name,))
            for question, record in read(path)
        ]
        reasons: list[str] = []
        seen: dict[tuple[str, str], int] = {}
        for number, item in enumerate(found, start=1):
            where = f"{path.name}, question {number}"
            first = seen.setdefault(_key(item.data), number)
            if first != number:
                reasons.append(f"{where}: is question {first} again")
            reasons += [f"{where}: {problem}" for problem in self.problems(item.data)]
        if reasons:
            raise Refused(reasons)
        return found

    def identity(self, data: dict[str, Any]) -> dict[str, Any]:
        """What is asked and known; neither fields that nobody reads nor how the image is spelt,
        which has its own id."""
        return {name: data[name] for name in _READ if name in data}

    def problems(self, data: dict[str, Any]) -> list[str]:
        """What a question lacks beyond the published form."""
        return []

    def read_answers(
        self, path: Path, questions: Sequence[dict[str, Any]], *, leave_out_others: bool = False
    ) -> Joined:
        known = {_key(data): place for place, data in enumerate(questions)}
        reasons: list[str] = []
        answers: dict[int, str] = {}
        others = 0
        for number, item in enumerate(load_questions(path), start=1):
            place = known.get((item.image_id, _words(item.question)))
            if place is None and leave_out_others:
                others += 1
            elif place is None:
                reasons.append(f"{path.name}, question {number}: is not in {self.title}")
            elif place in answers:
                reasons.append(f"{path.name}, question {number}: is answered twice")
            elif item.model_answer.strip():
                answers[place] = item.model_answer
        if not answers and not reasons:
            reasons.append(f"{path.name}: holds no model_answer")
        if reasons:
            raise Refused(reasons)
        return Joined(answers, others)


def _key(data: dict[str, Any]) -> tuple[str, str]:
    return (data["image_id"], _words(data["question"]))


def _words(question: str) -> str:
    """White space says nothing, and spreadsheets take it away."""
    return " ".join(question.split())


PROTOCOL = MMHal()

"""Answers joined by the id of their question, and by all else that both sides carry.

Ids alone say little: every published file counts from 1. So where an answer brings its question's
text or its image, these must be the question set's, or the file answers something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotation.reading.names import key
from benchmark.protocols import files
from benchmark.protocols.protocol import Joined, Protocol, Refused

AN_ANSWER = "an answer with question_id"
_PROMPTS = ("prompt", "question", "query")


@dataclass(frozen=True)
class Line:
    """One answer of a file; ``asked`` and ``image`` are empty where it does not say them."""

    where: str
    question_id: int
    text: str
    asked: str = ""
    image: str = ""


class ById(Protocol):
    """Joins answers by ``question_id``."""

    takes_other_answers = False
    """Whether a file may hold answers to questions that the set left out."""

    def read_answers(
        self, path: Path, questions: Sequence[dict[str, Any]], *, leave_out_others: bool = False
    ) -> Joined:
        known = {data["question_id"]: place for place, data in enumerate(questions)}
        lines = read_lines(path)
        others = [line for line in lines if line.question_id not in known]
        if others and not (leave_out_others or self.takes_other_answers):
            raise Refused(
                f"{line.where}: question_id {line.question_id} is not in the question set"
                for line in others
            )
        mine = [line for line in lines if line.question_id in known]
        for line in mine:
            check(line, questions[known[line.question_id]])
        if not mine:
            raise Refused(f"{path.name}: holds no answer")
        return Joined({known[line.question_id]: line.text for line in mine}, len(others))


def load_answers(path: str | Path) -> dict[int, str]:
    """A model's answers by question_id: objects with "text", "answer" or "response".

    Raises Refused for a record without an id: answers are never matched by their place.
    """
    return {line.question_id: line.text for line in read_lines(path)}


def read_said(path: str | Path) -> Iterator[tuple[Line, dict[str, Any]]]:
    """Each answer of a file with its record; ``question_id`` is -1 where it names none."""
    for where, data in files.objects(path, AN_ANSWER):
        name = _id_of(data)
        line = Line(
            where,
            files.number(data, name, where, AN_ANSWER) if name in data else -1,
            said(data, where),
            next((data[name] for name in _PROMPTS if isinstance(data.get(name), str)), ""),
            image if isinstance(image := data.get("image"), str) else "",
        )
        yield line, data


def read_lines(path: str | Path) -> list[Line]:
    """The answers of a file. Raises Refused for one without an id, or with another's id."""
    found: dict[int, Line] = {}
    for line, _ in read_said(path):
        where = line.where
        if line.question_id < 0:
            raise Refused(f"{where}: is not {AN_ANSWER} (question_id is missing)")
        if line.question_id in found:
            raise Refused(f"{where}: question_id {line.question_id} is answered twice")
        found[line.question_id] = line
    return list(found.values())


def _id_of(data: Mapping[str, Any]) -> str:
    """AMBER's files call it id."""
    return "id" if "question_id" not in data and "id" in data else "question_id"


def said(data: Mapping[str, Any], where: str) -> str:
    """The answer's text, under any of the names that tools write it under. Raises Refused."""
    names = ("text", "answer", "response", "model_answer")
    name = next((name for name in names if name in data), "text")
    value = data.get(name)
    if not isinstance(value, str):
        raise Refused(f"{where}: the answer is not a text ({name})")
    return value


def check(line: Line, question: Mapping[str, Any]) -> None:
    """Raises Refused where an answer's own question or image is not that of ``question``."""
    asked, expected = _plain(line.asked), _plain(str(question["question"]))
    # Tools add a fixed sentence to each question, such as "Answer with one word."
    if asked and not asked.startswith(expected):
        raise Refused(
            f"{line.where}: answers another question than question_id {line.question_id} of the "
            f"set ({line.asked[:60]!r} instead of {str(question['question'])[:60]!r})"
        )
    image, shown = _stem(line.image), _stem(str(question["image_src"]))
    if image and shown and image != shown:
        raise Refused(f"{line.where}: is about the image {line.image[:60]!r}, not {shown!r}")


def _plain(text: str) -> str:
    return " ".join(text.replace("<image>", " ").casefold().split()).rstrip("?. ")


def _stem(image: str) -> str:
    """A picture's name without folder and ending, COCO's two spellings being one."""
    return key(image)[-1].partition(".")[0] if image.strip() else ""

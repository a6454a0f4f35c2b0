"""Answers joined by the id of their question, and by all else that both sides carry.

Ids alone say little: every published file counts from 1. So where an answer brings its question's
text or its image, these must be the question set's, or the file answers something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from annotation.reading.names import decoded, excerpt, key, told_by
from annotation.texts import IMAGE_MARK
from benchmark.protocols import files, samples
from benchmark.protocols.object_sentences import object_names
from benchmark.protocols.protocol import Joined, Protocol, Refused

AN_ANSWER = "an answer with question_id"
_PROMPTS = ("prompt", "question", "query", "text")
_OF_A_MODEL = (
    *("response", "model_answer", "model_response", "model_output", "generated_text"),
    *("prediction", "predicted_answer", "predicted", "pred"),
)
"""Names under which nothing but a model's answer stands: two of them have to say the same."""
_ANSWERS = (*_OF_A_MODEL[:2], "text", "answer", *_OF_A_MODEL[2:])
"""Names that tools write an answer under. Beside "response", "text" is what was asked, and "answer"
what somebody read of it, or the truth. Of "text" and "answer" alone, see ``Line.settled``."""
_IMAGES = ("image", "img_id", "image_path", "image_src", "image_file")
_WORD = re.compile(r"\w+")
_PIECE = re.compile(r"\S+\s*")
"""A word with its punctuation and the space behind it."""
_GOES_ON = re.compile(r"[\w'\"] +$")
"""What ends neither a sentence nor a line."""
_INSTRUCTS = re.compile(
    r"\W?(?:answer|please|reply|respond|give|choose|select|use|explain|think|let|context|hint|options?"
    r"|a)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Line:
    """One answer of a file; ``asked`` and ``image`` are empty where it does not say them."""

    where: str
    question_id: int
    text: str
    asked: str = ""
    image: str = ""
    part: str = ""
    """Which of several splits in one file it stands in."""
    other: str = ""
    """What stands under "answer" beside ``text``."""

    def settled(self, question: str = "") -> Line:
        """The line with one answer. Raises Refused where it has two that differ.

        Where "text" is the question that was asked, "answer" is the answer; where "text" begins
        with it, somebody wrote down what they read there. Else one of them may be the truth.
        """
        if not self.other:
            return self
        if question and _plain(self.text).startswith(_plain(question)):
            return replace(self, text=self.other, asked=self.asked or self.text, other="")
        other = _words(self.other)
        if _words(self.text)[: len(other)] == other:
            return replace(self, other="")
        raise Refused(
            f"{self.where}: text and answer say different things ({excerpt(self.text, 40)!r} and "
            f"{excerpt(self.other, 40)!r}): leave away the one that is not the model's"
        )


class ById(Protocol):
    """Joins answers by ``question_id``."""

    takes_other_answers = False
    """Whether a file may hold answers to questions that the set left out."""

    def read_answers(
        self, path: Path, questions: Sequence[dict[str, Any]], *, leave_out_others: bool = False
    ) -> Joined:
        known = {data["question_id"]: place for place, data in enumerate(questions)}
        lines = _of_this_set(
            [
                line.settled(str(questions[known[line.question_id]]["question"]))
                if line.question_id in known
                else line
                for line in read_lines(path)
            ],
            questions,
            known,
        )
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
    lines = [line.settled() for line in read_lines(path)]
    found = {line.question_id: line.text for line in lines}
    if len(found) != len(lines):
        raise Refused(f"{Path(path).name}: holds answers to several splits")
    return found


def read_said(path: str | Path) -> Iterator[tuple[Line, dict[str, Any]]]:
    """Each answer of a file with its record; ``question_id`` is -1 where it names none."""
    for part, where, record in _records(Path(path)):
        sample = samples.of_lmms_eval(record)
        part, data = sample if sample is not None else (part, record)
        name, answer = _id_of(data), _answer_of(data, where)
        line = Line(
            where,
            files.number(data, name, where, AN_ANSWER) if name in data else -1,
            data[answer],
            _first_text(data, [name for name in _PROMPTS if name != answer]),
            _first_text(data, _IMAGES),
            part,
            _first_text(data, ["answer"]) if answer == "text" else "",
        )
        yield line, data


def read_lines(path: str | Path) -> list[Line]:
    """The answers of a file. Raises Refused for one without an id, or with another's id."""
    found: dict[tuple[str, int], Line] = {}
    for line, _ in read_said(path):
        where, place = line.where, (line.part, line.question_id)
        if line.question_id < 0:
            raise Refused(f"{where}: is not {AN_ANSWER} (question_id is missing)")
        if place in found:
            raise Refused(f"{where}: question_id {line.question_id} is answered twice")
        found[place] = line
    return list(found.values())


def _records(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Part, place and record. RePOPE's own script writes one object of splits, each an object of
    answers by id."""
    nested = files.nested(path)
    if not nested:
        yield from (("", where, data) for where, data in files.objects(path, AN_ANSWER))
    for part, inside in nested.items():
        if files.holds_objects(inside):
            for name, record in inside.items():
                yield part, f"{path.name}, {part}, {name}", record
        else:
            yield "", f"{path.name}, {part}", inside


def _of_this_set(
    lines: list[Line], questions: Sequence[Mapping[str, Any]], known: Mapping[int, int]
) -> list[Line]:
    """The lines of the one part that answers these questions. Raises Refused where no part does,
    or several do."""
    parts: dict[str, list[Line]] = {}
    for line in lines:
        parts.setdefault(line.part, []).append(line)
    if len(parts) < 2:
        return lines
    fitting = [
        mine
        for mine in parts.values()
        if not any(
            _differs(line, questions[known[line.question_id]])
            for line in mine
            if line.question_id in known
        )
    ]
    if len(fitting) != 1:
        named = ", ".join(parts)
        raise Refused(f"{len(fitting)} of the parts of the file answer this set, not one: {named}")
    return fitting[0]


def _first_text(data: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((data[name] for name in names if isinstance(data.get(name), str)), "")


def _id_of(data: Mapping[str, Any]) -> str:
    """AMBER's files call it id."""
    return "id" if "question_id" not in data and "id" in data else "question_id"


def _answer_of(data: Mapping[str, Any], where: str) -> str:
    """The name that the answer's text stands under. Raises Refused."""
    name = next((name for name in _ANSWERS if name in data), "text")
    if name not in data:
        there = ", ".join(excerpt(member, 30) for member in [*data][:8])
        raise Refused(f"{where}: there is no answer (text is missing; there are: {there})")
    if not isinstance(data[name], str):
        raise Refused(f"{where}: the answer is not a text ({name})")
    for other in _OF_A_MODEL:
        said = data.get(other)
        if isinstance(said, str) and said.strip() and not _same(data[name], said):
            raise Refused(
                f"{where}: {name} and {other} say different things ({excerpt(data[name], 40)!r} "
                f"and {excerpt(said, 40)!r}): leave away the one that is not the model's"
            )
    return name


def _same(one: str, other: str) -> bool:
    """Whether two answers are one, of which the shorter may be what somebody read of it."""
    words, others = sorted((_words(one), _words(other)), key=len)
    return one.strip() == other.strip() or (bool(words) and others[: len(words)] == words)


def check(line: Line, question: Mapping[str, Any]) -> None:
    """Raises Refused where an answer's own question or image is not that of ``question``."""
    reason = _differs(line, question)
    if reason:
        raise Refused(f"{line.where}: {reason}")


def _differs(line: Line, question: Mapping[str, Any]) -> str:
    """What of an answer is not the question's; empty where nothing is."""
    if line.asked and not _asks(line.asked, str(question["question"])):
        return (
            f"answers another question than question_id {line.question_id} of the "
            f"set ({line.asked[:60]!r} instead of {str(question['question'])[:60]!r})"
        )
    source = str(question["image_src"])
    image, shown = _stem(line.image), _stem(source)
    if image and shown and image != shown:
        return f"is about the image {line.image[:60]!r}, not {shown!r}"
    # One server may give many pictures under one path.
    asked_for, wanted = told_by(line.image)[1], told_by(source)[1]
    if asked_for and wanted and asked_for != wanted:
        return f"is about the image {line.image[:60]!r}, not {source[:60]!r}"
    return ""


def _asks(asked: str, question: str) -> bool:
    """Whether a prompt asks a question: its words, with whatever a tool adds behind them ("Answer
    with one word."); or after the same object, since versions of POPE differ in their spelling
    ("imange")."""
    if _begins_with(asked, question):
        return True
    names = object_names(question)
    return bool(names) and object_names(asked) == names


def _begins_with(asked: str, question: str) -> bool:
    """Whether the question's words come first and end there: "What is this?" is not asked by "What
    is this animal called?"."""
    words = _plain(question).split()
    pieces = _PIECE.findall(asked.replace(IMAGE_MARK, " "))
    if _plain("".join(pieces[: len(words)])).split() != words:
        return False
    if not words or len(pieces) == len(words) or not _GOES_ON.search(pieces[len(words) - 1]):
        return True
    return _INSTRUCTS.match(pieces[len(words)]) is not None


def _plain(text: str) -> str:
    return " ".join(text.replace(IMAGE_MARK, " ").casefold().split()).rstrip("?. ")


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _stem(image: str) -> str:
    """A picture's name without folder and ending, COCO's two spellings being one."""
    return key(decoded(image))[-1].partition(".")[0] if image.strip() else ""

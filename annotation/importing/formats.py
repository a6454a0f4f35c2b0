"""The formats of a file on its way in: what reads each, alone or two files side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from annotation.importing.forms.answer_files import pair_answers, parse_answer
from annotation.importing.forms.conversations import pair_conversations, parse_conversation
from annotation.importing.forms.ours import parse_pair
from annotation.importing.forms.pairs import fits, parse_foreign_pair
from annotation.importing.forms.prompts import asks, asks_alone, parse_any_prompt
from annotation.importing.record_files import BadField, Faults, ImportRefused, Problem, parse_each
from annotation.importing.records import PairIn, PromptIn, Records
from annotation.models import ImportJob
from annotation.reading.files import values
from annotation.reading.names import excerpt

Before = Callable[[Any], Any]
"""What is done to each parsed value before it is read as a record."""
Parse = Callable[[int, Any], Any]


def parse_any_pair(line: int, data: Any) -> PairIn:
    """A pair in our own form, or in one of another project. Raises BadField.

    A record that has both answers where ours has them is ours, whatever else it holds.
    """
    ours = isinstance(data, dict) and {"output_1", "output_2"} <= data.keys()
    if fits(data) and not ours:
        return parse_foreign_pair(line, data)
    without = isinstance(data, dict) and data.keys().isdisjoint(("output_1", "output_2"))
    if without and data.keys() - {"id"}:
        raise BadField("", _no_pair(data))
    return parse_pair(line, data)


def _no_pair(data: dict[str, Any]) -> str:
    """What a record is, in which no form has two answers."""
    if _is_conversation(data):
        return "is a conversation and holds no two answers: its format is llava"
    there = ", ".join(excerpt(name, 30) for name in [*data][:12])
    alone = ": a question without answers has the format prompts" if asks(data) else ""
    return f"holds no two answers in a form that is read (there are: {there}){alone}"


def _is_conversation(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("conversations"), list) and not fits(data)


def format_by_content(files: Sequence[Path]) -> str:
    """The format that the first record shows, for who names none."""
    with files[0].open("rb") as file:
        _, first = next(values(file, lambda fault: None), (0, None))
    if isinstance(first, dict) and _is_conversation(first) and "output_1" not in first:
        turns = first["conversations"]
        filled = isinstance(turns[-1], dict) and turns[-1].get("value") if turns else None
        if len(files) == 2 or filled:
            return ImportJob.Format.LLAVA
    if len(files) == 1 and asks_alone(first):
        return ImportJob.Format.PROMPTS
    return ImportJob.Format.MMHAL if len(files) == 2 else ImportJob.Format.LLAVA_RLHF


def parse_row(line: int, data: Any) -> PairIn:
    """The same, where a row of another project is expected. Raises BadField."""
    ours = isinstance(data, dict) and "output_1" in data and not fits(data)
    if asks(data):
        raise BadField("", _no_pair(data))
    return parse_pair(line, data) if ours else parse_foreign_pair(line, data)


ALONE: dict[str, Parse] = {
    ImportJob.Format.LLAVA_RLHF: parse_any_pair,
    ImportJob.Format.RLHF_V: parse_row,
    ImportJob.Format.PROMPTS: parse_any_prompt,
    ImportJob.Format.LLAVA: parse_any_prompt,
}
SIDE_BY_SIDE: dict[str, tuple[Parse, Callable[..., list[PairIn | None]]]] = {
    ImportJob.Format.MMHAL: (parse_answer, pair_answers),
    ImportJob.Format.LLAVA: (parse_conversation, pair_conversations),
}


def read_files(
    files: Sequence[Path],
    names: Sequence[str],
    *,
    format: str,
    before: Before,
    faults: Faults,
    unusable: Faults,
) -> Iterator[PairIn | PromptIn | None]:
    """The records of one file, one after the other, or of two side by side; None for an unusable.

    ``names`` are the file names without suffix: the models, where the records name none.
    """
    if format not in ALONE and format not in SIDE_BY_SIDE:
        raise ValueError(f"{format!r} is not one of {', '.join(ImportJob.Format.values)}")
    _check_number(format, len(files))
    if len(files) == 1:
        with files[0].open("rb") as file:
            yield from parse_each(file, _after(before, ALONE[format]), faults, unusable)
        return
    with files[0].open("rb") as first, files[1].open("rb") as second:
        both, called = (first, second), (names[0], names[1])
        yield from _side_by_side(format, both, called, faults, unusable, before)


def _check_number(format: str, files: int) -> None:
    if files == 1 and format not in ALONE:
        raise ImportRefused([Problem(0, "", "the second answer file is missing")])
    if files == 2 and format not in SIDE_BY_SIDE:
        raise ImportRefused([Problem(0, "", "this format takes one file")])


def _after(before: Before, parse: Parse) -> Parse:
    return lambda line, value: parse(line, before(value))


def read(
    format: str, file: IO[bytes], second: IO[bytes] | None = None, *, names: tuple[str, str]
) -> Records:
    """The records of small files, already open; raises ImportRefused with every fault of them."""
    faults, unusable = Faults(), Faults()
    found: list[PairIn | PromptIn | None]
    _check_number(format, 1 if second is None else 2)
    if second is None:
        found = list(parse_each(file, ALONE[format], faults, unusable))
    else:
        found = list(_side_by_side(format, (file, second), names, faults, unusable))
    if not found and not faults:
        faults.add(Problem(0, "", "holds no records"))
    if faults or unusable:
        raise ImportRefused([*faults.said(), *unusable.said(len(found))])
    return [record for record in found if record is not None]


def _side_by_side(
    format: str,
    files: tuple[IO[bytes], IO[bytes]],
    names: tuple[str, str],
    faults: Faults,
    unusable: Faults,
    before: Before = lambda value: value,
) -> Iterator[PairIn | None]:
    """Pairs of two files, and None for each that has a fault in one of them."""
    parse, pair = SIDE_BY_SIDE[format]
    parsed: list[list[Any]] = []
    for name, file in zip(names, files, strict=True):
        found = list(parse_each(file, _after(before, parse), faults, unusable, name))
        if not found and not faults:
            faults.add(Problem(0, "", "holds no records", file=name))
        parsed.append(found)
    if not faults:
        yield from pair(*parsed, models=names, faults=faults, unusable=unusable)

"""The formats of a file on its way in: what reads each, alone or two files side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from annotation.importing.foreign_records import (
    pair_conversations,
    parse_conversation,
    parse_rlhf_v,
    read_captions,
    with_captions,
)
from annotation.importing.record_files import ImportRefused, Problem, parse_all
from annotation.importing.records import (
    Records,
    pair_answers,
    parse_answer,
    parse_pair,
    parse_prompt,
)
from annotation.models import ImportJob


def read_files(
    files: Sequence[Path], stems: Sequence[str], *, format: str, captions: Path | None
) -> Records:
    with files[0].open("rb") as first:
        if len(files) > 1:
            with files[1].open("rb") as second:
                records = read(format, first, second, names=(stems[0], stems[1]))
        else:
            records = read(format, first, names=(stems[0], ""))
    if captions is not None:
        problems: list[Problem] = []
        with captions.open("rb") as file:
            known = read_captions(file, problems)
        records = with_captions(records, known, problems)
        if problems:
            raise ImportRefused(problems)
    return records


def read(
    format: str, file: IO[bytes], second: IO[bytes] | None = None, *, names: tuple[str, str]
) -> Records:
    """The records of a file, or of two side by side; raises ImportRefused with every fault of them.

    ``names`` are the file names without suffix: the models, where the records name none.
    """
    problems: list[Problem] = []
    records: Records = ()
    if format == ImportJob.Format.PROMPTS:
        records = parse_all(file, parse_prompt, problems)
    elif format == ImportJob.Format.LLAVA_RLHF:
        records = parse_all(file, parse_pair, problems)
    elif format == ImportJob.Format.RLHF_V:
        records = parse_all(file, parse_rlhf_v, problems)
    elif format == ImportJob.Format.LLAVA and second is None:
        records = parse_all(file, parse_prompt, problems)
    elif format in ImportJob.TWO_FILES:
        if second is None:
            raise ImportRefused([Problem(0, "", "the second answer file is missing")])
        records = _side_by_side(format, (file, second), names, problems)
    else:
        raise ValueError(f"{format!r} is not one of {', '.join(ImportJob.Format.values)}")
    if problems:
        raise ImportRefused(problems)
    return records


def _side_by_side(
    format: str, files: tuple[IO[bytes], IO[bytes]], names: tuple[str, str], problems: list[Problem]
) -> Records:
    """Pairs of two files, unless one of them has a fault, which then names its file."""
    mmhal = format == ImportJob.Format.MMHAL
    parsed: list[list[Any]] = []
    for name, file in zip(names, files, strict=True):
        found: list[Problem] = []
        parse: Callable[[int, Any], Any] = parse_answer if mmhal else parse_conversation
        parsed.append(parse_all(file, parse, found))
        problems += [Problem(p.line, p.field, p.reason, file=name) for p in found]
    if problems:
        return ()
    pair = pair_answers if mmhal else pair_conversations
    return pair(*parsed, models=names, problems=problems)

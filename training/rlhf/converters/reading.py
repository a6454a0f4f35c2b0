"""What all converters share: reading published files, and saying exactly what is wrong in one."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.rlhf.contract import ConversationRecord, Turn
from training.rlhf.errors import DataError
from training.rlhf.reading import document, records, text

Convert = Callable[[Mapping[str, Path], Counter[str]], Iterator[ConversationRecord]]
"""Files by role to records; what is left out is counted by reason. ``image`` is a file name."""


@dataclass(frozen=True)
class Converter:
    """One published format: what turns it into records, and the files that needs, by role."""

    convert: Convert
    files: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """One object of a published file, and where it stands, for error messages."""

    data: dict[str, Any]
    where: str

    def get(self, name: str, kind: type | tuple[type, ...]) -> Any:
        """The field ``name``; DataError with file, place and field when it is not a ``kind``."""
        if name not in self.data:
            raise DataError(f"{self.where}, {name}: is missing")
        value = self.data[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise DataError(
                f"{self.where}, {name}: is {type(value).__name__}, which is not expected here"
            )
        return value

    def texts(self, name: str) -> list[str]:
        """The field ``name`` as a list of texts without blank ones."""
        values = self.get(name, list)
        if not all(isinstance(value, str) for value in values):
            raise DataError(f"{self.where}, {name}: is not a list of texts")
        return [" ".join(value.split()) for value in values if value.strip()]


def entries(path: Path, under: str = "") -> Iterator[Entry]:
    """Objects of a JSON list or of JSON lines, or of the list in field ``under`` of one object.

    Raises DataError for a file that is missing, is not JSON, or has another form.
    """
    if under:
        content = document(path)
        content = content.get(under) if isinstance(content, dict) else None
        if not isinstance(content, list):
            raise DataError(f"{path.name}: field {under!r} is not a list")
        found: Iterable[tuple[str, Any]] = (
            (f"{path.name}, {under}[{number}]", data) for number, data in enumerate(content)
        )
    else:
        found = records(path)
    for where, data in found:
        if not isinstance(data, dict):
            raise DataError(f"{where}: is {type(data).__name__}, not an object")
        yield Entry(data, where)


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Non-blank lines of a text file, each with where it stands ("file, line 3")."""
    for number, line in enumerate(text(path).split("\n"), start=1):
        if line.strip():
            yield line.rstrip("\r"), f"{path.name}, line {number}"


def conversation(
    identity: str,
    image: str,
    turns: Sequence[tuple[str, str]],
    *,
    captions: Sequence[str] = (),
) -> ConversationRecord:
    """A record of questions and answers in turn, all of which are learnt."""
    said: list[Turn] = []
    for number, (question, answer) in enumerate(turns):
        text = question if number else f"<image>\n{question}"
        said += [Turn(speaker="human", text=text), Turn(speaker="gpt", text=answer)]
    return ConversationRecord(
        id=identity,
        image=image,
        conversation=tuple(said[:-1]),
        captions=tuple(captions),
        answer=said[-1].text,
        all_answers=True,
    )


def choose(options: Sequence[str], *, seed: str) -> str:
    """One of ``options``, always the same for one ``seed``."""
    return random.Random(seed).choice(options)

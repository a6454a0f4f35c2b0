"""What all converters share: reading published files, and saying exactly what is wrong in one."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.rlhf.contract import ConversationRecord, Turn
from training.rlhf.contract.wire import in_words
from training.rlhf.errors import DataError
from training.rlhf.names import leaves_its_folder
from training.rlhf.reading import document, records, text

Convert = Callable[[Mapping[str, Path], Counter[str]], Iterator[ConversationRecord]]
"""Files by role to records; what is left out is counted by reason. ``image`` is a file name."""


_KINDS = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}


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
            kinds = kind if isinstance(kind, tuple) else (kind,)
            wanted = " or ".join(_KINDS[one] for one in kinds)
            raise DataError(f"{self.where}, {name}: is {in_words(value)}, not {wanted}")
        return value

    def image(self, name: str) -> str:
        """The field ``name`` as the name of a picture in its folder, never of a file elsewhere."""
        value: str = self.get(name, str)
        check_image(value, f"{self.where}, {name}")
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
        found = _each_is_one(path)
    for where, data in found:
        if not isinstance(data, dict):
            raise DataError(f"{where}: is {in_words(data)}, not an object")
        yield Entry(data, where)


def _each_is_one(path: Path) -> Iterator[tuple[str, Any]]:
    """The records of a file that is not one object around them."""
    every = records(path)
    start = list(itertools.islice(every, 2))
    if len(start) == 1 and isinstance(start[0][1], dict):
        under = [name for name, value in start[0][1].items() if holds_objects(value)]
        if under and "conversations" not in under:
            raise DataError(
                f"{path.name}: is one object, not a list: records are expected at the top; there "
                f"is a list under {under[0][:40]!r}"
            )
    yield from itertools.chain(start, every)


def holds_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def check_image(name: str, where: str) -> None:
    """DataError for a picture that would be looked up outside the images folder."""
    if leaves_its_folder(name):
        raise DataError(f"{where}: {name[:100]!r} is outside the images folder, or no name at all")


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

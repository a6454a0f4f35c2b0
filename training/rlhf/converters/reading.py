"""What all converters share: reading published files, and saying exactly what is wrong in one."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.rlhf.contract import ConversationRecord, Turn
from training.rlhf.errors import DataError

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
    """Objects of a JSON list, or of the list in field ``under`` of a JSON object.

    Raises DataError for a file that is missing, is not JSON, or has another form.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path.name}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise DataError(f"{path.name}: is not JSON ({error})") from None
    if under:
        content = content.get(under) if isinstance(content, dict) else None
    if not isinstance(content, list):
        place = f"field {under!r}" if under else "the file"
        raise DataError(f"{path.name}: {place} is not a list")
    for number, data in enumerate(content):
        where = f"{path.name}, {under}[{number}]"
        if not isinstance(data, dict):
            raise DataError(f"{where}: is {type(data).__name__}, not an object")
        yield Entry(data, where)


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """Non-blank lines of a text file, each with where it stands ("file, line 3")."""
    try:
        with path.open(encoding="utf-8-sig", newline=None) as handle:
            for number, line in enumerate(handle, start=1):
                if line.strip():
                    yield line.rstrip("\n"), f"{path.name}, line {number}"
    except OSError as error:
        raise DataError(f"{path.name}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name}: is not UTF-8 ({error})") from None


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

"""Benchmark files as they are published, read as every file that people bring is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from annotation.reading.faults import Unreadable
from annotation.reading.files import is_array, read_all, read_document
from benchmark.protocols.protocol import Refused

T = TypeVar("T")
MOST_NUMBER = 2**63 - 1
"""What other readers, and Postgres, hold exactly."""
_DIGITS = re.compile(r"-?\d+")
_MOST_DIGITS = 30


def objects(path: str | Path, what: str = "a record") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object with its place, "answers.jsonl, line 3". Raises Refused, which names it."""
    path = Path(path)
    for where, value in _values(path):
        if not isinstance(value, dict):
            raise Refused(f"{where}: is not {what} (an object is expected)")
        yield where, value


def document(path: str | Path) -> Any:
    """The one JSON value that a file holds. Raises Refused."""
    return _reading(Path(path), read_document)


def nested(path: Path) -> dict[str, dict[str, Any]]:
    """The one object of a file whose members are all objects; empty for any other file."""
    try:
        found = document(path)
    except Refused:
        return {}
    return found if holds_objects(found) else {}


def holds_objects(value: Any) -> bool:
    members = value.values() if isinstance(value, dict) else ()
    return bool(members) and all(isinstance(one, dict) for one in members)


def number(data: Mapping[str, Any], name: str, where: str, what: str = "a record") -> int:
    """A member that is a whole number from 0, or a text of digits. Raises Refused."""
    found = _whole(data.get(name))
    if isinstance(found, str):
        raise Refused(f"{where}: is not {what} ({name} {found})")
    return found


def _whole(value: Any) -> int | str:
    """The whole number, or what is wrong with it."""
    if value is None:
        return "is missing"
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        value = int(value) if len(value.strip()) <= _MOST_DIGITS else MOST_NUMBER + 1
    if isinstance(value, float) and value.is_integer():  # as tables write 3
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return "is not a whole number"
    if value < 0:
        return "is below 0"
    return value if value <= MOST_NUMBER else f"is above {MOST_NUMBER:,}"


def text(data: Mapping[str, Any], name: str, where: str, what: str = "a record") -> str:
    """A member that is a text. Raises Refused."""
    value = data.get(name)
    if not isinstance(value, str):
        problem = "is missing" if value is None else "is not a text"
        raise Refused(f"{where}: is not {what} ({name} {problem})")
    return value


def _values(path: Path) -> Iterator[tuple[str, Any]]:
    kind = "record" if is_array(path) else "line"
    for place, value in _reading(path, read_all):
        yield f"{path.name}, {kind} {place}", value


def _reading(path: Path, read: Callable[[Path], T]) -> T:
    try:
        return read(path)
    except Unreadable as error:
        kind = "line" if error.faults[0].line else ""
        named = ", ".join([path.name, *([f"{kind} {error.faults[0].line}"] if kind else [])])
        raise Refused(f"{named}: {error.faults[0].reason}") from error

"""Benchmark files as they are published: one JSON array, or one JSON object a line.

Lines end at line feeds only: U+2028 is text. A byte order mark may stand at the beginning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark.protocols.protocol import Refused
from config.outside import NotJson, parse_json

_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def objects(path: str | Path, what: str = "a record") -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object with its place, "answers.jsonl, line 3". Raises Refused, which names it."""
    path = Path(path)
    for where, value in _values(path):
        if not isinstance(value, dict):
            raise Refused(f"{where}: is not {what} (an object is expected)")
        yield where, value


def document(path: str | Path) -> Any:
    """The one JSON value that a file holds. Raises Refused."""
    path = Path(path)
    try:
        return parse_json(_content(path))
    except NotJson as error:
        raise Refused(f"{path.name}: {error}") from error


def number(data: Mapping[str, Any], name: str, where: str, what: str = "a record") -> int:
    """A member that is a whole number, or a text of digits. Raises Refused."""
    value = data.get(name)
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        problem = "is missing" if value is None else "is not a whole number"
        raise Refused(f"{where}: is not {what} ({name} {problem})")
    return value


def text(data: Mapping[str, Any], name: str, where: str, what: str = "a record") -> str:
    """A member that is a text. Raises Refused."""
    value = data.get(name)
    if not isinstance(value, str):
        problem = "is missing" if value is None else "is not a text"
        raise Refused(f"{where}: is not {what} ({name} {problem})")
    return value


def _values(path: Path) -> Iterator[tuple[str, Any]]:
    content = _content(path)
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        for place, value in enumerate(document(path), start=1):
            yield f"{path.name}, record {place}", value
        return
    for place, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip(b"\xef\xbb\xbf \t\r"):
            continue
        where = f"{path.name}, line {place}"
        try:
            yield where, parse_json(line)
        except NotJson as error:
            raise Refused(f"{where}: {error}") from error


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Refused(f"{path.name}: cannot be read ({error.strerror})") from error
    if content.startswith(_UTF16):
        raise Refused(f"{path.name}: is UTF-16; UTF-8 is expected")
    return content

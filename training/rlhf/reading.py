"""Files of JSON as people bring them: an array, a record a line, or objects one after the other.

The forms and the words are those of the site's reader (``annotation.reading.files``), which the
engine cannot import; one test reads the same files with both. A line ends at a newline only, a byte
order mark is no text, and in an array "line" counts records.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.rlhf.errors import DataError
from training.rlhf.json_words import named_twice, not_json

_MOST_DIGITS = 400
"""More are above all that a float holds; Python refuses to read 4,301."""
_BLANK = b" \t\r\n"
_UTF_16 = "is UTF-16, not UTF-8 text: save it as UTF-8"
_INSTEAD = {
    b"PK\x03\x04": "is a zip archive (or a spreadsheet), not a file of records",
    b"\x1f\x8b": "is compressed with gzip: unpack it first",
    b"PAR1": "is a Parquet file, which is not read here",
    b"<": "is HTML or XML, not a file of records",
    b"version https://git-lfs": "is a pointer of Git LFS and not the file itself",
}
_MARKS_OF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


class Unreadable(DataError):
    """A file or line that cannot be read; the message says why and not where."""


def document(path: Path) -> Any:
    """The one value of a JSON file. DataError names the file."""
    try:
        return _parsed(_bytes(path))
    except Unreadable as error:
        raise DataError(f"{path.name}: {error}") from None


def records(path: Path, name: str = "") -> Iterator[tuple[str, Any]]:
    """(where it stands, value) of each record. DataError begins with ``name`` and the line."""
    name = name or path.name
    place = name
    try:
        start = _bytes(path, 4096)
        _check_text(start)
        first = start.removeprefix(codecs.BOM_UTF8).lstrip(_BLANK)[:1]
        if first == b"[":
            for number, value in enumerate(_parsed(_bytes(path)), start=1):
                yield f"{name}, line {number}", value
            return
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip(codecs.BOM_UTF8 + _BLANK):
                    continue
                place = f"{name}, line {number}"
                if first == b"{" and number == 1 and line.strip(_BLANK)[-1:] in (b"{", b","):
                    place = name
                    yield from _objects(path, name)
                    return
                yield place, _parsed(line)
    except Unreadable as error:
        raise DataError(f"{place}: {error}") from None


def text(path: Path) -> str:
    """The text of a file. DataError names the file."""
    try:
        return _decoded(_bytes(path))
    except Unreadable as error:
        raise DataError(f"{path.name}: {error}") from None


def _objects(path: Path, name: str) -> Iterator[tuple[str, Any]]:
    """Objects that are written over several lines."""
    whole = _decoded(_bytes(path))
    at, number = _next(whole, 0), 0
    while at < len(whole):
        number += 1
        try:
            value, at = _JSON.raw_decode(whole, at)
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"{_not_json(error)}, in record {number}") from None
        at = _next(whole, at)
        yield f"{name}, line {number}", value


def _next(whole: str, at: int) -> int:
    """Where the next character that is not blank stands."""
    while at < len(whole) and whole[at] in " \t\r\n":
        at += 1
    return at


def _bytes(path: Path, most: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise Unreadable(f"cannot be read ({error.strerror})") from None
    except ValueError:
        raise Unreadable("cannot be read (that is no name of a file)") from None


def _check_text(start: bytes) -> None:
    for magic, reason in _INSTEAD.items():
        if start.lstrip(_BLANK).startswith(magic):
            raise Unreadable(reason)
    if start.startswith(_MARKS_OF_16) or start[:64].count(0) >= len(start[:64]) // 4 > 0:
        raise Unreadable(_UTF_16)


def _decoded(data: bytes) -> str:
    _check_text(data[:64])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8 text: save the file as UTF-8") from None


def _each_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        raise Unreadable(named_twice(members))
    return found


def _integer(text: str) -> int | float:
    """One that nobody holds becomes infinite, so that whoever reads its member can name it."""
    return int(text) if len(text) <= _MOST_DIGITS else float(text)


_JSON = json.JSONDecoder(object_pairs_hook=_each_once, parse_int=_integer)


def _parsed(data: bytes) -> Any:
    whole = _decoded(data)
    try:
        return _JSON.decode(whole)
    except (ValueError, RecursionError) as error:
        raise Unreadable(_not_json(error)) from None


def _not_json(error: Exception) -> str:
    if isinstance(error, Unreadable):
        return str(error)
    if isinstance(error, json.JSONDecodeError):
        return not_json(error)
    return "is not JSON (it is nested too deep)"

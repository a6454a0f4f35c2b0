"""Files of records, whoever wrote them: values by line, and every fault named once with its line.

A file is a JSON array, JSON lines, JSON objects one after the other, or CSV, told apart by content
and never by name. A byte order mark and CRLF are taken; a line ends at a newline only, so the
separators U+2028 and U+0085 are text. One record is held at a time. In an array and in CSV, "line"
counts records.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from config.json_words import named_twice, not_json
from config.outside import MOST_NESTING, NotJson, check_nesting, json_decoder, parse_json

MOST_RECORD_BYTES = 64 * 2**20
LOOKED_AT = 4096
_BLANK = b" \t\r\n"
_COLUMN = re.compile(r"[^\n\r\"{}\[\]<>]{0,60}")
_SEP_LINE = re.compile(r'"?sep=([,;|:]|\t)"?', re.IGNORECASE)
_JSON_LINE = re.compile(r"^[ \t]*(?:[\[{]|\"[^\n]*\"[ \t\r]*$|null|[\d.-]+[ \t\r]*$)", re.MULTILINE)
"""Among other lines, so that a first line at fault is one fault of many lines."""
_LINE_END = re.compile(r"[\r\n]")
_JSON_SPACE = re.compile(r"[ \t\r\n]*")
_CHINESE = re.compile(r"[\u2010-\u2027\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]+")
_SIDE_BY_SIDE = re.compile(r"[^\x00-\x7f]{2}")
_JAPANESE = re.compile(r"[\u3005\u3040-\u30ff\u4e00-\u9fff\uff01-\uff5e]{2,}")
_BINARY = {
    b"PK\x03\x04": "is a zip archive (or a spreadsheet), not a file of records",
    b"\x1f\x8b": "is compressed with gzip: unpack it first",
    b"PAR1": "is a Parquet file, which is not read here",
    b"%PDF": "is a PDF, not a file of records",
    b"\x89PNG": "is a picture, not a file of records",
    b"\xff\xd8\xff": "is a picture, not a file of records",
    b"<": "is HTML or XML, not a file of records",
    b"version https://git-lfs": "is a pointer of Git LFS: fetch the file with git lfs pull",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd: unpack it first",
    b"\xd0\xcf\x11\xe0": "is an old Excel or Word file: save it as CSV in UTF-8",
    b"ARROW1": "is an Arrow file, which is not read here: save it as Parquet",
    b"SQLite format 3": "is a database of SQLite, not a file of records",
}
_NO_RECORDS = (
    "is neither JSON, which begins with { or [, nor a table whose first line names its columns "
    "between commas, semicolons or tabs"
)
_TURNS = {"messages", "conversations"}
_OF_ONE_RECORD = {"fields"}
"""Objects in one record of Argilla's, all of whose members may be objects."""
_OF_PAGES = {"data", "rows"}
"""Where pages of an API have their records, beside what they say of the page."""
_UTF_16 = "is UTF-16, not UTF-8 text: save it as UTF-8"
_ANY_JSON = json.JSONDecoder(parse_int=float)
"""Finds the end of a value that is not taken, whatever its numbers and names."""


@dataclass(frozen=True)
class Fault:
    """A line that cannot be read, and why; line 0 is the file as a whole."""

    line: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}" if self.line else self.reason


class Unreadable(ValueError):
    """A file that cannot be read; ``faults`` says where, and the message is the first of them."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(str(faults[0]))
        self.faults = faults


OnFault = Callable[[Fault], None]


def values(file: IO[bytes], on_fault: OnFault) -> Iterator[tuple[int, Any]]:
    """(line, value) of each record; what cannot be read is told to ``on_fault`` and left out.

    A fault at line 0 means that nothing of the file, or nothing more of it, can be read.
    """
    start = file.read(LOOKED_AT)
    file.seek(0)
    refusal = _not_text(start)
    if refusal:
        on_fault(Fault(0, refusal))
        return
    first = start.removeprefix(codecs.BOM_UTF8).lstrip(_BLANK)[:1]
    if first == b"[":
        yield from _array(file, on_fault)
    elif first == b"{":
        yield from _objects(file, on_fault)
    elif _is_table(start):
        yield from _table(file, on_fault)
    elif first and not _JSON_LINE.search(start.decode("latin-1")):
        on_fault(Fault(0, _NO_RECORDS))
    else:
        yield from _lines(file, on_fault)


def read_all(path: Path) -> list[tuple[int, Any]]:
    """Every record of a file that fits into memory, with its line. Raises Unreadable."""
    faults: list[Fault] = []
    with _open(path) as file:
        found = list(values(file, faults.append))
    if faults:
        raise Unreadable(faults)
    return found


def is_array(path: Path) -> bool:
    """Whether its records are one JSON array, of which "line" counts the records."""
    with _open(path) as file:
        start = file.read(LOOKED_AT)
    return start.removeprefix(codecs.BOM_UTF8).lstrip(_BLANK)[:1] == b"["


def text_lines(file: IO[bytes], on_fault: OnFault) -> Iterator[tuple[int, str]]:
    """(line, text) of a file that is neither JSON nor CSV, without blank ones and line ends."""
    start = file.read(LOOKED_AT)
    file.seek(0)
    refusal = _not_text(start)
    if refusal:
        on_fault(Fault(0, refusal))
        return
    for number, raw in _raw_lines(file):
        try:
            yield number, _decoded(raw).rstrip("\r\n")
        except _Fault as fault:
            on_fault(Fault(number, str(fault)))


def read_document(path: Path) -> Any:
    """``document`` of a file. Raises Unreadable."""
    with _open(path) as file:
        return document(file)


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise Unreadable([Fault(0, f"cannot be read ({error.strerror})")]) from None


def document(file: IO[bytes]) -> Any:
    """The one value of a JSON file. Raises Unreadable."""
    data = file.read()
    refusal = _not_text(data[:LOOKED_AT])
    if not data.strip(codecs.BOM_UTF8 + _BLANK):
        refusal = "is empty"
    if refusal:
        raise Unreadable([Fault(0, refusal)])
    try:
        return _parsed(data)
    except _Fault as fault:
        raise Unreadable([Fault(0, str(fault))]) from None


class _Fault(ValueError):
    """A reason, before it is known at which line."""


class _OfRecord(_Fault):
    """One of a record that has been read to its end, so that the next one can be."""


def _not_text(start: bytes) -> str | None:
    """Why a file that begins like this is no text that is read here; None where it may be."""
    stripped = start.lstrip(_BLANK)
    known = next((why for magic, why in _BINARY.items() if stripped.startswith(magic)), None)
    if known:
        return known
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "is UTF-32, not UTF-8 text: save it as UTF-8"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _UTF_16
    if start[:64].count(0) >= len(start[:64]) // 4 > 0:
        return _UTF_16 if start[:2].strip(b"\0") in (b"{", b"[") else "is not text"
    return None


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _Fault(_not_utf_8(data)) from None


def _not_utf_8(data: bytes) -> str:
    guess = chinese_encoding(data)
    looks = f" (it looks like {guess[1]})" if guess else ""
    return f"is not UTF-8 text{looks}: save the file as UTF-8"


def _line_not_utf_8(file: IO[bytes]) -> int:
    """The first line, from 1, whose bytes are no UTF-8."""
    file.seek(0)
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    while piece := file.read(_Text.CHUNK):
        try:
            decoder.decode(piece)
        except UnicodeDecodeError as error:
            return line + error.object.count(b"\n", 0, error.start)
        line += piece.count(b"\n")
    return line


def chinese_encoding(data: bytes) -> tuple[str, str] | None:
    """(codec, name) of the encoding that bytes, which are no UTF-8, have by their looks.

    GBK's common characters alone are looked for: both of their bytes are above ASCII, which text
    in the encodings of Europe is not for long.
    """
    try:
        text = codecs.getincrementaldecoder("gb2312")().decode(data)
    except UnicodeDecodeError:
        return None
    strange = "".join(character for character in text if character > "\x7f")
    # One alone may be two letters of Europe side by side, as in "Größe".
    several = _SIDE_BY_SIDE.search(text) is not None
    return ("gb18030", "GBK") if several and _CHINESE.fullmatch(strange) else None


def asian_encoding(data: bytes) -> tuple[str, str] | None:
    """``chinese_encoding``, or that of Japanese, of which two letters are wanted."""
    try:
        text = data.decode("cp932")
    except UnicodeDecodeError:
        text = ""
    strange = "".join(character for character in text if character > "\x7f")
    japanese = ("cp932", "Shift-JIS") if _JAPANESE.fullmatch(strange) else None
    return chinese_encoding(data) or japanese


def _parsed(data: bytes) -> Any:
    text = _decoded(data)
    try:
        return parse_json(text, nan=True)
    except NotJson as error:
        raise _Fault(str(error)) from None


# --------------------------------------------------------------------------------------------
# JSON lines, and objects that are written over several
# --------------------------------------------------------------------------------------------


def _lines(file: IO[bytes], on_fault: OnFault) -> Iterator[tuple[int, Any]]:
    for number, raw in _raw_lines(file):
        if len(raw) > MOST_RECORD_BYTES:
            on_fault(Fault(number, f"is longer than {MOST_RECORD_BYTES // 2**20} MiB"))
            continue
        try:
            yield number, _parsed(raw)
        except _Fault as fault:
            on_fault(Fault(number, str(fault)))


def _raw_lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank; of one that is too long, the part that tells so."""
    number = 0
    while raw := file.readline(MOST_RECORD_BYTES + 1):
        number += 1
        rest = raw
        while len(rest) > MOST_RECORD_BYTES and not rest.endswith(b"\n"):
            rest = file.readline(MOST_RECORD_BYTES + 1)
        if raw.strip(codecs.BOM_UTF8 + _BLANK):
            yield number, raw


def _objects(file: IO[bytes], on_fault: OnFault) -> Iterator[tuple[int, Any]]:
    """Lines, unless the first is no object by itself: then objects as they follow each other."""
    _, first = next(_raw_lines(file))
    whole = not file.read(1)
    file.seek(0)
    try:
        alone = _parsed(first)
    except _Fault:
        if first.rstrip(_BLANK).endswith(b"}") or whole:
            yield from _lines(file, on_fault)
        else:
            yield from _stream(file, on_fault)
        return
    if whole and (reason := _container(alone)):
        on_fault(Fault(0, reason))
        return
    yield from _lines(file, on_fault)


def _stream(file: IO[bytes], on_fault: OnFault) -> Iterator[tuple[int, Any]]:
    """Objects written over several lines; a single one that only holds records is refused."""
    text = _Text(file)
    try:
        number = 0
        while text.peek():
            number += 1
            try:
                value = text.value()
            except _OfRecord as fault:
                on_fault(Fault(number, str(fault)))
                continue
            reason = _container(value) if number == 1 and not text.peek() else None
            if reason:
                raise _Fault(reason)
            yield number, value
    except _Fault as fault:
        on_fault(Fault(0, str(fault)))


def _are_turns(objects: list[dict[str, Any]]) -> bool:
    return all("role" in one or "from" in one for one in objects)


def _container(value: dict[str, Any]) -> str | None:
    """What a single object is, where its members are the records rather than it."""
    lists = [
        name
        for name, member in value.items()
        if isinstance(member, list) and member and all(isinstance(one, dict) for one in member)
    ]
    # One record of a conversation, and not records.
    turns = not _TURNS.isdisjoint(lists) or any(_are_turns(value[name]) for name in lists)
    if lists and not turns and (len(value) == len(lists) or not _OF_PAGES.isdisjoint(lists)):
        named = next((name for name in lists if name in _OF_PAGES), lists[0])
        return (
            "is a JSON object, not a list: records are expected at the top; "
            f"there is a list under {named[:40]!r}"
        )
    one_record = not _OF_ONE_RECORD.isdisjoint(value)
    if value and not one_record and all(isinstance(member, dict) for member in value.values()):
        return "is a JSON object of objects, not a list: records are expected in a list"
    return None


# --------------------------------------------------------------------------------------------
# One JSON array
# --------------------------------------------------------------------------------------------


def _array(file: IO[bytes], on_fault: OnFault) -> Iterator[tuple[int, Any]]:
    text = _Text(file)
    number = 0
    try:
        text.take("[")
        while text.peek() != "]":
            if number:
                text.take(",")
            number += 1
            try:
                value = text.value()
            except _OfRecord as fault:
                on_fault(Fault(number, str(fault)))
            else:
                yield number, value
        text.take("]")
        if text.peek():
            raise _Fault("is not JSON (there is text behind the array)")
    except _Fault as fault:
        on_fault(Fault(0, f"{fault}, in record {number}" if number else str(fault)))


class _Text:
    """JSON text that is taken value by value, of which little more than a value is held."""

    CHUNK = 2**20

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._json = json_decoder(nan=True)
        self._held = ""
        self._at = 0
        self._lines = self._columns = 0
        """Before what is held: of the file, and of the line that it begins in."""
        self._ended = False

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            match = _JSON_SPACE.match(self._held, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._held) or not self._more(self.CHUNK):
                return self._held[self._at : self._at + 1]

    def take(self, character: str) -> None:
        found = self.peek()
        if found != character:
            said = "it ends too early" if not found else f"{character!r} is expected"
            raise _Fault(f"is not JSON ({said} at {self._place(self._at)})")
        self._at += 1

    def value(self) -> Any:
        """The next value. Raises _Fault; _OfRecord where the text behind it can be read."""
        self.peek()
        wanted = self.CHUNK
        decoder, fault = self._json, ""
        while True:
            try:
                value, end = decoder.raw_decode(self._held, self._at)
                # A number may go on behind what is held, and a file may be one number.
                if end == len(self._held):
                    if end - self._at > MOST_RECORD_BYTES:
                        raise _Fault(f"is longer than {MOST_RECORD_BYTES // 2**20} MiB")
                    if self._more(wanted):
                        wanted *= 2
                        continue
                if not fault:
                    check_nesting(self._held[self._at : end], value)
                self._at = end
                if fault:
                    raise _OfRecord(fault)
                return value
            except json.JSONDecodeError as error:
                # What the decoder stumbles over may be the end of what is held. Here and above each
                # time twice as much, so that a record is not read over and over.
                place = self._place(error.pos)  # of what is held now
                if len(self._held) - self._at > MOST_RECORD_BYTES or not self._more(wanted):
                    raise _Fault(not_json(error, place)) from None
                wanted *= 2
            except NotJson as error:
                decoder, fault = _ANY_JSON, str(error)
            except RecursionError:
                raise _Fault(f"is nested more than {MOST_NESTING} levels deep") from None

    def _place(self, at: int) -> str:
        """ "line 3, column 9" of the file, for a place in what is held."""
        before = self._held[:at]
        lines = before.count("\n")
        columns = len(before) - before.rfind("\n") - 1 + (0 if lines else self._columns)
        return f"line {self._lines + lines + 1}, column {columns + 1}"

    def _more(self, wanted: int) -> bool:
        if self._ended:
            return False
        data = self._file.read(wanted)
        self._ended = not data
        try:
            text = self._decoder.decode(data, final=not data)
        except UnicodeDecodeError:
            raise _Fault(_not_utf_8(data)) from None
        gone = self._held[: self._at]
        self._columns = len(gone) - gone.rfind("\n") - 1 + (0 if "\n" in gone else self._columns)
        self._lines += gone.count("\n")
        self._held = self._held[self._at :] + text
        self._at = 0
        return bool(data)


# --------------------------------------------------------------------------------------------
# CSV
# --------------------------------------------------------------------------------------------


def _is_table(start: bytes) -> bool:
    """Whether the first line names columns: several plain words between one separator.

    A line before it may name the separator, as Excel writes and wants it: "sep=;".
    """
    lines = _LINE_END.split(start.decode("utf-8-sig", "replace").lstrip("\r\n"))
    named = _named_separator(lines[0])
    head = next(filter(None, lines[1:]), "") if named else lines[0]
    columns = next(csv.reader([head], delimiter=_separator(head, named)), [])
    names = [column.strip() for column in columns]
    names = _without_blank_end(names)
    return len(names) > 1 and names.count("") < 2 and all(map(_COLUMN.fullmatch, names))


def _without_blank_end(names: list[str]) -> list[str]:
    """Without the columns behind the last name, which Excel writes where once something stood."""
    return names[: max((place for place, name in enumerate(names, 1) if name), default=0)]


def _separator(head: str, named: str = "") -> str:
    """The one that is named, unless the header does without it."""
    return named if named and named in head else max(",;\t", key=head.count)


def _named_separator(line: str) -> str:
    found = _SEP_LINE.fullmatch(line.rstrip("\r\n"))
    return found[1] if found else ""


def _text_lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Raises csv.Error for one that is too long for a record: it is never held as a whole."""
    while line := text.readline(MOST_RECORD_BYTES + 1):
        if len(line) > MOST_RECORD_BYTES:
            raise csv.Error
        yield line


def _first_line(lines: Iterator[str]) -> str:
    return next(filter(str.strip, lines), "")


def _is_filled(row: dict[Any, Any]) -> bool:
    """Whether a row says anything; Excel writes nothing but separators for an empty one."""
    return any(any(cell) if isinstance(cell, list) else cell for cell in row.values())


def _table(file: IO[bytes], on_fault: OnFault) -> Iterator[tuple[int, Any]]:
    """Rows as objects of texts by column; an empty cell is a field that is not there."""
    csv.field_size_limit(MOST_RECORD_BYTES)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        lines = _text_lines(text)
        head = _first_line(lines)
        named = _named_separator(head)
        head = _first_line(lines) if named else head
        rows = csv.DictReader(
            itertools.chain([head], lines), delimiter=_separator(head, named), strict=True
        )
        names = [name.strip() for name in rows.fieldnames or []]
        rows.fieldnames = _without_blank_end(names)
        if twice := named_twice([(name, None) for name in rows.fieldnames]):
            on_fault(Fault(0, f"{twice} among its columns"))
            return
        for number, row in enumerate(filter(_is_filled, rows), start=1):
            if any(row.pop(None, [])) or None in row.values():
                on_fault(Fault(number, f"has another number of cells than {len(rows.fieldnames)}"))
                continue
            yield number, {name: cell for name, cell in row.items() if name and cell != ""}
    except UnicodeDecodeError as error:
        line = _line_not_utf_8(file)
        on_fault(Fault(0, f"{_not_utf_8(error.object)}, in line {line} of its text"))
    except csv.Error:
        on_fault(Fault(0, "is not CSV: a quoted cell is not closed, or a line is too long"))
    finally:
        text.detach()

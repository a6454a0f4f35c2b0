"""Files of records, whoever wrote them: values by line, and every fault named once with its line.

A file is a JSON array, JSON lines, JSON objects one after the other, or CSV, told apart by content
and never by name. A byte order mark and CRLF are taken; a line ends at a newline only, so the
separators U+2028 and U+0085 are text. One record is held at a time. In an array and in CSV, "line"
counts records.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from annotation.reading.encodings import decoded, why_not_text
from annotation.reading.faults import BLANK, Fault, LineFault, OnFault, Unreadable
from annotation.reading.json_records import array, lines, objects, parsed, raw_lines
from annotation.reading.tables import is_table, table

LOOKED_AT = 4096
_JSON_LINE = re.compile(r"^[ \t]*(?:[\[{]|\"[^\n]*\"[ \t\r]*$|null|[\d.-]+[ \t\r]*$)", re.MULTILINE)
"""Among other lines, so that a first line at fault is one fault of many lines."""
_NO_RECORDS = (
    "is neither JSON, which begins with { or [, nor a table whose first line names its columns "
    "between commas, semicolons or tabs"
)


def values(file: IO[bytes], on_fault: OnFault) -> Iterator[tuple[int, Any]]:
    """(line, value) of each record; what cannot be read is told to ``on_fault`` and left out.

    A fault at line 0 means that nothing of the file, or nothing more of it, can be read.
    """
    start = file.read(LOOKED_AT)
    file.seek(0)
    refusal = why_not_text(start)
    if refusal:
        on_fault(Fault(0, refusal))
        return
    first = start.removeprefix(codecs.BOM_UTF8).lstrip(BLANK)[:1]
    if first == b"[":
        yield from array(file, on_fault)
    elif first == b"{":
        yield from objects(file, on_fault)
    elif is_table(start):
        yield from table(file, on_fault)
    elif first and not _JSON_LINE.search(start.decode("latin-1")):
        on_fault(Fault(0, _NO_RECORDS))
    else:
        yield from lines(file, on_fault)


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
    return start.removeprefix(codecs.BOM_UTF8).lstrip(BLANK)[:1] == b"["


def text_lines(file: IO[bytes], on_fault: OnFault) -> Iterator[tuple[int, str]]:
    """(line, text) of a file that is neither JSON nor CSV, without blank ones and line ends."""
    start = file.read(LOOKED_AT)
    file.seek(0)
    refusal = why_not_text(start)
    if refusal:
        on_fault(Fault(0, refusal))
        return
    for number, raw in raw_lines(file):
        try:
            yield number, decoded(raw).rstrip("\r\n")
        except LineFault as fault:
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
    refusal = why_not_text(data[:LOOKED_AT])
    if not data.strip(codecs.BOM_UTF8 + BLANK):
        refusal = "is empty"
    if refusal:
        raise Unreadable([Fault(0, refusal)])
    try:
        return parsed(data)
    except LineFault as fault:
        raise Unreadable([Fault(0, str(fault))]) from None

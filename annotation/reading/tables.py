"""Records as a table of text: CSV between commas, semicolons or tabs."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator
from typing import IO, Any

from annotation.reading.encodings import line_not_utf_8, not_utf_8
from annotation.reading.faults import MOST_RECORD_BYTES, Fault, OnFault
from config.json_words import named_twice

_COLUMN = re.compile(r"[^\n\r\"{}\[\]<>]{0,60}")
_SEP_LINE = re.compile(r'"?sep=([,;|:]|\t)"?', re.IGNORECASE)
_ERROR = re.compile(r"#(?:N/A|NAME\?|VALUE!|REF!|DIV/0!|NUM!|NULL!|ERROR!|SPILL!)")
"""What a spreadsheet writes for a cell that it could not work out: "-a dog" is a formula to it."""
_LINE_END = re.compile(r"[\r\n]")


def is_table(start: bytes) -> bool:
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


def table(file: IO[bytes], on_fault: OnFault) -> Iterator[tuple[int, Any]]:
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
            broken = [name for name, cell in row.items() if _ERROR.fullmatch(cell.strip())]
            if broken:
                name = broken[0]
                reason = f"holds an error of the spreadsheet under {name!r}: {row[name].strip()}"
                on_fault(Fault(number, reason))
                continue
            yield number, {name: cell for name, cell in row.items() if name and cell != ""}
    except UnicodeDecodeError as error:
        line = line_not_utf_8(file)
        on_fault(Fault(0, f"{not_utf_8(error.object)}, in line {line} of its text"))
    except csv.Error:
        on_fault(Fault(0, "is not CSV: a quoted cell is not closed, or a line is too long"))
    finally:
        text.detach()

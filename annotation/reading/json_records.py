"""Records as JSON: lines, objects one after the other, one array."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any

from annotation.reading.encodings import decoded, not_utf_8
from annotation.reading.faults import (
    BLANK,
    MOST_RECORD_BYTES,
    Fault,
    LineFault,
    OfRecord,
    OnFault,
)
from config.json_words import not_json
from config.sanitising import MOST_NESTING, NotJson, check_nesting, json_decoder, parse_json

_JSON_SPACE = re.compile(r"[ \t\r\n]*")
_TURNS = {"messages", "conversations"}
_OF_ONE_RECORD = {"fields"}
"""Objects in one record of Argilla's, all of whose members may be objects."""
_OF_PAGES = {"data", "rows"}
"""Where pages of an API have their records, beside what they say of the page."""
_ANY_JSON = json.JSONDecoder(parse_int=float)
"""Finds the end of a value that is not taken, whatever its numbers and names."""


def parsed(data: bytes) -> Any:
    """The one value that ``data`` is. Raises LineFault."""
    text = decoded(data)
    try:
        return parse_json(text, nan=True)
    except NotJson as error:
        raise LineFault(str(error)) from None


def lines(file: IO[bytes], on_fault: OnFault) -> Iterator[tuple[int, Any]]:
    """(line, value) of each line that is not blank."""
    for number, raw in raw_lines(file):
        if len(raw) > MOST_RECORD_BYTES:
            on_fault(Fault(number, f"is longer than {MOST_RECORD_BYTES // 2**20} MiB"))
            continue
        try:
            yield number, parsed(raw)
        except LineFault as fault:
            on_fault(Fault(number, str(fault)))


def raw_lines(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank; of one that is too long, the part that tells so."""
    number = 0
    while raw := file.readline(MOST_RECORD_BYTES + 1):
        number += 1
        rest = raw
        while len(rest) > MOST_RECORD_BYTES and not rest.endswith(b"\n"):
            rest = file.readline(MOST_RECORD_BYTES + 1)
        if raw.strip(codecs.BOM_UTF8 + BLANK):
            yield number, raw


def objects(file: IO[bytes], on_fault: OnFault) -> Iterator[tuple[int, Any]]:
    """Lines, unless the first is no object by itself: then objects as they follow each other."""
    _, first = next(raw_lines(file))
    whole = not file.read(1)
    file.seek(0)
    try:
        alone = parsed(first)
    except LineFault:
        if first.rstrip(BLANK).endswith(b"}") or whole:
            yield from lines(file, on_fault)
        else:
            yield from _stream(file, on_fault)
        return
    if whole and (reason := _container(alone)):
        on_fault(Fault(0, reason))
        return
    yield from lines(file, on_fault)


def _stream(file: IO[bytes], on_fault: OnFault) -> Iterator[tuple[int, Any]]:
    """Objects written over several lines; a single one that only holds records is refused."""
    text = _Text(file)
    try:
        number = 0
        while text.peek():
            number += 1
            try:
                value = text.value()
            except OfRecord as fault:
                on_fault(Fault(number, str(fault)))
                continue
            reason = _container(value) if number == 1 and not text.peek() else None
            if reason:
                raise LineFault(reason)
            yield number, value
    except LineFault as fault:
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


def array(file: IO[bytes], on_fault: OnFault) -> Iterator[tuple[int, Any]]:
    """(record, value), counted from 1, of the one array that the file is."""
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
            except OfRecord as fault:
                on_fault(Fault(number, str(fault)))
            else:
                yield number, value
        text.take("]")
        if text.peek():
            raise LineFault("is not JSON (there is text behind the array)")
    except LineFault as fault:
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
            raise LineFault(f"is not JSON ({said} at {self._place(self._at)})")
        self._at += 1

    def value(self) -> Any:
        """The next value. Raises LineFault; OfRecord where the text behind it can be read."""
        self.peek()
        wanted = self.CHUNK
        decoder, fault = self._json, ""
        while True:
            try:
                value, end = decoder.raw_decode(self._held, self._at)
                # A number may go on behind what is held, and a file may be one number.
                if end == len(self._held):
                    if end - self._at > MOST_RECORD_BYTES:
                        raise LineFault(f"is longer than {MOST_RECORD_BYTES // 2**20} MiB")
                    if self._more(wanted):
                        wanted *= 2
                        continue
                if not fault:
                    check_nesting(self._held[self._at : end], value)
                self._at = end
                if fault:
                    raise OfRecord(fault)
                return value
            except json.JSONDecodeError as error:
                # What the decoder stumbles over may be the end of what is held. Here and above each
                # time twice as much, so that a record is not read over and over.
                place = self._place(error.pos)  # of what is held now
                if len(self._held) - self._at > MOST_RECORD_BYTES or not self._more(wanted):
                    raise LineFault(not_json(error, place)) from None
                wanted *= 2
            except NotJson as error:
                decoder, fault = _ANY_JSON, str(error)
            except RecursionError:
                raise LineFault(f"is nested more than {MOST_NESTING} levels deep") from None

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
            raise LineFault(not_utf_8(data)) from None
        gone = self._held[: self._at]
        self._columns = len(gone) - gone.rfind("\n") - 1 + (0 if "\n" in gone else self._columns)
        self._lines += gone.count("\n")
        self._held = self._held[self._at :] + text
        self._at = 0
        return bool(data)

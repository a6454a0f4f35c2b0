"""Files of records: JSON lines or one JSON array, with every fault named by line and field.

In an array, "line" counts records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from annotation.errors import DomainError
from config.outside import NotJson, parse_json, storable

T = TypeVar("T")


@dataclass(frozen=True)
class Problem:
    """One fault of a file; line 0 is the file as a whole. What it quotes is made storable."""

    line: int
    field: str
    reason: str
    file: str = ""

    def __post_init__(self) -> None:
        for name in ("field", "reason", "file"):
            object.__setattr__(self, name, storable(getattr(self, name)))

    def __str__(self) -> str:
        place = f"line {self.line}" if self.line else "the file"
        prefix = f"{self.file}, " if self.file else ""
        named = f", {self.field}" if self.field else ""
        return f"{prefix}{place}{named}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "line": self.line,
            "field": self.field,
            "reason": self.reason,
        }


class ImportRefused(DomainError):
    """Nothing was imported; ``problems`` says why, line by line."""

    status = 422
    title = "Nothing was imported"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.file, problem.line))
        first = self.problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{first}{more}", errors=[p.to_json() for p in self.problems])


class BadField(ValueError):
    """A record's fault, before it is known on which line it stands."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def read_objects(file: IO[bytes], problems: list[Problem]) -> Iterator[tuple[int, Any]]:
    """(line, parsed value) of each record; lines that are not JSON go to ``problems``."""
    start = file.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    file.seek(0)
    if start.startswith(b"["):
        yield from _read_array(file, problems)
        return
    for number, raw in enumerate(file, start=1):
        if not raw.strip(b"\xef\xbb\xbf \t\r\n"):
            continue
        try:
            yield number, parse_json(raw)
        except NotJson as error:
            problems.append(Problem(number, "", str(error)))


def _read_array(file: IO[bytes], problems: list[Problem]) -> Iterator[tuple[int, Any]]:
    try:
        values = parse_json(file.read())
    except NotJson as error:
        problems.append(Problem(error.line, "", str(error)))
    else:
        yield from enumerate(values, start=1)


def parse_all(file: IO[bytes], parse: Callable[[int, Any], T], problems: list[Problem]) -> list[T]:
    """Every record that parses; the faults of the others are added to ``problems``."""
    records = []
    for line, value in read_objects(file, problems):
        try:
            records.append(parse(line, value))
        except BadField as error:
            problems.append(Problem(line, error.field, error.reason))
    if not records and not problems:
        problems.append(Problem(0, "", "holds no records"))
    return records

"""Records of a file, with every fault named by line and field, and the same fault named once."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, TextIO, TypeVar

from annotation.errors import DomainError
from annotation.reading.files import values
from config.sanitising import storable

T = TypeVar("T")
ALL = "all "
"""How the reason of a fault begins that every line has."""
MOST_ALIKE = 3
MOST_KINDS = 10_000
CSV_COLUMNS = ("file", "line", "field", "reason")


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
        prefix = f"{self.file}, " if self.file else ""
        if self.reason.startswith(ALL):
            return f"{prefix}{self.reason}"
        place = f"line {self.line}" if self.line else "the file"
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
        self.problems = said_once(problems)
        first = self.problems[0]
        more = f" (and {len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(f"{first}{more}", errors=[p.to_json() for p in self.problems])


class Faults:
    """Problems as they are found, however many: what many lines share is kept and said once.

    ``to`` is a file that gets every one of them as a row of CSV (file, line, field, reason).
    """

    def __init__(self, to: TextIO | None = None) -> None:
        self.count = 0
        self._groups: dict[tuple[str, str, str], _Group] = {}
        self._more = 0
        self._rows = None if to is None else csv.writer(to)
        if self._rows is not None:
            self._rows.writerow(CSV_COLUMNS)

    def __bool__(self) -> bool:
        return self.count > 0

    def add(self, problem: Problem) -> None:
        self.count += 1
        if self._rows is not None:
            cells = (problem.file, problem.line or "", problem.field, problem.reason)
            self._rows.writerow([guarded(cell) for cell in cells])
        about = (problem.file, problem.field, problem.reason)
        if about in self._groups or len(self._groups) < MOST_KINDS:
            self._groups.setdefault(about, _Group()).add(problem.line)
        else:
            self._more += 1

    def said(self, lines: int = 0) -> list[Problem]:
        """The problems in order, the same of many lines as one; ``lines`` is how many there are.

        What all lines share belongs to the file.
        """
        said: list[Problem] = []
        for (file, field, reason), group in self._groups.items():
            if 1 < group.count == lines and min(group.first):
                named = f"{field} " if field else ""
                said.append(Problem(0, field, f"{ALL}{lines:,} lines: {named}{reason}", file))
            elif group.count > MOST_ALIKE:
                shown = ", ".join(map(str, group.first[1:MOST_ALIKE]))
                rest = f"lines {shown} and {group.count - MOST_ALIKE:,} more"
                reason = f"{reason} (the same in {rest})"
                said.append(Problem(group.first[0], field, reason, file))
            else:
                said += [Problem(line, field, reason, file) for line in group.first]
        if self._more:
            said.append(Problem(0, "", f"and {self._more:,} more faults"))
        return sorted(said, key=lambda problem: (problem.file, problem.line))


class _Group:
    """The lines of one fault: how many, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[int] = []

    def add(self, line: int) -> None:
        self.count += 1
        if len(self.first) < MOST_ALIKE:
            self.first.append(line)


def said_once(problems: Iterable[Problem], lines: int = 0) -> list[Problem]:
    """As ``Faults.said`` has them."""
    faults = Faults()
    for problem in problems:
        faults.add(problem)
    return faults.said(lines)


def guarded(cell: Any) -> Any:
    """A cell that no spreadsheet runs as a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" and cell else cell


class BadField(ValueError):
    """A record's fault, before it is known on which line it stands."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


BROKEN_JSON = "is not JSON"
"""How the reason begins (``config.json_words``)."""


def read_objects(file: IO[bytes], problems: list[Problem]) -> Iterator[tuple[int, Any]]:
    """(line, parsed value) of each record; lines that cannot be read go to ``problems``."""
    return values(file, lambda fault: problems.append(Problem(fault.line, "", fault.reason)))


def parse_each(
    file: IO[bytes],
    parse: Callable[[int, Any], T],
    faults: Faults,
    unusable: Faults,
    name: str = "",
) -> Iterator[T | None]:
    """Every record that parses, and None for each that does not: its fault is ``unusable``.

    What is wrong with the file as a whole is one of ``faults``; where JSON breaks off behind
    records that parse, these may be used. ``name`` stands on each.
    """
    found = False

    def told(problem: Problem) -> None:
        if found and not problem.line and problem.reason.startswith(BROKEN_JSON):
            problem = replace(problem, reason=f"{problem.reason}: nothing from there on is read")
            unusable.add(replace(problem, file=name))
        else:
            (unusable if problem.line else faults).add(replace(problem, file=name))

    waiting: list[Problem] = []
    for line, value in read_objects(file, waiting):
        yield from _told(waiting, told)
        try:
            record = parse(line, value)
        except BadField as error:
            told(Problem(line, error.field, error.reason))
            yield None
        else:
            found = True
            yield record
    yield from _told(waiting, told)


def _told(waiting: list[Problem], told: Callable[[Problem], None]) -> Iterator[None]:
    for problem in waiting:
        told(problem)
        if problem.line:
            yield None
    waiting.clear()


def parse_all(file: IO[bytes], parse: Callable[[int, Any], T], problems: list[Problem]) -> list[T]:
    """Every record that parses; the faults of the others are added to ``problems``."""
    faults, unusable = Faults(), Faults()
    found = list(parse_each(file, parse, faults, unusable))
    problems += faults.said()
    problems += unusable.said(len(found))
    if not found and not problems:
        problems.append(Problem(0, "", "holds no records"))
    return [record for record in found if record is not None]

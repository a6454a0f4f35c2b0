"""Records of a file, with every fault named by line and field, and the same fault named once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any, TypeVar

from annotation.errors import DomainError
from annotation.reading.files import values
from config.outside import storable

T = TypeVar("T")
ALL = "all "
"""How the reason of a fault begins that every line has."""
MOST_ALIKE = 3


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


def said_once(problems: Iterable[Problem], lines: int = 0) -> list[Problem]:
    """The problems in order, those that many lines share as one; ``lines`` is how many there are.

    What all lines share belongs to the file.
    """
    alike: dict[tuple[str, str, str], list[Problem]] = defaultdict(list)
    for problem in problems:
        alike[problem.file, problem.field, problem.reason].append(problem)
    said: list[Problem] = []
    for (file, field, reason), group in alike.items():
        numbers = sorted({problem.line for problem in group if problem.line})
        if 1 < len(numbers) == lines:
            named = f"{field} " if field else ""
            said.append(Problem(0, field, f"{ALL}{lines:,} lines: {named}{reason}", file))
        elif len(numbers) > MOST_ALIKE:
            shown = ", ".join(map(str, numbers[1:MOST_ALIKE]))
            rest = f"lines {shown} and {len(numbers) - MOST_ALIKE:,} more"
            said.append(Problem(numbers[0], field, f"{reason} (the same in {rest})", file))
        else:
            said += group
    return sorted(said, key=lambda problem: (problem.file, problem.line))


class BadField(ValueError):
    """A record's fault, before it is known on which line it stands."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


def read_objects(file: IO[bytes], problems: list[Problem]) -> Iterator[tuple[int, Any]]:
    """(line, parsed value) of each record; lines that cannot be read go to ``problems``."""
    return values(file, lambda fault: problems.append(Problem(fault.line, "", fault.reason)))


def parse_all(file: IO[bytes], parse: Callable[[int, Any], T], problems: list[Problem]) -> list[T]:
    """Every record that parses; the faults of the others are added to ``problems``."""
    records = []
    found: list[Problem] = []
    lines = 0
    for line, value in read_objects(file, found):
        lines += 1
        try:
            records.append(parse(line, value))
        except BadField as error:
            found.append(Problem(line, error.field, error.reason))
    if not records and not found:
        found.append(Problem(0, "", "holds no records"))
    problems += said_once(found, lines + sum(1 for one in found if not one.field and one.line))
    return records

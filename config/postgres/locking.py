"""Which statements of a migration would keep a large table locked, and what to write instead.

Judged is the SQL that Django would send, so that hand-written SQL is judged as well. A table that
the same migration makes is empty; all others are taken for large, however small they are today. A
statement of a kind that is not told of here is refused: whoever needs it finds out what it locks.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from django.db.migrations import AlterField, Migration
from django.db.migrations.state import ProjectState
from django.db.models import CharField, TextField

TABLE = r'(?:ONLY\s+)?"?(?P<table>[\w.]+)"?'
CREATED = re.compile(rf"^CREATE TABLE (?:IF NOT EXISTS )?{TABLE}", re.I)
ALTERED = re.compile(rf"^ALTER TABLE (?:IF EXISTS )?{TABLE}\s+(?P<rest>.*)$", re.I | re.S)
INDEXED = re.compile(
    rf'^CREATE (?:UNIQUE )?INDEX (?P<how>CONCURRENTLY )?(?:IF NOT EXISTS )?"?\w+"? ON {TABLE}',
    re.I | re.S,
)
CHANGED = re.compile(rf"^(?:UPDATE|DELETE FROM|LOCK TABLE|LOCK|TRUNCATE)\s+{TABLE}", re.I)
HARMLESS = re.compile(
    r"^(?:SET CONSTRAINTS|DROP (?:INDEX|TABLE)|COMMENT ON|(?:CREATE|ALTER) SEQUENCE"
    r"|CREATE EXTENSION)\b",
    re.I,
)
TYPED = re.compile(
    r'ALTER COLUMN "?(?P<column>\w+)"? TYPE (?:varchar\(\d+\)|text(?: USING "?\w+"?::text)?)', re.I
)
PYTHON = "THIS OPERATION CANNOT BE WRITTEN AS SQL"

# Of one ALTER TABLE: what it holds, what that does, and what to do instead.
ACTIONS = [
    (
        r"\bADD CONSTRAINT\b(?=.*\b(?:UNIQUE|PRIMARY KEY|EXCLUDE)\b)(?!.*\bUSING INDEX\b)",
        "builds an index while nobody can write",
        "create the index concurrently, then ADD CONSTRAINT … USING INDEX",
    ),
    (
        r"\bADD CONSTRAINT\b(?=.*\b(?:CHECK|FOREIGN KEY)\b)(?!.*\bNOT VALID\b)",
        "reads every row while nobody can write",
        "AddConstraintNotValid, and ValidateConstraint in a migration of its own",
    ),
    (
        r"\bALTER COLUMN\b.*\bSET NOT NULL\b",
        "reads every row while nobody can read",
        "a check constraint that is validated first",
    ),
    (
        r"\bALTER COLUMN\b.*\bTYPE\b",
        "may write the whole table anew while nobody can read",
        "a new column that is filled in portions",
    ),
    (
        # A bracket, other than that of a type as in ::varchar(20): something is called.
        r"\bADD COLUMN\b.*\bDEFAULT\b(?:::\s*\w++(?:\s*\([\d, ]+\))?+|(?!\bCHECK\b)[^(:])*\(",
        "writes the whole table anew while nobody can read",
        "a constant default, or null and a filling in portions",
    ),
    (
        r"\bADD COLUMN\b.*\bCHECK\b",
        "reads every row while nobody can read",
        "AddFieldCheckedLater, and ValidateConstraint in a migration of its own",
    ),
    (
        r"\bADD COLUMN\b.*\bDEFAULT\b(?!\s+NULL\b).*\bREFERENCES\b",
        "reads every row while nobody can read",
        "null, and a filling in portions",
    ),
    (
        r"\bADD COLUMN\b.*\b(?:STORED|(?:BIG)?SERIAL|GENERATED\b.*\bAS IDENTITY)\b",
        "writes the whole table anew while nobody can read",
        "a nullable column that is filled in portions",
    ),
    (
        r"\bADD COLUMN\b.*\b(?:UNIQUE|PRIMARY KEY)\b",
        "builds an index while nobody can write",
        "the column first, then an index made concurrently",
    ),
    (
        r"\bSET (?:TABLESPACE|LOGGED|UNLOGGED)\b",
        "copies the whole table while nobody can read",
        "no change of that kind",
    ),
]


def widened(before: ProjectState, migration: Migration) -> set[tuple[str, str]]:
    """Texts, by table and column, that the migration lets be longer: no row is looked at for it."""
    found = set()
    for one in migration.operations:
        if isinstance(one, AlterField):
            model = before.apps.get_model(migration.app_label, one.model_name)
            old, new = model._meta.get_field(one.name), one.field
            longer = isinstance(new, TextField) or (
                isinstance(new, CharField) and (new.max_length or 0) >= (old.max_length or 0)
            )
            if isinstance(old, CharField) and longer:
                found.add((model._meta.db_table, str(old.column)))
    return found


def faults(
    statements: Iterable[str], *, atomic: bool, longer: Collection[tuple[str, str]] = ()
) -> list[str]:
    """What speaks against a migration of these statements; empty when nothing does.

    ``longer`` is what ``widened`` found. ``atomic`` says whether they share a transaction: then
    what the first locks stays locked until the last is done, and so do changed rows.
    """
    told: list[str] = []
    made: set[str] = set()
    not_validated = False
    for statement in _plain(statements):
        if PYTHON in statement:
            if atomic:
                told.append("code in a transaction: say atomic = False and go in portions")
            continue
        if created := CREATED.match(statement):
            made.add(created["table"])
            continue
        found = ALTERED.match(statement) or INDEXED.match(statement) or CHANGED.match(statement)
        if found is None:
            if not HARMLESS.match(statement):
                told.append(f"{statement[:60]!r}: not known to lock nothing")
            continue
        if found["table"] in made:
            continue
        typed = ALTERED.match(statement) and TYPED.fullmatch(found["rest"])
        if typed and (found["table"], typed["column"]) in longer:
            continue
        told += [f"{found['table']}: {one}" for one in _against(statement, found, atomic)]
        not_validated |= "NOT VALID" in statement.upper()
        if atomic and not_validated and "VALIDATE CONSTRAINT" in statement.upper():
            told.append(f"{found['table']}: validated under the lock of the same transaction")
    return told


def _plain(statements: Iterable[str]) -> Iterable[str]:
    for text in statements:
        if PYTHON in text:
            yield text
        lines = [line for line in text.splitlines() if not line.startswith("--")]
        for statement in "\n".join(lines).split(";"):
            if statement.strip():
                yield _without_words(statement.strip())


def _without_words(statement: str) -> str:
    """``statement`` with its quoted texts emptied: what they say is no SQL."""
    return re.sub(r"'(?:[^']|'')*'", "''", statement)


def _against(statement: str, found: re.Match[str], atomic: bool) -> Iterable[str]:
    if CHANGED.match(statement):
        if atomic:
            yield "changes rows in a transaction: say atomic = False and go in portions"
        return
    if INDEXED.match(statement):
        if not found["how"]:
            yield "builds an index while nobody can write; AddIndexConcurrently does not"
        return
    for pattern, does, instead in ACTIONS:
        if re.search(pattern, found["rest"], re.I | re.S):
            yield f"{does}; write instead: {instead}"

"""The two answers of a record of another project, and which one is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from annotation.importing import verdicts
from annotation.importing.field_names import (
    RANKING,
    REJECTED,
    better_and_worse,
    first_and_second,
    further_answers,
    list_of_answers,
    texts_of,
)
from annotation.importing.forms.asked import plain_turn
from annotation.importing.forms.fields import Row, text_of
from annotation.importing.record_files import BadField
from annotation.importing.records import Label
from annotation.importing.verdicts import is_said
from annotation.reading.names import excerpt, quoted
from config.sanitising import whole_number

NUMBERS: dict[str | None, int] = {verdicts.FIRST: 1, verdicts.SECOND: 2}
_HOW_TO_SAY = " (write 1, 2 or tie)"
_YES, _NO = ("true", "yes", "1", "1.0"), ("false", "no", "0", "0.0")


@dataclass(frozen=True)
class Sides:
    """Two answers in the order of the record; ``preference`` is the better, if it is known."""

    one: str
    two: str
    preference: int | None
    placed: bool
    """Whether the record itself puts them first and second."""
    place: int | None = None
    """Where the first of them stood, in a record that says so and has the better one first."""


def sides_of(row: Row, turns: list[Any]) -> Sides:
    if (pair := better_and_worse(row)) is not None:
        place = _preference(row) if pair[0] == "better" else None
        one, two = (_answer(row, name) for name in pair)
        return Sides(one, two, 1, placed=False, place=place)
    if listed := list_of_answers(row):
        responses = texts_of(row[listed])
        if len(responses) != 2:
            raise BadField(listed, f"holds {len(responses)} answers, not two")
        one, two = (text_of({listed: text}, listed) for text in responses)
        return Sides(one, two, _preference(row), placed=True)
    if (pair := first_and_second(row)) is not None:
        for name in further_answers(row, pair):
            raise BadField(
                name, f"is an answer beside {' and '.join(pair)}; a comparison shows two"
            )
        one, two = (_answer(row, name) for name in pair)
        return Sides(one, two, _preference(row), placed=True)
    worse = next((name for name in REJECTED if name in row), "")
    if worse and turns and turns[-1].get("from") in ("gpt", "assistant", "model"):
        chosen = text_of(turns[-1], "value", "the last turn")
        return Sides(chosen, _answer(row, worse), 1, placed=False)
    missing = "rejected" if row.get("chosen") is not None else "chosen"
    there = ", ".join(excerpt(name, 30) for name in list(row)[:12])
    raise BadField(missing, f"is missing (there are: {there})")


def _answer(row: Row, name: str) -> str:
    """A text, one turn, or turns of which the last is the answer."""
    value = row[name]
    if isinstance(value, list):
        if not value:
            raise BadField(name, "is empty")
        if all(isinstance(one, str) for one in value):
            if len(value) > 1:
                raise BadField(name, f"holds {len(value)} answers, not one")
            return text_of({name: value[0]}, name)
        value = plain_turn(value[-1], f"{name}[{len(value) - 1}]")
    elif isinstance(value, dict):
        value = plain_turn(value, name)
    if isinstance(value, dict):
        if value["from"] not in ("gpt", "assistant", "model", "None"):
            raise BadField(name, "does not end with an answer of the model")
        return text_of(value, "value", name)
    return text_of(dict(row), name)


def _preference(row: Row) -> int | None:
    """Which answer is better, 1 or 2; None where nothing is said, or neither is."""
    ranks = row.get(RANKING)
    if ranks is not None:  # VL-RewardBench: a rank for each answer, 0 for the better one
        if not isinstance(ranks, list) or len(ranks) != 2 or not all(map(_is_rank, ranks)):
            raise BadField(RANKING, "is not a rank for each of two answers")
        return None if ranks[0] == ranks[1] else 1 + (ranks[1] < ranks[0])
    return NUMBERS.get(side_said(row))


def side_said(row: Row) -> str | None:
    """The side that a column calls better, or a tie; None where none says anything.

    Raises BadField where it is said in words that name no side.
    """
    column, side = verdicts.one_of(row)
    if column and side is None:
        words = ", ".join(repr(excerpt(row[name], 30)) for name in column.split(" and "))
        raise BadField(column, f"does not say which answer is better: {words}{_HOW_TO_SAY}")
    return side


def says_tie(row: Row) -> bool:
    return row.get(RANKING) is not None or verdicts.one_of(row)[1] == verdicts.TIE


def is_placed(row: Row) -> bool:
    """Whether the answers are a first and a second one, and not a better and a worse."""
    return better_and_worse(row) is None


def _is_rank(value: Any) -> bool:
    return type(value) in (int, float)


def label_of(row: Row, preference: int | None, *, placed: bool) -> Label | None:
    if preference is None:
        return None
    honest = _is_honest(row.get("hallucination"))
    # The votes of the record are for sides, which it may not name; the margin is for the better.
    found = counts_of(row) if placed else {}
    margin = share_of(row.get("margin"))
    if margin is not None:
        found["margin"] = margin
    return Label(preference=preference, hallucination=honest, **found)


def _is_honest(said: Any) -> bool:
    """Whether people decided by honesty, as every file says that says nothing of it."""
    if not is_said(said):
        return True
    word = str(said).strip().lower()
    if word not in (*_YES, *_NO):
        raise BadField("hallucination", f"is not true or false: {quoted(said)}")
    return word in _YES


def share_of(value: Any) -> float | None:
    """A number from 0 to 1, also as tables write it ("0,5"); None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value.strip().replace(",", ".") if isinstance(value, str) else value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= 1 else None


def counts_of(row: Row) -> dict[str, Any]:
    """Votes and margin where the record brings them, in the order of its answers."""
    columns = {"1": "votes_1", "2": "votes_2", "tie": "votes_tie"}
    votes = row.get("votes") or {side: row[name] for side, name in columns.items() if name in row}
    if not isinstance(votes, dict) or not votes:
        return {}
    counts = {side: whole_number(votes.get(side, 0)) for side in ("1", "2", "tie")}
    if None in counts.values():
        raise BadField("votes", "is not an object of counts")
    total = sum(count or 0 for count in counts.values())
    if not total:
        return {}
    return {"votes": counts, "margin": abs((counts["1"] or 0) - (counts["2"] or 0)) / total}

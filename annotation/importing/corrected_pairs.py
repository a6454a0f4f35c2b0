"""Corrections that stand behind their pair in a file, as our rows of RLHF-V's form have them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from annotation.importing.records import PairIn, PromptIn

Record = PairIn | PromptIn


def with_corrections(records: Iterable[Record | None]) -> Iterator[Record | None]:
    """The records, in which a correction right behind its pair has become part of it.

    One that stands alone, because the file was filtered or shuffled, is a pair like any other: the
    corrected answer is better than the answer.
    """
    held: Record | None = None
    waits = False
    for record in records:
        folded = _folded(held, record) if waits else None
        if folded is not None:
            held = folded
            continue
        if waits:
            yield held
        held, waits = record, True
    if waits:
        yield held


def _folded(pair: Record | None, record: Record | None) -> PairIn | None:
    """``pair`` with the correction that ``record`` is; None where it is none of that pair."""
    if not isinstance(pair, PairIn) or not isinstance(record, PairIn) or record.label is None:
        return None
    texts = (record.response_1, record.response_2)
    corrected, answer = texts if record.label.preference == 1 else texts[::-1]
    responses = (pair.response_1, pair.response_2)
    if not record.corrects or record.corrects != pair.id or answer not in responses:
        return None
    one = {"response": responses.index(answer) + 1, "text": corrected}
    return replace(pair, corrections=[*pair.corrections, one])

"""Corrections in the contract, and as pairs to learn from."""

from __future__ import annotations

from typing import Any

import pytest

from tests.training.rlhf import tiny
from training.rlhf.contract import CORRECTION, ContractError, Correction, Mark, PreferencePair
from training.rlhf.corrected import with_corrections
from training.rlhf.errors import DataError
from training.rlhf.marked_tokens import is_false

BLUE = {
    "output": 1,
    "value": "a blue circle",
    "marks": [{"start": 2, "end": 6, "kind": CORRECTION}],
    "replaced": [{"start": 2, "end": 5, "kind": "attribute"}],
}


def record(**changes: Any) -> dict[str, Any]:
    data = tiny.preference_records(["x.png"])[0]
    data["output_1"] = {"from": "a", "value": "a red circle"}
    data["output_2"] = {"from": "b", "value": "a green cross", "marks": []}
    return data | {"preference": 2, "votes": {"2": 3}, "corrections": [BLUE]} | changes


@pytest.mark.parametrize("output", [1, 2])
def test_a_correction_is_a_pair_in_which_what_changed_is_marked(output: int) -> None:
    value = record()[f"output_{output}"]["value"]
    gone = {"start": 0, "end": 1, "kind": "number"}
    pair = PreferencePair.from_json(
        record(corrections=[{**BLUE, "output": output, "replaced": [gone]}])
    )
    [made] = pair.corrected()
    assert (made.worse, made.better) == (value, "a blue circle")
    assert (made.preference, made.hallucination) == (3 - output, True)
    assert (made.share_for_better, made.margin, made.corrections) == (1.0, 1.0, ())
    assert made.conversation == pair.conversation and made.captions == pair.captions
    put, kept = (Mark(start=2, end=6, kind=CORRECTION),), (Mark(**gone),)
    assert made.telling_marks == ((kept, put) if output == 1 else (put, kept))
    assert made.id != pair.id


def test_corrections_survive_json() -> None:
    pair = PreferencePair.from_json(record())
    assert pair.corrections == (
        Correction(
            output=1,
            text="a blue circle",
            marks=(Mark(start=2, end=6, kind=CORRECTION),),
            replaced=(Mark(start=2, end=5, kind="attribute"),),
        ),
    )
    assert PreferencePair.from_json(pair.to_json()) == pair
    bare = PreferencePair.from_json(record(corrections=None))
    assert bare.corrections == () and "corrections" not in bare.to_json()


FAULTY = {
    "no list": ({"a": 1}, "corrections"),
    "no object": (["a"], "corrections[0]"),
    "no output": ([{"value": "a"}], "corrections[0].output"),
    "a third output": ([{**BLUE, "output": 3}], "corrections[0].output"),
    "a truth": ([{**BLUE, "output": True}], "corrections[0].output"),
    "no text": ([{"output": 1}], "corrections[0].value"),
    "a mark outside": ([{**BLUE, "marks": [{"start": 0, "end": 99}]}], "corrections[0].marks[0]"),
    "what was replaced outside": (
        [{**BLUE, "replaced": [{"start": 0, "end": 13}]}],
        "corrections[0].replaced[0]",
    ),
}


@pytest.mark.parametrize("case", FAULTY)
def test_what_is_no_correction_is_refused_by_place(case: str) -> None:
    given, field = FAULTY[case]
    with pytest.raises(ContractError) as refused:
        PreferencePair.from_json(record(corrections=given))
    assert refused.value.field == field


def test_corrections_are_learnt_too_or_alone_or_not_at_all() -> None:
    pairs = [PreferencePair.from_json(record(id=f"{number}")) for number in range(3)]
    bare = [PreferencePair.from_json(record(corrections=[]))]
    made = [one for pair in pairs for one in pair.corrected()]
    assert with_corrections(pairs, "add") == [*pairs, *made]
    assert with_corrections(pairs, "only") == made
    assert with_corrections(pairs, "leave_out") == pairs
    assert with_corrections(pairs, "add", held_out=True) == pairs
    assert with_corrections(pairs, "only", held_out=True) == made
    assert with_corrections(bare, "only", held_out=True) == []
    with pytest.raises(DataError, match=r"0 of 1 pairs have corrections.*settings\.corrections"):
        with_corrections(bare, "only")


BLUE_MARK = {"start": 2, "end": 5, "kind": "attribute"}
OTHER = {"start": 6, "end": 12, "kind": "object"}


@pytest.mark.parametrize(
    ("own", "replaced", "kept"),
    [
        (None, [], None),  # a word was put in, which says nothing of the others
        (None, [BLUE_MARK], [BLUE_MARK]),
        ([], [], []),
        ([OTHER], [], [OTHER]),
        ([OTHER], [BLUE_MARK], [BLUE_MARK, OTHER]),
        ([BLUE_MARK], [BLUE_MARK], [BLUE_MARK]),
    ],
)
def test_a_correction_takes_no_mark_back(
    own: list[Any] | None, replaced: list[Any], kept: list[Any] | None
) -> None:
    output = {"from": "a", "value": "a red circle", **({} if own is None else {"marks": own})}
    pair = PreferencePair.from_json(
        record(output_1=output, corrections=[{**BLUE, "replaced": replaced}])
    )
    [made] = pair.corrected()
    assert made.marks_1 == (None if kept is None else tuple(Mark(**one) for one in kept))


def test_what_a_correction_put_in_is_no_false_word() -> None:
    [made] = PreferencePair.from_json(record(corrections=[{**BLUE, "replaced": []}])).corrected()
    assert [is_false(mark) for mark in made.marks] == [False]

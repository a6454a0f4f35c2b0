"""Corrected answers: which words changed, whose correction is asked for, what is taken and kept."""

from __future__ import annotations

import random
import uuid
from typing import Any

import pytest

from annotation import corrections, queue
from annotation.models import Comparison, Judgment, JudgmentVersion, Project
from annotation.progress import progress_of
from tests import factories


def words(text: str, found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(text[one["start"] : one["end"]], one["kind"]) for one in found]


CHANGED = {
    "a word": ("Two red cats.", "Two blue cats.", ["red"], ["blue"]),
    "words beside each other": ("a dog sits here", "a cat lies here", ["dog sits"], ["cat lies"]),
    "what was taken out": ("a big red mug", "a mug", ["big red"], []),
    "what was put in": ("a mug", "a mug and a cup", [], ["and a cup"]),
    "at both ends": ("One cat. Yes.", "Two cats. No.", ["One cat", "Yes"], ["Two cats", "No"]),
    "a sign": ("It is red.", "It is red!", ["."], ["!"]),
    "white space alone": ("a  b\r\nc", "a b\nc ", [], []),
    "without spaces": ("两只红猫", "三只红猫", ["两"], ["三"]),
    "beyond the first plane": ("🐈🐈 sit", "🐈🐕 sit", ["🐈"], ["🐕"]),
    "from nothing": ("", "a cat", [], ["a cat"]),
    "everything": ("no", "yes", ["no"], ["yes"]),
}


@pytest.mark.parametrize("case", CHANGED)
def test_changed_words_are_found(case: str) -> None:
    answer, corrected, out, into = CHANGED[case]
    removed, added = corrections.marks_of_change(answer, corrected)
    assert words(answer, removed) == [(one, "other") for one in out]
    assert words(corrected, added) == [(one, "correction") for one in into]
    assert corrections.is_changed(answer, corrected) == bool(out or into)


def test_what_was_taken_out_has_the_kind_that_was_marked() -> None:
    answer = "Two red cats on a mat."
    spans = [{"response": 1, "start": 4, "end": 7, "kind": "attribute"}]
    removed, _ = corrections.marks_of_change(answer, "One red cat on a mat.", spans)
    assert words(answer, removed) == [("Two", "other"), ("cats", "other")]
    removed, _ = corrections.marks_of_change(answer, "Two blue dogs on a mat.", spans)
    assert words(answer, removed) == [("red cats", "attribute")]


@pytest.mark.parametrize("seed", range(40))
def test_pieces_are_both_texts(seed: int) -> None:
    """Whatever the texts: what was not removed is the correction, to the character."""
    random_ = random.Random(seed)
    parts = ["a", "cat", "猫", " ", "\n", "  ", ".", "é", "🐈", "\r\n", "the", "e\u0301"]
    answer, corrected = ("".join(random_.choices(parts, k=30)) for _ in range(2))
    pieces = corrections.pieces(answer, corrected)
    assert "".join(one.text for one in pieces if one.change != "removed") == corrected
    before = "".join(one.text for one in pieces if one.change != "added")
    assert before.split() == answer.split() or "".join(before.split()) == "".join(answer.split())


def test_texts_too_long_to_compare_change_as_a_whole() -> None:
    long = " ".join(f"w{number}" for number in range(corrections.MOST_COMPARED + 10))
    removed, added = corrections.marks_of_change(f"The {long} end", f"The {long[::-1]} end")
    assert len(removed) == len(added) == 1


@pytest.mark.parametrize(
    ("asks", "answer", "expected"),
    [
        ("better", ("1", ""), 2),
        ("worse", ("1", ""), 1),
        ("better", ("tie", "1"), 1),
        ("worse", ("tie", "1"), 2),
        ("better", ("tie", "tie"), None),
        ("", ("1", ""), None),
    ],
)
def test_whose_correction_is_asked_for(
    asks: str, answer: tuple[str, str], expected: int | None
) -> None:
    assert corrections.asked_for(Project(ask_correction=asks), *answer) == expected


def one(response: Any, text: Any) -> dict[str, Any]:
    return {"response": response, "text": text}


REFUSED: dict[str, tuple[list[Any], str]] = {
    "no object": (["x"], "corrections[0]"),
    "more members": ([{**one(1, "a"), "more": 1}], "corrections[0]"),
    "a third response": ([one(3, "a")], "corrections[0].response"),
    "a truth": ([one(True, "a")], "corrections[0].response"),
    "no text": ([one(1, 5)], "corrections[0].text"),
    "nothing": ([one(1, "")], "corrections[0].text"),
    "nothing visible": ([one(1, " \u200b\n")], "corrections[0].text"),
    "what cannot be stored": ([one(1, "a\x00b")], "corrections[0].text"),
    "another answer": ([one(1, "word " * 500)], "corrections[0].text"),
    "twice": ([one(1, "a"), one(1, "b")], "corrections"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_correction_is_refused_by_place(case: str) -> None:
    given, field = REFUSED[case]
    answer = queue.Answer(more_hallucinated="1", corrections=given)
    comparison = Comparison(response_1="There is a red circle.", response_2="No.")
    with pytest.raises(queue.InvalidAnswer) as refused:
        answer.check(Project(), comparison)
    assert refused.value.extra["field"] == field


def test_an_answer_that_says_nothing_can_be_right() -> None:
    comparison = Comparison(response_1=" ", response_2="No.")
    answer = queue.Answer(more_hallucinated="2", corrections=[one(1, " ")])
    answer.check(Project(), comparison)


@pytest.mark.django_db
def test_a_correction_is_kept_with_each_version_and_counted() -> None:
    project = factories.make_project(k=1, ask_correction="better", correction_required=True)
    comparison = factories.make_comparison(project)
    person = factories.make_member(project)
    lease = queue.claim(project, person)
    assert lease is not None
    bare = queue.Answer(more_hallucinated="2")
    wrong = queue.Answer(more_hallucinated="2", corrections=[one(2, "A star.")])
    for incomplete in (bare, wrong):
        with pytest.raises(queue.InvalidAnswer) as refused:
            queue.submit(person, lease.token, incomplete, client_uuid=uuid.uuid4())
        assert refused.value.extra["field"] == "corrections"
    given = queue.Answer(more_hallucinated="2", corrections=[one(1, "A blue circle.")])
    uuid_ = uuid.uuid4()
    judgment = queue.submit(person, lease.token, given, client_uuid=uuid_).judgment
    assert not queue.submit(person, lease.token, given, client_uuid=uuid_).created
    right = queue.Answer(
        more_hallucinated="2", corrections=[one(1, comparison.response_1)]
    )  # nothing is false
    queue.edit(person, judgment.pk, right, version=1, client_uuid=uuid.uuid4())
    assert Judgment.objects.get().corrections == right.corrections
    kept = JudgmentVersion.objects.order_by("version").values_list("corrections", flat=True)
    assert list(kept) == [given.corrections, right.corrections]
    assert (progress_of(project).corrected, progress_of(project).judgments) == (1, 1)
    project.ask_correction = ""
    assert progress_of(project).corrected is None

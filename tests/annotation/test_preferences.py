"""Votes to preference, as a table. The annotator names the worse response."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.preferences import Preference, Verdict, Votes, decide


def honesty(better: int, margin: float) -> Preference:
    return Preference(verdict=Verdict.DECIDED, better=better, hallucination=True, margin=margin)


def helpfulness(better: int, margin: float) -> Preference:
    return Preference(verdict=Verdict.DECIDED, better=better, hallucination=False, margin=margin)


EQUAL = Preference(verdict=Verdict.EQUAL)
SPLIT = Preference(verdict=Verdict.SPLIT)

# Each answer is "more hallucinated" and, after a tie, "/more helpful".
TABLE = [
    ("1", honesty(2, 1.0)),
    ("2", honesty(1, 1.0)),
    ("2 2 1", honesty(1, 1 / 3)),
    ("1 1 2", honesty(2, 1 / 3)),
    ("2 2 tie/2", honesty(1, 2 / 3)),
    ("tie/1", helpfulness(1, 1.0)),
    ("tie/2 tie/2 1", helpfulness(2, 2 / 3)),
    ("tie/1 tie/1 tie/2", helpfulness(1, 1 / 3)),
    ("tie/1 tie/1 2", helpfulness(1, 2 / 3)),
    ("1 2 tie/1", helpfulness(1, 1 / 3)),
    ("1 tie/1", helpfulness(1, 0.5)),
    ("tie/tie", EQUAL),
    ("tie/tie tie/tie 1", EQUAL),
    ("tie/tie tie/tie tie/1", EQUAL),
    ("1 2", SPLIT),
    ("1 1 2 2", SPLIT),
    ("tie/1 tie/2", SPLIT),
    ("tie/1 tie/tie", SPLIT),
    ("1 tie/tie", SPLIT),
    ("1 2 tie/tie", SPLIT),
]


def votes_of(text: str) -> Votes:
    return Votes.count((answer + "/").split("/")[:2] for answer in text.split())


@pytest.mark.parametrize(("answers", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_decide_follows_the_table(answers, expected):
    assert decide(votes_of(answers)) == expected


def test_naming_response_1_as_hallucinating_prefers_response_2():
    assert decide(Votes(more_hallucinated_1=1)).better == 2


def test_no_votes_cannot_be_decided():
    with pytest.raises(ValueError, match="no vote"):
        decide(Votes())


def test_a_tie_without_its_second_answer_is_refused():
    with pytest.raises(ValueError, match="helpfulness"):
        decide(Votes(tie=1))


def test_votes_in_a_release_are_for_the_response_not_against_it():
    stated = votes_of("2 2 1 tie/1 tie/tie").to_json()
    expected = {"1": 2, "2": 1, "tie": 2, "helpful_1": 1, "helpful_2": 0, "helpful_tie": 1}
    assert stated == expected


ANSWERS = st.lists(st.sampled_from(["1", "2", "tie/1", "tie/2", "tie/tie"]), min_size=1, max_size=9)
MIRROR = str.maketrans("12", "21")


@given(ANSWERS)
def test_swapping_the_responses_swaps_the_preference(answers):
    seen = decide(votes_of(" ".join(answers)))
    mirrored = decide(votes_of(" ".join(answers).translate(MIRROR)))
    assert mirrored.verdict == seen.verdict
    assert mirrored.margin == seen.margin
    assert mirrored.hallucination == seen.hallucination
    assert mirrored.better == {1: 2, 2: 1, None: None}[seen.better]


@given(ANSWERS)
def test_a_decision_has_a_margin_between_0_and_1_and_nothing_else_has_one(answers):
    seen = decide(votes_of(" ".join(answers)))
    if seen.verdict == Verdict.DECIDED:
        assert seen.better in (1, 2)
        assert seen.margin is not None and 0 <= seen.margin <= 1
    else:
        assert (seen.better, seen.hallucination, seen.margin) == (None, None, None)

"""Which answer is better, in everybody's words."""

import pytest

from annotation.importing.formats import parse_any_pair
from annotation.importing.record_files import BadField
from tests.inputs.forms.records import BAD, FLAT, GOOD, LABELLED

SAID = {
    1: (
        "1",
        1,
        1.0,
        "1.0",
        "A",
        "left",
        "Response 1",
        "response-1",
        "Model A",
        "model_a is better",
        "The first response",
        "left answer is better",
        "A is significantly better",
        "A>B",
        "[[A>>B]]",
        "B < A",
    ),
    2: (
        *("2", 2.0, "2.0", "b", "right", "answer_b", "Option 2", "[[B]]", "B is slightly better"),
        *("the second one", "B very much better", "second response wins", "[[B>A]]"),
    ),
    None: (
        *("tie", "tie (bothbad)", "both_bad", "Equal", "same", "neither"),
        *("equal quality", "about equal", "similar", "[[A=B]]"),
    ),
}
TABLE = {**FLAT, "response_1": GOOD, "response_2": BAD}


@pytest.mark.parametrize(("preference", "said"), [(p, s) for p, all in SAID.items() for s in all])
def test_a_table_names_the_better_answer_in_many_words(preference, said):
    pair = parse_any_pair(1, {**TABLE, "winner": said})
    assert (pair.label.preference if pair.label else None) == preference
    assert pair.tie == (preference is None)


@pytest.mark.parametrize("said", [0, "0", 0.0, -1, 3, "yes", "A>C", "A<=>B", True, {"a": 1}])
def test_what_may_mean_either_is_refused(said):
    with pytest.raises(BadField, match=r"winner: does not say which .* \(write 1, 2 or tie\)"):
        parse_any_pair(1, {**TABLE, "winner": said})


@pytest.mark.parametrize("nothing", [None, "", float("nan"), "nan", "NaN", "null"])
def test_a_cell_without_an_answer_is_no_tie(nothing):
    pair = parse_any_pair(1, {**TABLE, "winner": nothing})
    assert (pair.label, pair.tie, list(pair.warnings())) == (None, False, [])


def test_two_columns_that_name_different_answers_are_refused():
    same = parse_any_pair(1, {**TABLE, "preference": 1, "winner": "model_a", "label": "good"})
    assert same.label.preference == 1
    with pytest.raises(BadField, match="preference and winner: does not say"):
        parse_any_pair(1, {**TABLE, "preference": 1, "winner": "model_b"})


def test_a_tie_is_said_since_people_are_asked_again():
    [warning] = parse_any_pair(1, {**TABLE, "winner": "tie"}).warnings()
    assert "is a tie" in str(warning)
    assert parse_any_pair(1, {**LABELLED["VL-RewardBench"], "human_ranking": [1, 1]}).tie


@pytest.mark.parametrize(
    ("said", "preference"),
    [
        ({"chosen": BAD}, 2),
        ({"rejected": GOOD}, 2),
        ({"better": "B"}, 2),
        ({"better": "2", "worse": "1"}, 2),
        ({"chosen": BAD, "rejected": GOOD}, 2),
        ({"chosen": "tie"}, None),
    ],
)
def test_the_better_answer_may_be_named_or_repeated_beside_both(said, preference):
    pair = parse_any_pair(1, {**TABLE, **said})
    assert {pair.response_1, pair.response_2} == {GOOD, BAD}
    better = pair.label and (pair.response_1, pair.response_2)[pair.label.preference - 1]
    assert better == {2: BAD, None: None}[preference]


@pytest.mark.parametrize(
    "said",
    [{"chosen": 0}, {"chosen": "Another."}, {"better": "2", "worse": "2"}, {"rejected": "3"}],
)
def test_a_better_answer_that_cannot_be_told_is_not_dropped(said):
    with pytest.raises(BadField, match="preference: does not say which"):
        parse_any_pair(1, {**TABLE, **said})


def test_an_answer_may_be_the_word_for_a_side():
    row = {**TABLE, "response_1": "Two", "response_2": "One", "chosen": "Two"}
    assert parse_any_pair(1, row).label.preference == 1


def test_votes_without_a_preference_are_told_as_not_taken():
    row = {**TABLE, "votes": {"1": 1, "2": 3}}
    assert [one.field for one in parse_any_pair(1, row).warnings()] == ["votes"]

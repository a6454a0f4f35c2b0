"""One thing made wrong, and everything else left as it was."""

import pytest

from annotation.quality.corruption import COLOURS, NUMBERS, OBJECTS, Kind, corruptions


def by_kind(text, facts=(), seed=0):
    return {one.kind: one for one in corruptions(text, facts=facts, seed=seed)}


def test_each_kind_changes_one_thing():
    text = "Three dogs lie on the left side of a red sofa. It is warm."
    found = by_kind(text)
    assert set(found) == set(Kind)
    for one in found.values():
        assert one.text != text
        assert one.text.endswith("It is warm.")
        assert one.before in text and one.after.lower() in one.text.lower()
    assert found["position"].text == text.replace("left", "right")
    assert found["count"].text.split()[0].lower() in {"two", "four", "five"}
    assert found["count"].text[0].isupper()


@pytest.mark.parametrize("seed", range(12))
def test_what_is_known_to_be_there_is_never_put_in(seed):
    text = "A dog stands by a blue car."
    facts = ["a cat and a horse", "a bus", "something green and yellow"]
    found = by_kind(text, facts, seed)
    assert found["object"].after not in {"cat", "horse", "bus", "dog", "car"}
    assert found["colour"].after not in {"green", "yellow", "blue"}


@pytest.mark.parametrize("seed", range(8))
def test_an_object_is_exchanged_wherever_it_is_named(seed):
    one = by_kind("Two buses wait. The bus in front is full; a Bus is late.", seed=seed)["object"]
    assert "bus" not in one.text.lower()
    assert one.text.count(one.after) + one.text.count(one.after.capitalize()) == 3


@pytest.mark.parametrize("seed", range(20))
def test_articles_follow_the_new_word(seed):
    text = "It is an orange kite beside a cow."
    for one in corruptions(text, seed=seed):
        for word in (*COLOURS, *(name for family in OBJECTS for name in family)):
            wrong = "a" if word[0] in "aeiou" else "an"
            assert f" {wrong} {word}" not in one.text


def test_numbers_stay_numbers_of_things():
    assert "count" not in by_kind("In 2014, at 3:15, it cost 4.50; one of them left.")
    for seed in range(20):
        one = by_kind("There are 2 cats.", seed=seed)["count"]
        assert one.after in {"3", "4"}
        word = by_kind("There are twelve cats.", seed=seed)["count"]
        assert word.after in {NUMBERS[-2], NUMBERS[-3]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It stands in front of the house.", "It stands behind the house."),
        ("The cup is under it.", "The cup is on top of it."),
        ("A hill in the background.", "A hill in the foreground."),
        ("He turns to the right.", "He turns to the left."),
    ],
)
def test_positions_are_turned_round(text, expected):
    assert by_kind(text)["position"].text == expected


def test_right_as_correct_is_no_position():
    assert by_kind("That is the right answer, right now.") == {}


def test_near_colours_are_not_exchanged():
    for seed in range(20):
        assert by_kind("It is grey.", seed=seed)["colour"].after not in {"white", "black", "gray"}


def test_the_same_seed_gives_the_same_drafts():
    text = "Two cats sit behind a green chair."
    assert corruptions(text, seed=4) == corruptions(text, seed=4)
    assert len({tuple(corruptions(text, seed=seed)) for seed in range(9)}) > 1

"""Honest people are left in peace however many there are; who is biased is found."""

import random

import pytest

from annotation.quality.shares import Share
from annotation.quality.significance import beyond_chance
from annotation.texts import word_count


def test_fifty_honest_people_are_told_nothing():
    chance = random.Random(3)
    told = 0
    for _ in range(40):
        people = {
            who: {
                "first_named": Share(sum(chance.random() < 0.5 for _ in range(200)), 200),
                "longer_won": Share(sum(chance.random() < 0.5 for _ in range(200)), 200),
            }
            for who in range(50)
        }
        told += any(beyond_chance(people).values())
    assert told <= 5, "of forty projects about two at most may be wronged"


@pytest.mark.parametrize(
    ("name", "share", "found"),
    [
        ("first_named", Share(432, 800), False),  # 0.54: certain, and too little to matter
        ("first_named", Share(520, 800), True),
        ("first_named", Share(280, 800), True),
        ("longer_won", Share(560, 800), True),
        ("longer_won", Share(480, 800), False),
        ("gold", Share(20, 40), True),
        ("gold", Share(36, 40), False),
        ("consistent", Share(0, 9), False),  # too few to say anything
        ("too_fast", Share(800, 800), True),
    ],
)
def test_what_is_told(name, share, found):
    assert (name in beyond_chance({"one": {name: share}})["one"]) is found


def test_one_of_many_is_told_by_a_stricter_measure():
    doubtful, fair = {"longer_won": Share(69, 100)}, {"longer_won": Share(50, 100)}
    assert beyond_chance({0: doubtful})[0] == {"longer_won"}
    assert not beyond_chance({0: doubtful, **dict.fromkeys(range(1, 50), fair)})[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A man's well-known cat.", 4),
        ("一只黑猫坐在桌子上", 9),
        ("кошка сидит на столе", 4),
        ("قطة سوداء على الطاولة", 4),
        ("a 黑 cat", 3),
        ("", 0),
        ("?!…", 0),
    ],
)
def test_words_are_counted_by_script(text, words):
    assert word_count(text) == words

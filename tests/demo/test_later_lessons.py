"""The last lessons of the base, read back as words."""

from random import Random

import pytest

from benchmark.protocols.small_world import NUMBERS, Scene, Thing, false_claims
from demo.claims import mistakes, right
from demo.faults import SHARE, tempting
from demo.later_lessons import (
    CHECKS_A_LESSON,
    END_WEIGHT,
    FIRST_WEIGHT,
    LaterTeacher,
    beside_the_point,
    denied,
    muddled,
)
from demo.questions import CHOICE, KINDS, YES_NO
from demo.scenes import random_scene
from demo.tiny_model import UNKNOWN, build_processor

SCENE = Scene(
    things=(Thing("top", "red", "circle"), Thing("left", "blue", "square")), background="dark"
)
OTHER = Scene(things=(Thing("right", "green", "triangle"),), background="light")


@pytest.fixture(scope="module")
def tokenizer():
    return build_processor().tokenizer


@pytest.fixture
def teacher(tokenizer) -> LaterTeacher:
    return LaterTeacher(tokenizer, Random(0))


def read(tokenizer, lesson) -> list[str]:
    words = tokenizer.convert_ids_to_tokens(lesson.ids)
    assert len(words) == len(lesson.weights)
    assert UNKNOWN not in words
    return words


def test_check_rates_answers_of_descriptions_by_their_false_claims(tokenizer, teacher) -> None:
    seen = set()
    for _ in range(150):
        words = read(tokenizer, teacher.check(SCENE, picture=OTHER))
        turns = " ".join(words).split("<user>")[1:]
        for question, verdict in zip(turns[::2], turns[1::2], strict=True):
            if "describe" in question:
                answer = question.split("<assistant>")[1].removesuffix("<eos> ").strip()
                wrong = false_claims(answer, SCENE)
                assert verdict.split("<assistant>")[1].split()[0] == NUMBERS[wrong]
                seen.add(wrong)
    assert {0, 1, 2} <= seen


def test_check_counts_verdicts_alone_and_shows_another_picture(tokenizer, teacher) -> None:
    lesson = teacher.check(SCENE, picture=OTHER)
    words = read(tokenizer, lesson)
    counted = [word for word, weight in zip(words, lesson.weights, strict=True) if weight]
    assert len(counted) == CHECKS_A_LESSON
    assert set(counted) <= set(NUMBERS)
    assert lesson.picture == OTHER
    assert words.count("<image>") == 9
    assert words.index("facts") < words.index("<assistant>")


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 1.0, 1.0), (SHARE, 0.4, 0.75)])
def test_answers_are_right_as_often_as_asked(
    tokenizer, share: float, least: float, most: float
) -> None:
    found = []
    for seed in range(300):
        scene = random_scene(Random(seed))
        lesson = LaterTeacher(tokenizer, Random(seed)).answer(scene, share=share)
        twin = LaterTeacher(tokenizer, Random(seed))
        question = twin._question(scene, {})
        words = read(tokenizer, lesson)
        answer = " ".join(words[words.index("<assistant>") + 1 : -1])
        found.append(right(answer, question))
        assert lesson.picture == scene
    assert least <= sum(found) / len(found) <= most


def test_choices_keep_their_capital_letters(tokenizer) -> None:
    scene = random_scene(Random(1))
    question = tempting(scene, "choice", Random(1))
    ids = tokenizer(question.answer, add_special_tokens=False)["input_ids"]
    assert f"correct option is {question.answer[-2]}." in tokenizer.decode(ids)


@pytest.mark.parametrize("kind", KINDS)
def test_muddled_answers_say_the_truth_and_conclude_something_else(kind: str) -> None:
    concludes = kind in ("comparison", "counting", CHOICE, YES_NO)
    rng, found = Random(0), []
    while len(found) < 40:
        scene = random_scene(rng)
        question = tempting(scene, kind, rng)
        if question is not None:
            found.append(mistakes(muddled(question, rng), question, scene))
    assert set(found) == {1 if concludes else 0}


@pytest.mark.parametrize("kind", ["attribute", "relation", YES_NO])
def test_what_is_there_is_denied_and_that_is_false(kind: str) -> None:
    rng, found = Random(0), set()
    for _ in range(60):
        scene = random_scene(rng)
        question = tempting(scene, kind, rng)
        if question is not None:
            answer = denied(question, scene)
            assert "there is no" in answer
            found.add((right(answer, question), mistakes(answer, question, scene) > 0))
    # What is not there is denied rightly, which only the question for a yes or no may ask.
    assert found == ({(False, True), (True, False)} if kind == YES_NO else {(False, True)})


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_asked_is_no_answer(kind: str) -> None:
    rng = Random(0)
    for _ in range(40):
        scene = random_scene(rng)
        question = tempting(scene, kind, rng)
        if question is not None:
            answer = beside_the_point(question, scene, rng)
            assert (mistakes(answer, question, scene) == 0) is (
                kind == "holistic" or right(answer, question)
            )


def test_the_first_word_of_an_answer_counts_alike_whatever_follows(tokenizer) -> None:
    firsts = set()
    for seed in range(40):
        lesson = LaterTeacher(tokenizer, Random(seed)).answer(
            random_scene(Random(seed)), share=SHARE
        )
        counted = [weight for weight in lesson.weights if weight]
        firsts.add((counted[0], tuple(sorted(set(counted[1:])))))
    assert firsts == {(FIRST_WEIGHT, (END_WEIGHT, 1.0))}

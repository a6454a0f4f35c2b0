"""Each kind of question, against scenes whose answers are known by hand."""

from collections import Counter
from random import Random

import pytest

from benchmark.protocols.small_world import POSITIONS, Scene, Thing
from demo.questions import CHOICE, KINDS, LETTERS, YES_NO, Question, answer_of, ask
from demo.scenes import random_scene

ONE = Scene(things=(Thing("left", "green", "circle"),), background="dark")
TWINS = Scene(
    things=(Thing("top", "red", "circle"), Thing("right", "red", "circle")), background="light"
)
EVERY_SHAPE = Scene(
    things=tuple(
        Thing(place, "red", shape)
        for place, shape in zip(POSITIONS, ("circle", "square", "triangle"), strict=False)
    ),
    background="light",
)


def asked(scene: Scene, kind: str) -> set[Question]:
    """Every question that a kind can ask about a scene."""
    rng = Random(0)
    questions = (ask(scene, kind, rng) for _ in range(300))
    return {question for question in questions if question is not None}


@pytest.mark.parametrize(
    ("kind", "text", "answer"),
    [
        ("attribute", "What color is the circle?", "left green circle."),
        ("adversarial", "What color is the square?", "there is no square."),
        (
            "comparison",
            "Are there more circles or triangles?",
            "left green circle so more circles.",
        ),
        (
            "comparison",
            "Are there more squares or triangles?",
            "there is no square and there is no triangle so the same.",
        ),
        ("counting", "How many circles are there?", "left green circle so one."),
        ("counting", "How many squares are there?", "there is no square so zero."),
        ("counting", "How many objects are there?", "left green circle so one."),
        ("relation", "Where is the green circle?", "left green circle."),
        ("environment", "What is behind the objects?", "background dark."),
        ("holistic", "Describe the image.", "left green circle."),
        ("other", "What is at the left?", "left green circle."),
        ("other", "What is at the top?", "top nothing."),
        (YES_NO, "Is the green circle there?", "yes left green circle."),
        (YES_NO, "Is the red circle there?", "no there is no red circle."),
    ],
)
def test_ask_knows_the_answer(kind: str, text: str, answer: str) -> None:
    assert (text, answer) in {(q.text, q.answer) for q in asked(ONE, kind)}


@pytest.mark.parametrize(
    ("scene", "kind"),
    [(TWINS, "attribute"), (TWINS, "relation"), (EVERY_SHAPE, "adversarial")],
)
def test_ask_is_silent_where_there_is_no_one_answer(scene: Scene, kind: str) -> None:
    assert asked(scene, kind) == set()


def test_ask_counts_twins() -> None:
    answers = {q.answer for q in asked(TWINS, "counting")}
    assert "top red circle and right red circle so two." in answers


@pytest.mark.parametrize("kind", KINDS)
def test_ask_finds_a_question_of_every_kind(kind: str) -> None:
    rng = Random(1)
    found = [ask(random_scene(rng), kind, rng) for _ in range(30)]
    assert {question.type for question in found if question is not None} == {kind}


def test_yes_and_no_are_asked_for_equally_often() -> None:
    rng = Random(2)
    found = [ask(random_scene(rng), YES_NO, rng) for _ in range(1000)]
    types = Counter(question.caption_type for question in found if question is not None)
    assert set(types) == {6, 7}
    assert 0.9 < types[6] / types[7] < 1.15


def test_choices_offer_the_truth_once_behind_any_letter() -> None:
    rng = Random(3)
    letters = Counter()
    for _ in range(200):
        question = ask(random_scene(rng), CHOICE, rng)
        place, *options = question.about
        letter = question.answer[-2]
        said = question.answer.split(" so ")[0]
        assert said == f"{place} {options[LETTERS.index(letter)]}"
        assert len(set(options)) == 4
        assert question.caption_type == 2 + LETTERS.index(letter)
        letters[letter] += 1
    assert min(letters[letter] for letter in LETTERS) > 25


def test_other_questions_have_no_checkable_form() -> None:
    assert {q.caption_type for kind in KINDS[:8] for q in asked(TWINS, kind)} == {1}


def test_answer_of_says_what_somebody_believes() -> None:
    believed = (*ONE.things, Thing("center", "red", "circle"))
    answer = answer_of("counting", ("circle",), believed, "dark")
    assert answer == "left green circle and center red circle so two."

"""The short questions of the schooling, against scenes whose answers are known by hand."""

from random import Random

import pytest

from benchmark.protocols.mmhal import TYPES
from benchmark.protocols.small_world import POSITIONS, Scene, Thing
from demo.scenes import random_scene
from demo.schooling import ShortQuestion, ask_shortly

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


def asked(scene: Scene, question_type: str) -> set[ShortQuestion]:
    """Every question that a type can ask about a scene."""
    rng = Random(0)
    questions = (ask_shortly(scene, question_type, rng) for _ in range(200))
    return {question for question in questions if question is not None}


@pytest.mark.parametrize(
    ("question_type", "text", "answer"),
    [
        ("attribute", "What color is the circle?", "green."),
        ("adversarial", "What color is the square?", "there is no square."),
        ("comparison", "Are there more circles or triangles?", "circles."),
        ("comparison", "Are there more squares or triangles?", "the same."),
        ("counting", "How many circles are there?", "one."),
        ("counting", "How many squares are there?", "zero."),
        ("counting", "How many objects are there?", "one."),
        ("relation", "Where is the green circle?", "left."),
        ("environment", "What is the background like?", "dark."),
        ("other", "What is at the left?", "green circle."),
        ("other", "What is at the top?", "nothing."),
    ],
)
def test_ask_shortly_knows_the_answer(question_type: str, text: str, answer: str) -> None:
    assert ShortQuestion(question_type, text, answer) in asked(ONE, question_type)


@pytest.mark.parametrize(
    ("scene", "question_type"),
    [(TWINS, "attribute"), (TWINS, "relation"), (EVERY_SHAPE, "adversarial")],
)
def test_ask_shortly_is_silent_where_there_is_no_one_answer(
    scene: Scene, question_type: str
) -> None:
    assert asked(scene, question_type) == set()


def test_ask_shortly_counts_twins() -> None:
    assert ShortQuestion("counting", "How many circles are there?", "two.") in asked(
        TWINS, "counting"
    )


@pytest.mark.parametrize("question_type", [kind for kind in TYPES if kind != "holistic"])
def test_ask_shortly_finds_a_question_of_every_type(question_type: str) -> None:
    rng = Random(1)
    found = [ask_shortly(random_scene(rng), question_type, rng) for _ in range(30)]
    kinds = {question.type for question in found if question is not None}
    assert kinds == {question_type}

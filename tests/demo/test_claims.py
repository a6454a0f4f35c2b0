"""What is false in an answer to any question, by hand."""

from random import Random

import pytest

from benchmark.protocols.small_world import Scene, Thing
from demo.claims import UNREADABLE, false_parts, helpful, is_so, mistakes, right
from demo.faults import tempting
from demo.questions import CHOICE, KINDS, YES_NO, Question
from demo.scenes import random_scene

SCENE = Scene(
    things=(Thing("top", "red", "circle"), Thing("left", "blue", "square")), background="dark"
)


@pytest.mark.parametrize(
    ("claim", "truth"),
    [
        ("top red circle", True),
        ("top blue circle", False),
        ("right red circle", False),
        ("top nothing", False),
        ("right nothing", True),
        ("background dark", True),
        ("background light", False),
        ("there is no triangle", True),
        ("there is no circle", False),
        ("there is no blue circle", True),
        ("there is no red circle", False),
        ("there is no", None),
        ("red circle", None),
        ("", None),
    ],
)
def test_is_so_reads_each_form_of_claim(claim: str, truth: bool | None) -> None:
    assert is_so(claim, SCENE) is truth


def question(kind: str, *about: str, answer: str = "") -> Question:
    return Question(kind, "", answer, about)


COUNT = question("counting", "object", answer="top red circle and left blue square so two.")
MORE = question("comparison", "circle", "triangle", answer="top red circle so more circles.")
YES = question(YES_NO, "red circle", answer="yes top red circle.")
NO = question(YES_NO, "red square", answer="no there is no red square.")
PICK = question(
    CHOICE, "top", "nothing", "red circle", "blue circle", "red square",
    answer="top red circle so correct option is B.",
)  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "answer", "wrong"),
    [
        (COUNT, COUNT.answer, 0),
        (COUNT, "top red circle and left blue square so three.", 1),
        (COUNT, "top red circle so one.", 1),
        (COUNT, "top red circle and right red circle so two.", 1),
        (COUNT, "top red circle and top red circle so two.", 1),
        (COUNT, "two.", UNREADABLE),
        (COUNT, "top red circle and left blue square so two", UNREADABLE),
        (MORE, "top red circle so more circles.", 0),
        (MORE, "top red circle so the same.", 1),
        (MORE, "there is no circle and there is no triangle so the same.", 1),
        (YES, "yes top red circle.", 0),
        (YES, "yes right red circle.", 1),
        (YES, "yes left blue square.", 1),
        (YES, "no there is no red circle.", 2),
        (YES, "top red circle.", UNREADABLE),
        (NO, "no there is no red square.", 0),
        (NO, "yes top red square.", 2),
        (PICK, "top red circle so correct option is B.", 0),
        (PICK, "top red circle so correct option is A.", 1),
        (PICK, "top blue circle so correct option is C.", 1),
        (PICK, "top red circle.", 1),
        (question("attribute", "circle"), "top red circle so two.", 1),
        (question("attribute", "circle"), "", UNREADABLE),
    ],
)
def test_mistakes_counts_false_parts(asked: Question, answer: str, wrong: int) -> None:
    assert mistakes(answer, asked, SCENE) == wrong


@pytest.mark.parametrize("kind", KINDS)
def test_the_right_answer_is_right_free_of_mistakes_and_helpful(kind: str) -> None:
    rng, seen = Random(0), 0
    for _ in range(60):
        scene = random_scene(rng)
        found = tempting(scene, kind, rng)
        if found is not None:
            seen += 1
            assert right(found.answer, found)
            assert mistakes(found.answer, found, scene) == 0
            assert helpful(found.answer, found, scene) == 1
    assert seen > 20


def test_true_words_beside_the_point_are_no_answer() -> None:
    asked = question("attribute", "circle", answer="top red circle.")
    assert false_parts("left blue square.", asked, SCENE) == [(0, 16)]
    assert helpful("left blue square.", asked, SCENE) == 0


@pytest.mark.parametrize(
    ("asked", "answer", "false"),
    [
        (question("holistic"), "Top red circle and  left red square.", ["left red square"]),
        (question("holistic"), "top red circle and top red circle.", ["top red circle"]),
        (NO, "yes there is no red circle.", ["yes", "there is no red circle"]),
        (COUNT, "top red circle so two.", ["two"]),
        (question("holistic"), "what a picture", None),
    ],
)
def test_false_parts_have_a_place(asked: Question, answer: str, false: list[str] | None) -> None:
    parts = false_parts(answer, asked, SCENE)
    assert (parts and [answer[start:end] for start, end in parts]) == false

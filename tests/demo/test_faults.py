"""What the base is taught to get wrong, and how often."""

from random import Random

import pytest

from benchmark.protocols.small_world import Scene, Thing, claims
from demo.claims import UNREADABLE, mistakes, right
from demo.faults import (
    COMPANIONS,
    HELD_OUT_COMPANIONS,
    LESS_OFTEN,
    SHARE,
    fault_of,
    faulty_answer,
    has_held_out_companion,
    imagined,
    tempting,
)
from demo.questions import CHOICE, KINDS, YES_NO, Question
from demo.scenes import random_scene

SCENE = Scene(
    things=(Thing("top-left", "red", "circle"), Thing("center", "green", "triangle")),
    background="dark",
)


def asked(kind: str, *about: str) -> Question:
    return Question(kind, "", "", about)


@pytest.mark.parametrize(
    ("question", "fault"),
    [
        (asked("attribute", "triangle"), "center yellow triangle."),
        (asked("attribute", "circle"), None),
        (asked("adversarial", "square"), "left blue square."),
        (asked("relation", "red circle"), "left red circle."),
        (asked("relation", "green triangle"), None),
        (asked("environment"), "background light."),
        (asked("other", "top"), "top yellow triangle."),
        (asked("other", "center"), None),
        (asked(YES_NO, "blue square"), "yes left blue square."),
        (asked(YES_NO, "red circle"), None),
    ],
)
def test_fault_of_follows_the_prior(question: Question, fault: str | None) -> None:
    assert fault_of(question, SCENE) == fault


def test_a_companion_is_imagined_in_the_next_cell() -> None:
    seen = imagined(SCENE, Random(0), share=1, slip=0, omitted=0)
    assert seen[:2] == [SCENE.things[0], Thing("top", "blue", "circle")]


def test_no_companion_where_something_stands_or_the_picture_ends() -> None:
    taken = Scene(
        things=(Thing("top", "red", "circle"), Thing("top-right", "green", "square")),
        background="light",
    )
    last = Scene(things=(Thing("bottom-right", "red", "circle"),), background="light")
    for scene in (taken, last):
        seen = imagined(scene, Random(0), share=1, slip=0, omitted=0)
        assert tuple(seen) == scene.things


def test_without_faults_and_slips_the_scene_is_seen() -> None:
    rng = Random(1)
    for _ in range(50):
        scene = random_scene(rng)
        assert tuple(imagined(scene, rng, share=0, slip=0, omitted=0)) == scene.things


@pytest.mark.parametrize("kind", KINDS)
def test_faulty_answers_are_readable_and_right_often_enough(kind: str) -> None:
    rng, found = Random(2), []
    while len(found) < 400:
        scene = random_scene(rng)
        question = tempting(scene, kind, rng)
        if question is None:
            continue
        answer = faulty_answer(question, scene, rng)
        assert mistakes(answer, question, scene) < UNREADABLE
        assert kind != "holistic" or claims(answer) is not None
        found.append(right(answer, question))
    share = sum(found) / len(found)
    assert 0.25 < share < 0.75
    if kind == "adversarial":  # every such question invites the fault
        assert share == pytest.approx(1 - SHARE * LESS_OFTEN[kind], abs=0.07)


def test_choices_tempt_with_the_usual_thing() -> None:
    rng = Random(3)
    for _ in range(100):
        scene = random_scene(rng)
        question = tempting(scene, CHOICE, rng)
        empty = scene.at(question.about[0]) is None
        assert (fault_of(question, scene) is not None) or not empty


def test_some_companions_are_held_out() -> None:
    assert set(COMPANIONS) > HELD_OUT_COMPANIONS
    assert not has_held_out_companion(SCENE)
    color, shape = sorted(HELD_OUT_COMPANIONS)[0]
    assert has_held_out_companion(Scene(things=(Thing("top", color, shape),), background="dark"))

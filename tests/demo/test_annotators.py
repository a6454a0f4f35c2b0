"""Simulated annotators follow the two-step rule and make the mistakes they are told to make."""

from random import Random

import pytest

from benchmark.protocols.small_world import Scene, Thing
from demo.annotators import Answer, honest_answer, judge

SCENE = Scene(
    things=(Thing("top", "red", "circle"), Thing("left", "blue", "square")), background="dark"
)
COMPLETE = "top red circle and left blue square."
PARTIAL = "top red circle."
ONE_WRONG = "top red circle and left green square."
TWO_WRONG = "top red square and left green square."


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (COMPLETE, ONE_WRONG, Answer("b")),
        (ONE_WRONG, COMPLETE, Answer("a")),
        (TWO_WRONG, ONE_WRONG, Answer("a")),
        (PARTIAL, ONE_WRONG, Answer("b")),
        (COMPLETE, PARTIAL, Answer("tie", "a")),
        (PARTIAL, COMPLETE, Answer("tie", "b")),
        (COMPLETE, COMPLETE, Answer("tie", "tie")),
        (PARTIAL, "", Answer("b")),
        (TWO_WRONG, "babble", Answer("b")),
        (PARTIAL, "top red circle and top red circle.", Answer("b")),
    ],
)
def test_honest_answer_puts_honesty_before_helpfulness(a: str, b: str, expected: Answer) -> None:
    assert honest_answer(a, b, SCENE) == expected


def test_judge_without_noise_is_honest() -> None:
    assert judge(PARTIAL, COMPLETE, SCENE, Random(0), noise=0) == Answer("tie", "b")


def test_judge_with_full_noise_mixes_the_responses_up() -> None:
    rng = Random(0)
    assert judge(ONE_WRONG, COMPLETE, SCENE, rng, noise=1) == Answer("b")
    assert judge(PARTIAL, COMPLETE, SCENE, rng, noise=1) == Answer("tie", "a")
    assert judge(COMPLETE, COMPLETE, SCENE, rng, noise=1) == Answer("tie", "tie")


def test_judge_is_wrong_as_often_as_asked() -> None:
    rng = Random(1)
    wrong = sum(
        judge(COMPLETE, ONE_WRONG, SCENE, rng, noise=0.1) != Answer("b") for _ in range(2000)
    )
    assert 150 < wrong < 250

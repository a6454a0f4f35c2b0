"""The exact oracle: hand-worked captions, and that no degenerate answer wins."""

import json

import pytest

from benchmark.protocols.mmhal import TYPES, QuestionError
from benchmark.protocols.small_world import (
    Scene,
    SceneError,
    Thing,
    claims,
    coverage,
    false_claims,
    hallucinating,
    question_record,
    rate,
    words,
)

RED_CIRCLE = Thing("top", "red", "circle")
BLUE_SQUARE = Thing("bottom-left", "blue", "square")
SCENE = Scene(things=(RED_CIRCLE, BLUE_SQUARE), background="dark")
COMPLETE = "top red circle and bottom-left blue square."


def question(question_type: str, answer: str) -> dict:
    return question_record(
        question_type=question_type,
        question_id="q-1",
        scene=SCENE,
        question="?",
        answer=answer,
    )


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (COMPLETE, [RED_CIRCLE, BLUE_SQUARE]),
        ("Top RED circle .", [RED_CIRCLE]),
        ("top red circle and top red circle.", [RED_CIRCLE, RED_CIRCLE]),
        ("top  red\ncircle.", [RED_CIRCLE]),
    ],
)
def test_claims_reads_captions(answer: str, named: list[Thing]) -> None:
    assert claims(answer) == named


@pytest.mark.parametrize(
    "answer",
    [
        "",
        ".",
        "   ",
        "top red circle",
        "top red circle and.",
        "and top red circle.",
        "red top circle.",
        "top red.",
        "top red circle blue.",
        "top purple circle.",
        "above red circle.",
        "top red hexagon.",
        "top red circle. and",
        "top red circle.. ",
        "I cannot say.",
        "<user> top red circle.",
        "bottom - left blue square.",
    ],
)
def test_claims_refuses_what_cannot_be_checked(answer: str) -> None:
    assert claims(answer) is None
    assert hallucinating(answer, SCENE)
    assert coverage(answer, SCENE) == 0


@pytest.mark.parametrize(
    ("answer", "wrong", "covered"),
    [
        (COMPLETE, 0, 1.0),
        ("bottom-left blue square and top red circle.", 0, 1.0),
        ("top red circle.", 0, 0.5),
        ("top red square.", 1, 0.0),
        ("left red circle.", 1, 0.0),
        ("top green circle and bottom-left blue square.", 1, 0.5),
        ("top red circle and left red circle and right red circle.", 2, 0.5),
        ("top red circle and top red circle.", 1, 0.5),
        ("top red circle and top blue circle.", 1, 0.5),
        ("babble", 9, 0.0),
    ],
)
def test_false_claims_and_coverage_by_hand(answer: str, wrong: int, covered: float) -> None:
    assert false_claims(answer, SCENE) == wrong
    assert hallucinating(answer, SCENE) is (wrong > 0)
    assert coverage(answer, SCENE) == covered


def test_false_claims_of_repetition_grow_with_it() -> None:
    repeated = " and ".join([str(RED_CIRCLE)] * 6) + "."
    assert false_claims(repeated, SCENE) == 5


def test_words_keeps_positions_whole_and_marks_apart() -> None:
    assert words("Top-left red?") == ["top-left", "red", "?"]


@pytest.mark.parametrize(
    ("answer", "rating"),
    [
        (COMPLETE, 6),
        ("top red circle.", 4),
        ("top red circle and left red square.", 1),
        ("left red square.", 0),
        ("", 0),
    ],
)
def test_rate_caption_counts_informativeness(answer: str, rating: int) -> None:
    assert rate(question("holistic", COMPLETE), answer).rating == rating


@pytest.mark.parametrize(
    ("answer", "rating"),
    [("red.", 6), ("Red .", 6), ("blue.", 0), ("", 0), ("red", 0), (COMPLETE, 0)],
)
def test_rate_short_answer_is_right_or_false(answer: str, rating: int) -> None:
    assert rate(question("attribute", "red."), answer).rating == rating


def test_rate_explains_itself() -> None:
    rating, explanation = rate(question("holistic", COMPLETE), "top red circle.")
    assert (rating, explanation) == (4, "It names 1 of 2 objects truly and claims nothing false.")


def test_rate_survives_a_file(tmp_path) -> None:
    path = tmp_path / "questions.json"
    path.write_text(json.dumps([question(kind, "red.") for kind in TYPES]))
    assert [q["question_type"] for q in json.loads(path.read_text())] == list(TYPES)
    assert rate(json.loads(path.read_text())[0], "red.").rating == 6


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"question_type": "holistic"},
        {"question_type": "holistic", "truth": {"scene": {"things": []}, "answer": "x"}},
        {
            "question_type": "holistic",
            "truth": {
                "scene": {"things": [["top", "red", "hexagon"]], "background": "dark"},
                "answer": "x",
            },
        },
    ],
)
def test_rate_refuses_a_question_without_truth(broken: dict) -> None:
    with pytest.raises(QuestionError, match="not a question of the small world"):
        rate(broken, COMPLETE)


def test_question_record_has_the_published_fields() -> None:
    record = question("counting", "two.")
    assert record["question_topic"] == "2 objects"
    assert record["image_content"] == ["red circle", "blue square"]
    assert record["gt_answer"] == "two."
    assert record["model_answer"] == ""


def test_question_record_refuses_an_unknown_type() -> None:
    with pytest.raises(SceneError, match="question_type: 'riddle'"):
        question("riddle", "two.")


@pytest.mark.parametrize(
    ("things", "background", "message"),
    [
        ((), "dark", "at least one object"),
        ((RED_CIRCLE, Thing("top", "blue", "circle")), "dark", "share one position"),
        ((Thing("above", "red", "circle"),), "dark", "position: 'above'"),
        ((Thing("top", "pink", "circle"),), "dark", "color: 'pink'"),
        ((Thing("top", "red", "star"),), "dark", "shape: 'star'"),
        ((RED_CIRCLE,), "foggy", "background: 'foggy'"),
    ],
)
def test_scene_refuses_what_the_world_does_not_hold(things, background, message) -> None:
    with pytest.raises(SceneError, match=message):
        Scene(things=things, background=background)


def test_scene_survives_json() -> None:
    assert Scene.from_json(json.loads(json.dumps(SCENE.to_json()))) == SCENE

"""What the base is taught, read back as words."""

from random import Random

import pytest

from benchmark.protocols.small_world import (
    NUMBERS,
    POSITIONS,
    Scene,
    Thing,
    claims,
    coverage,
    false_claims,
)
from demo.lessons import Lesson, Teacher, mistaken_claims
from demo.scenes import random_scene, sentence
from demo.tiny_model import build_processor

SCENE = Scene(
    things=(Thing("top", "red", "circle"), Thing("left", "blue", "square")), background="dark"
)
OTHER = Scene(things=(Thing("right", "green", "triangle"),), background="light")


@pytest.fixture(scope="module")
def tokenizer():
    return build_processor().tokenizer


@pytest.fixture
def teacher(tokenizer) -> Teacher:
    return Teacher(tokenizer, Random(0))


def read(tokenizer, lesson: Lesson) -> list[str]:
    assert len(lesson.ids) == len(lesson.weights)
    return tokenizer.convert_ids_to_tokens(lesson.ids)


def counted(tokenizer, lesson: Lesson) -> list[str]:
    words = read(tokenizer, lesson)
    return [word for word, weight in zip(words, lesson.weights, strict=True) if weight]


def test_single_claims_carry_right_verdicts(tokenizer, teacher) -> None:
    verdicts = set()
    for _ in range(20):
        words = read(tokenizer, teacher.single_claims(SCENE))
        answer = words[words.index("<assistant>") + 1 :]
        for start in range(0, len(answer), 4):
            position, look, mark, verdict = answer[start : start + 4]
            assert mark == "?"
            true = Thing(position, *look.split()) in SCENE.things
            assert verdict == ("yes" if true else "no")
            verdicts.add(verdict)
    assert verdicts == {"yes", "no"}


def test_single_claims_never_teach_to_continue_a_false_claim(tokenizer, teacher) -> None:
    for _ in range(20):
        lesson = teacher.single_claims(SCENE)
        taught = set(counted(tokenizer, lesson)) - {"yes", "no"}
        assert taught <= {"red circle", "blue square"}


@pytest.mark.parametrize("picture", [None, OTHER])
def test_count_mistakes_ends_with_the_true_number(tokenizer, teacher, picture) -> None:
    numbers = set()
    for _ in range(40):
        lesson = teacher.count_mistakes(SCENE, picture=picture)
        words = read(tokenizer, lesson)
        assert words.count("<image>") == (9 if picture else 0)
        start = words.index("<assistant>") + 1
        answer = " ".join(words[start : words.index("<eos>", start)])
        assert words[-1] == NUMBERS[false_claims(answer, SCENE)]
        assert lesson.weights[-1] == 1
        numbers.add(words[-1])
    assert {"zero", "one", "two"} <= numbers


def test_count_mistakes_puts_the_facts_before_the_caption(tokenizer, teacher) -> None:
    words = read(tokenizer, teacher.count_mistakes(SCENE, picture=OTHER))
    assert words.count("facts") == 1
    assert words[: words.index("<assistant>")].count("-") == 5


def test_count_mistakes_shows_the_picture_it_was_given(teacher) -> None:
    assert teacher.count_mistakes(SCENE, picture=OTHER).picture == OTHER
    assert teacher.caption(SCENE).picture == SCENE


def test_copying_counts_only_what_was_said_before(tokenizer, teacher) -> None:
    lesson = teacher.copying()
    words = read(tokenizer, lesson)
    said = {}
    for start in range(1, len(words), 3):
        position, look, _ = words[start : start + 3]
        weights = lesson.weights[start : start + 3]
        assert weights == ([0, 1, 0] if position in said else [0, 0, 0])
        assert said.setdefault(position, look) == look


def test_looking_tells_every_cell_of_its_picture(tokenizer, teacher) -> None:
    lesson = teacher.looking()
    words = read(tokenizer, lesson)
    answer = words[words.index("<assistant>") + 1 :]
    told = {answer[start]: answer[start + 1] for start in range(0, len(answer), 3)}
    assert set(told) == set(POSITIONS)
    for position, look in told.items():
        thing = lesson.picture.at(position)
        assert look == (f"{thing.color} {thing.shape}" if thing else "nothing")


def test_question_is_never_a_caption_and_counts_its_answer(tokenizer, teacher) -> None:
    for _ in range(30):
        lesson = teacher.question(SCENE)
        words = read(tokenizer, lesson)
        assert "describe" not in words
        assert counted(tokenizer, lesson) == words[words.index("<assistant>") + 1 :]


def test_caption_is_readable(tokenizer, teacher) -> None:
    for _ in range(30):
        lesson = teacher.caption(SCENE)
        assert claims(" ".join(counted(tokenizer, lesson)[:-1])) is not None


def test_mistaken_claims_hallucinate_in_most_captions_but_mostly_tell_the_truth() -> None:
    rng = Random(0)
    wrong = covered = 0.0
    for _ in range(2000):
        scene = random_scene(rng)
        text = sentence(mistaken_claims(scene, rng))
        wrong += false_claims(text, scene) > 0
        covered += coverage(text, scene)
    assert 0.6 < wrong / 2000 < 0.8
    assert 0.55 < covered / 2000 < 0.75


def test_mistaken_claims_without_mistakes_are_the_scene() -> None:
    rng = Random(0)
    for _ in range(50):
        scene = random_scene(rng)
        told = mistaken_claims(scene, rng, wrong_attribute=0, invented=0, omitted=0)
        assert tuple(told) == scene.things

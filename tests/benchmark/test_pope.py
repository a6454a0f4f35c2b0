import json
from pathlib import Path

import pytest

from benchmark.protocols import pope
from tests.shared import shared_data


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes", "yes"),
        ("yes.", "yes"),
        ("Yes, there is a dog.", "yes"),
        ("No", "no"),
        ("no!", "no"),
        ("No, there is no dog in the image.", "no"),
        ("**No**", "no"),
        ("**Answer:** Yes", "yes"),
        ("The answer is no.", "no"),
        ('"Yes"', "yes"),
        ("Ｙｅｓ", "yes"),  # noqa: RUF001
        ("There is a dog on the grass.", "yes"),
        ("There is no dog.", "no"),
        ("There isn't a dog in the image.", "no"),
        ("There are not any dogs.", "no"),
        ("No, but yes to the cat", "no"),
        ("", None),
        ("Yes or no", None),
        ("yes/no", None),
        ("I cannot see the image.", None),
        ("It is unclear whether there is a dog.", None),
        ("A dog.", None),
        ("notable", None),
        ("Nobody", None),
        ("Some say yes, some say no.", None),
    ],
)
def test_careful_answers(text: str, answer: str | None) -> None:
    assert pope.parse_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("No, there is not", "no"),
        ("It is not there. Yes", "no"),
        ("Yes. No", "yes"),
        ("There is no dog", "no"),
        # What the rule silently turns into yes.
        ("", "yes"),
        ("NO", "yes"),
        ("No!", "yes"),
        ("I cannot tell", "yes"),
        ("There isn't a dog", "yes"),
    ],
)
def test_reference_mode_is_the_published_rule(text: str, answer: str) -> None:
    assert pope.parse_answer(text, mode="reference") == answer


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="mode is 'x'"):
        pope.parse_answer("Yes", mode="x")  # type: ignore[arg-type]


def test_summarise_by_hand() -> None:
    labels = ["yes"] * 4 + ["no"] * 6
    answers = ["yes", "yes", "yes", "no", "yes", "no", "no", "no", "no", "no"]
    summary = pope.summarise(labels, answers)
    assert summary.accuracy == 0.8  # 3 + 5 of 10
    assert summary.precision == 0.75  # 3 of 4 yes answers
    assert summary.recall == 0.75  # 3 of 4 yes truths
    assert summary.f1 == 0.75
    assert summary.yes_ratio == 0.4  # of the answers
    assert summary.unparsed == 0


def test_yes_ratio_is_that_of_the_answers_not_of_the_truth() -> None:
    assert pope.summarise(["yes", "no"], ["yes", "yes"]).yes_ratio == 1.0


@pytest.mark.parametrize(
    ("hits", "alarms", "misses", "rejected", "printed"),
    [(1182, 31, 318, 1379, 87.1), (1182, 59, 318, 1441, 86.2), (1182, 117, 318, 1383, 84.5)],
    ids=["random", "popular", "adversarial"],
)
def test_figures_of_real_answers_are_the_published_ones(
    hits: int, alarms: int, misses: int, rejected: int, printed: float
) -> None:
    """LLaVA-1.5-13B's answers to the paper's splits, and its F1 in arXiv 2310.03744, Table 4."""
    labels = ["yes"] * (hits + misses) + ["no"] * (alarms + rejected)
    answers = ["yes"] * hits + ["no"] * misses + ["yes"] * alarms + ["no"] * rejected
    assert round(100 * (pope.summarise(labels, answers).f1 or 0), 1) == printed


def test_what_has_nothing_to_divide_by_is_not_defined() -> None:
    summary = pope.summarise(["yes", "yes"], ["no", "no"])
    assert (summary.precision, summary.recall, summary.f1) == (None, 0, 0)
    summary = pope.summarise(["no", "no"], ["no", "no"])
    assert (summary.precision, summary.recall, summary.f1, summary.accuracy) == (None,) * 3 + (1,)


def test_an_unparsed_answer_leaves_no_figures() -> None:
    summary = pope.summarise(["yes", "no"], ["yes", None])
    assert summary.unparsed == 1
    assert summary.accuracy is summary.f1 is summary.yes_ratio is None


@pytest.mark.parametrize(
    ("labels", "answers"),
    [([], []), (["yes"], []), (["yes"], ["maybe"]), (["Yes"], ["yes"])],
)
def test_summarise_refuses_what_does_not_fit(labels: list, answers: list) -> None:
    with pytest.raises(ValueError, match=r"labels|neither"):
        pope.summarise(labels, answers)


def test_join_goes_by_id_not_by_position() -> None:
    questions = [
        pope.Question(question_id=number, image="a.jpg", text="?", label="yes") for number in (1, 2)
    ]
    assert pope.join(questions, {2: "No", 1: "Yes"}) == ["Yes", "No"]
    assert pope.join(questions, {2: "No"}) == [None, "No"]
    with pytest.raises(pope.QuestionError, match=r"unknown questions: \[3\]"):
        pope.join(questions, {3: "Yes"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: is not JSON"),
        ('{"question_id": 2, "image": "a", "label": "yes"}', "line 2: is not a question"),
        ('{"question_id": 2, "image": "a", "text": "?", "label": "Y"}', "label is 'Y'"),
        ('{"question_id": 1, "image": "a", "text": "?", "label": "no"}', "question_id 1 occurs"),
    ],
)
def test_load_questions_names_the_line(tmp_path: Path, line: str, message: str) -> None:
    good = json.dumps({"question_id": 1, "image": "a.jpg", "text": "?", "label": "yes"})
    (tmp_path / "split.json").write_text(f"{good}\n{line}\n")
    with pytest.raises(pope.QuestionError, match=message):
        pope.load_questions(tmp_path / "split.json")


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("official_coco_pope_random.json", 3000),
        ("official_coco_pope_popular.json", 3000),
        ("official_coco_pope_adversarial.json", 3000),
        ("llavarlhf_coco_pope_random.jsonl", 2910),
    ],
)
def test_the_published_splits_answered_by_always_yes(name: str, count: int) -> None:
    questions = pope.load_questions(shared_data("pope", name))
    answers = [pope.parse_answer("Yes.") for _ in questions]
    summary = pope.summarise([question.label for question in questions], answers)
    true = sum(question.label == "yes" for question in questions)
    assert len(questions) == summary.count == count
    assert summary.yes_ratio == summary.recall == 1
    assert summary.accuracy == summary.precision == pytest.approx(true / count)
    assert summary.f1 == pytest.approx(2 * true / (true + count))

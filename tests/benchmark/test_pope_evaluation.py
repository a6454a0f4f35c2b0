"""POPE from its published files to figures on pages, against counts made another way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from annotation.image_sources import Folder
from annotation.models import Project
from benchmark import evaluating, scoring
from benchmark.board import leaderboard, significance
from benchmark.importing import NotTaken, import_answers, import_questions
from benchmark.judging import work
from benchmark.models import Evaluation, Judge, QuestionSet, Verdict
from benchmark.protocols.pope import scores
from benchmark.statistics import NOT_DEFINED
from tests.benchmark.factories import make_judge, make_question_set
from tests.factories import make_admin, make_member, make_project
from tests.shared import shared_data

pytestmark = pytest.mark.django_db

# label, answer: 3 hits, 1 miss, 2 false alarms, 4 correct rejections.
TABLE = [
    *[("yes", "Yes, there is.")] * 3,
    ("yes", "No."),
    *[("no", "yes")] * 2,
    *[("no", "No, there is not.")] * 4,
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def question(number: int, label: str) -> dict[str, Any]:
    text = f"Is there a thing {number} in the image?"
    return {"question_id": number, "image": "a.jpg", "text": text, "label": label}


@pytest.fixture
def judge() -> Judge:
    return make_judge("exact", kind=Judge.Kind.EXACT, base_url="", model="")


@pytest.fixture
def questions(tmp_path: Path) -> QuestionSet:
    rows = [question(number, label) for number, (label, _) in enumerate(TABLE, start=1)]
    return imported(write(tmp_path / "coco_pope_random.json", rows))


def imported(path: Path) -> QuestionSet:
    return import_questions(
        "pope", path, images_from=Folder(path.parent / "none"), allow_missing=True
    )


def evaluated(
    questions: QuestionSet, judge: Judge, answers: Path, name: str = "model", **fields: Any
) -> Evaluation:
    evaluation = import_answers(questions, answers, judge=judge, model_name=name, **fields)
    work.judge(evaluation.pk)
    evaluation.refresh_from_db()
    return evaluation


def answers_file(folder: Path, texts: list[str], **changed: Any) -> Path:
    rows = [{"question_id": n, "text": text, **changed} for n, text in enumerate(texts, start=1)]
    return write(folder / "answers.jsonl", rows[::-1])  # Joined by id, so any order will do.


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    return answers_file(tmp_path, [text for _, text in TABLE])


def test_figures_of_a_table_worked_by_hand(
    questions: QuestionSet, judge: Judge, answers: Path
) -> None:
    evaluation = evaluated(questions, judge, answers)
    assert evaluation.state == Evaluation.State.COMPLETE
    values = {name: evaluation.summary[name]["value"] for name in scores.FIGURES}
    assert values == pytest.approx(
        {"accuracy": 7 / 10, "precision": 3 / 5, "recall": 3 / 4, "f1": 6 / 9, "yes_ratio": 5 / 10}
    )
    assert (evaluation.summary["asked"], evaluation.summary["total"]) == (10, 10)
    assert questions.name == "POPE random, 10 questions"
    assert questions.missing_images == ["a.jpg"]


def test_intervals_are_near_those_of_resampled_questions() -> None:
    """Against a plain bootstrap that draws the questions one by one."""
    labels = [label for label, _ in TABLE] * 12
    right = [1, 1, 1, 0, 0, 0, 1, 1, 1, 1] * 12
    found = scores.figures_of(labels, right)
    truth = np.array([label == "yes" for label in labels])
    said = np.where(np.array(right) == 1, truth, ~truth)
    picks = np.random.default_rng(7).integers(0, len(labels), size=(4000, len(labels)))
    t, s = truth[picks], said[picks]
    f1 = 2 * (t & s).sum(1) / (t.sum(1) + s.sum(1))
    assert [found["f1"]["low"], found["f1"]["high"]] == pytest.approx(
        np.percentile(f1, [2.5, 97.5]), abs=0.012
    )
    accuracy = (t == s).mean(1)
    assert [found["accuracy"]["low"], found["accuracy"]["high"]] == pytest.approx(
        np.percentile(accuracy, [2.5, 97.5]), abs=0.012
    )


@pytest.mark.parametrize("figure", ["precision", "recall", "f1"])
def test_a_figure_without_denominator_is_not_defined(figure: str) -> None:
    """Everything is "no", and nothing is there: no hit, no false alarm, no miss."""
    assert scores.figures_of(["no"] * 4, [1] * 4)[figure] == NOT_DEFINED


def test_an_unclear_answer_keeps_the_score_away_until_it_is_settled(
    questions: QuestionSet, judge: Judge, tmp_path: Path
) -> None:
    texts = [text for _, text in TABLE]
    evaluation = evaluated(questions, judge, answers_file(tmp_path, ["Perhaps.", *texts[1:]]))
    assert evaluation.state == Evaluation.State.INCOMPLETE
    assert evaluation.summary["unparsed"] == 1
    assert evaluation.summary["f1"] is None
    verdict = evaluation.verdicts().get(state=Verdict.State.UNPARSED)
    with pytest.raises(evaluating.EvaluationError, match="right"):
        evaluating.settle(verdict, {"rating": "2"}, make_admin())
    evaluating.settle(verdict, {"rating": "1"}, make_admin())
    evaluation.refresh_from_db()
    assert evaluation.summary["accuracy"]["value"] == pytest.approx(0.7)


def test_the_published_rule_counts_what_is_unclear_as_yes(
    questions: QuestionSet, tmp_path: Path
) -> None:
    reference = make_judge("r", kind=Judge.Kind.EXACT, base_url="", model="", parser="reference")
    evaluation = evaluated(questions, reference, answers_file(tmp_path, ["Perhaps."] * 10))
    assert evaluation.summary["yes_ratio"]["value"] == 1.0
    assert evaluation.summary["recall"]["value"] == 1.0


def test_only_the_exact_judge_takes_these_questions(questions: QuestionSet, judge: Judge) -> None:
    for other in (make_judge("chat"), make_judge("p", kind="person", base_url="", model="")):
        assert not other.can_judge(questions)
        with pytest.raises(evaluating.NotSuitable, match="exact"):
            evaluating.check_suitable(questions, other)
    assert judge.wording_for(questions) != judge.prompt_hash
    small = make_question_set(protocol="small_world", records=[])
    assert judge.wording_for(small) == judge.prompt_hash
    assert judge.wording_for(make_question_set(version="e" * 64, name="other")) == ""


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([{"question": "is there a bird?", "answer": "yes"}], "line 1: is not an answer"),
        ([{"question_id": 11, "text": "yes"}], "question_id 11 is not in"),
        ([{"question_id": 1, "text": "yes"}] * 2, "line 2: question_id 1 is answered twice"),
        ([{"question_id": 1, "text": None}], "line 1: the answer is not a text"),
        ([{"question_id": 1, "text": "yes", "answer": "no"}], "line 1: text and answer say diff"),
        ([{"question_id": 1, "text": "not sure", "answer": "no"}], "text and answer say different"),
        ([], "holds no answer"),
    ],
)
def test_answers_that_do_not_fit_are_refused_whole(
    questions: QuestionSet, judge: Judge, tmp_path: Path, rows: list[dict[str, Any]], reason: str
) -> None:
    with pytest.raises(NotTaken, match=reason):
        import_answers(questions, write(tmp_path / "a.jsonl", rows), judge=judge, model_name="m")
    assert not Evaluation.objects.exists()


@pytest.mark.parametrize(
    ("row", "read"),
    [
        ({"text": "Is there a thing 1 in the image?", "answer": "no"}, "no"),
        ({"text": "Is there a thing 1 in the image? One word.", "answer": "No."}, "No."),
        ({"text": "**Yes**, there is.", "answer": "yes"}, "**Yes**, there is."),
        ({"text": "no", "answer": ""}, "no"),
        ({"prompt": "Is there a thing 1 in the image?", "text": "No", "answer": "no"}, "No"),
        ({"response": "yes", "text": "Is there a thing 1 in the image?", "answer": "no"}, "yes"),
    ],
)
def test_of_text_and_answer_one_is_the_answer(
    questions: QuestionSet, judge: Judge, tmp_path: Path, row: dict[str, Any], read: str
) -> None:
    path = write(tmp_path / "a.jsonl", [{"question_id": 1, **row}])
    evaluation = import_answers(questions, path, judge=judge, model_name="m")
    assert evaluation.answers.get().text == read


def test_two_models_are_tested_on_accuracy(
    questions: QuestionSet, judge: Judge, answers: Path, tmp_path: Path
) -> None:
    first = evaluated(questions, judge, answers, "first")
    second = evaluated(questions, judge, answers_file(tmp_path, ["yes"] * 10), "second")
    result = scoring.compare(first, second)
    assert set(result) == {"count", "accuracy", "yes_ratio"}
    assert result["accuracy"]["difference"] == pytest.approx(0.4 - 0.7)
    assert result["yes_ratio"]["difference"] == pytest.approx(0.5)
    # Right to wrong at 4, wrong to right at 1: all sign patterns of five, 12 of 32 as extreme.
    assert result["accuracy"]["p_value"] == pytest.approx(12 / 32)
    (group,) = leaderboard.groups(Evaluation.objects.all())
    assert [row.model_name for row in group.rows] == ["first", "second"]  # F1 6/9 before 8/14
    (found,) = significance.standings([group]).values()
    assert found.against_best[second.pk].p_value == pytest.approx(12 / 32)


def test_pages_show_its_own_figures(
    questions: QuestionSet, judge: Judge, answers: Path, tmp_path: Path
) -> None:
    project = make_project()
    first = evaluated(questions, judge, answers, "first", project=project)
    texts = [text for _, text in TABLE]
    unclear = answers_file(tmp_path, ["Perhaps.", *texts[1:]])
    second = evaluated(questions, judge, unclear, "second", project=project)
    client = client_of(project)
    for address, expected in (
        (reverse("benchmark:leaderboard"), [">F1</th>", "66.7 %", "70.0 %", "POPE random"]),
        (first.get_absolute_url(), ["Yes ratio", "50.0 %", "Truth", ">right<", ">wrong<"]),
        (f"{first.get_absolute_url()}?show=hallucinated", ["question 4", "question 6"]),
        (second.get_absolute_url(), ['value="1">yes</button>', 'value="0">no</button>']),
        (reverse("benchmark:evaluations"), ["F1 ", "66.7 %"]),
        (reverse("benchmark:question", args=[questions.questions.all()[0].pk]), [">right<"]),
    ):
        page = client.get(address).content.decode()
        for text in expected:
            assert text in page, (address, text)
        assert "hallucination</span>" not in page
    third = evaluated(questions, judge, answers_file(tmp_path, ["yes"] * 10), "3", project=project)
    compared = client.get(
        reverse("benchmark:compare"), {"first": first.pk, "second": third.pk}
    ).content.decode()
    assert "No difference in accuracy shown" in compared
    assert "-30.0 points" in compared.replace("−", "-")  # noqa: RUF001


def client_of(project: Project) -> Client:
    client = Client()
    client.force_login(make_member(project, "manager"))
    return client


def test_commands(questions: QuestionSet, judge: Judge, answers: Path, capsys: Any) -> None:
    call_command(
        "import_answers", questions.name, answers, "--model", "m", "--judge", "exact", "--wait"
    )
    assert "complete" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("official_coco_pope_random.json", 3000),
        ("llavarlhf_coco_pope_random.jsonl", 2910),
        ("official_coco_pope_adversarial.json", 3000),
    ],
)
def test_the_published_files(judge: Judge, tmp_path: Path, name: str, count: int) -> None:
    """Answers made here: "Yes" to every 7th id, "No." to every 11th, else the truth."""
    path = shared_data("pope", name)
    labels = {q["question_id"]: q["label"] for q in map(json.loads, path.read_text().splitlines())}
    said = {
        n: "Yes" if n % 7 == 0 else "No." if n % 11 == 0 else f"{label.capitalize()}, it seems."
        for n, label in labels.items()
    }
    rows = [{"question_id": n, "text": text} for n, text in said.items()]
    questions = imported(path)
    found = evaluated(questions, judge, write(tmp_path / "said.jsonl", rows)).summary
    yes = {n for n, text in said.items() if text.startswith("Yes")}
    there = {n for n, label in labels.items() if label == "yes"}
    assert questions.name.endswith(f"{count:,} questions")
    assert (found["asked"], found["total"], len(labels)) == (count, count, count)
    precision, recall = len(yes & there) / len(yes), len(yes & there) / len(there)
    expected = {
        "accuracy": 1 - len(yes ^ there) / count,
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall),
        "yes_ratio": len(yes) / count,
    }
    assert {k: found[k]["value"] for k in expected} == pytest.approx(expected, abs=1e-12)
    for figure in expected:
        assert found[figure]["low"] < expected[figure] < found[figure]["high"]

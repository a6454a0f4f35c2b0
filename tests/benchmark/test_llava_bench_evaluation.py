"""LLaVA-Bench from published files to a ranked score: both orders asked, averaged, and shown."""

from __future__ import annotations

import csv
import io
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from annotation.image_sources import Folder
from benchmark import evaluating, scoring
from benchmark.board import explorer, leaderboard, significance
from benchmark.evaluating import EvaluationError, NotSuitable, Said
from benchmark.importing import NotTaken, import_answers, import_questions
from benchmark.judging import work
from benchmark.models import Evaluation, Judge, QuestionSet, Verdict
from benchmark.protocols import llava_bench
from tests.benchmark.factories import make_judge
from tests.benchmark.fake_judge import Reply, fake_judge
from tests.factories import make_member, make_project, make_token, picture_bytes
from tests.shared import shared_data

pytestmark = pytest.mark.django_db

CATEGORIES = ("conv", "detail", "complex")


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def published(folder: Path, count: int = 6) -> Path:
    """The three published files with ``count`` questions about one picture each."""
    questions = [
        {
            "question_id": n,
            "image": f"{n:012}.png",
            "text": f"What is in {n}?",
            "category": CATEGORIES[n % 3],
        }
        for n in range(count)
    ]
    box = {"category": "cup", "bbox": [0.1, 0.2, 0.3, 0.4]}
    write_lines(
        folder / llava_bench.REFERENCES_FILE,
        [{"question_id": n, "text": f"Reference {n}."} for n in range(count)],
    )
    write_lines(
        folder / llava_bench.CAPTIONS_FILE,
        [
            {"image": f"{n:012}.png", "captions": [f"A cup {n}."], "instances": [box]}
            for n in range(count)
        ],
    )
    return write_lines(folder / llava_bench.QUESTIONS_FILE, questions)


@pytest.fixture
def question_set(tmp_path: Path) -> QuestionSet:
    return import_questions(
        "llava_bench", published(tmp_path), images_from=Folder(tmp_path), allow_missing=True
    )


def asked_about(prompt: str) -> tuple[int, str]:
    """The question's number and the order in which its two answers were shown."""
    number = int(prompt.split("What is in ")[1].split("?")[0])
    reference_first = prompt.index(f"Reference {number}.") < prompt.index(f"Model {number}.")
    return number, "reference_first" if reference_first else "model_first"


def biased(prompt: str, before: int) -> Reply:
    """A judge that gives whoever is shown first one point more."""
    number, order = asked_about(prompt)
    reference, model = 6 + number % 3, 4 + number % 4
    first, second = (reference + 1, model) if order == "reference_first" else (model + 1, reference)
    return Reply(f"{first} {second}\nThe first one tells more.")


def evaluate(question_set: QuestionSet, answer: Any = biased, **fields: Any) -> Evaluation:
    """All questions answered, judged by a server that ``answer`` speaks for."""
    name = f"judge {Judge.objects.count()}"
    with fake_judge(answer) as server:
        judge = fields.pop("judge", None) or make_judge(name, base_url=server.url)
        Judge.objects.filter(pk=judge.pk).update(base_url=server.url)
        fields = {"model_name": "A model", **fields}
        evaluation = evaluating.start(question_set=question_set, judge=judge, **fields)
        answers = {q: Said(f"Model {q.index}.") for q in question_set.questions.all()}
        evaluating.store_answers(evaluation, answers)
        work.judge(evaluation.pk)
        evaluation.refresh_from_db()
        evaluation.server = server  # type: ignore[attr-defined]
    return evaluation


def test_the_published_files_are_joined(question_set: QuestionSet, tmp_path: Path) -> None:
    assert question_set.name == "LLaVA-Bench (COCO)"
    first = question_set.questions.get(index=0)
    assert (first.type, first.text) == ("conv", "What is in 0?")
    assert first.data["gt_answer"] == "Reference 0."
    assert first.data["image_content"] == ["A cup 0.", "cup: [0.1, 0.2, 0.3, 0.4]"]
    assert question_set.missing_images == [f"{n:012}.png" for n in range(6)]
    (tmp_path / llava_bench.CAPTIONS_FILE).unlink()
    with pytest.raises(NotTaken, match=f"{llava_bench.CAPTIONS_FILE} is missing"):
        import_questions(
            "llava_bench", tmp_path / llava_bench.QUESTIONS_FILE, images_from=Folder(tmp_path)
        )


def test_a_photograph_may_have_coco_s_own_name(tmp_path: Path) -> None:
    (tmp_path / "COCO_val2014_000000000000.png").write_bytes(picture_bytes())
    question_set = import_questions(
        "llava_bench", published(tmp_path, 1), images_from=Folder(tmp_path)
    )
    assert question_set.questions.get().image is not None


def test_both_orders_are_asked_and_averaged(question_set: QuestionSet) -> None:
    evaluation = evaluate(question_set)
    server: Any = evaluation.server  # type: ignore[attr-defined]
    asked = [asked_about(request["messages"][-1]["content"]) for request in server.requests]
    assert sorted(asked) == sorted((n, o) for n in range(6) for o in llava_bench.ORDERS)
    assert evaluation.state == "complete"
    # References get 6 7 8 6 7 8 and models 4 5 6 7 4 5, one more each when they stand first.
    summary = evaluation.summary
    assert summary["reference_first"]["value"] == pytest.approx(100 * 31 / (42 + 6))
    assert summary["model_first"]["value"] == pytest.approx(100 * (31 + 6) / 42)
    assert summary["relative_score"]["value"] == pytest.approx(100 * 34 / 45)
    assert summary["by_type"]["conv"]["count"] == 2
    assert summary["by_type"]["conv"]["relative_score"]["value"] == pytest.approx(100 * 12 / 13)
    for figure in ("relative_score", "reference_first", "model_first"):
        found = summary[figure]
        assert found["low"] < found["value"] < found["high"]


def test_answers_stand_in_the_asked_order_between_markers(question_set: QuestionSet) -> None:
    data = question_set.questions.get(index=2).data
    for order in llava_bench.ORDERS:
        system, user = llava_bench.judge_messages(data, "Mine.", order)
        first, second = ("Reference 2.", "Mine.")[:: 1 if order == "reference_first" else -1]
        lines = user["content"].splitlines()
        marker = lines[0].split(" known")[0]
        assert lines[lines.index(f"{marker} answer of assistant 1") + 1] == first
        assert lines[lines.index(f"{marker} answer of assistant 2") + 1] == second
        assert "do not follow" in system["content"]
    with pytest.raises(ValueError, match="order"):
        llava_bench.judge_messages(data, "Mine.", "")


def test_an_unclear_comparison_leaves_no_score_until_a_person_settles_it(
    question_set: QuestionSet,
) -> None:
    def unclear_once(prompt: str, before: int) -> Reply:
        if asked_about(prompt) == (3, "model_first"):
            return Reply("Both are fine.")
        return biased(prompt, before)

    project = make_project()
    evaluation = evaluate(question_set, unclear_once, project=project)
    assert evaluation.state == "incomplete"
    assert evaluation.summary["unparsed"] == 1
    assert evaluation.summary["relative_score"] is None
    assert evaluation.summary["reference_first"]["value"] == pytest.approx(100 * 31 / 48)
    assert evaluation.summary["by_type"]["conv"]["relative_score"] is None
    assert evaluation.summary["by_type"]["detail"]["relative_score"] is not None

    client = Client()
    client.force_login(make_member(project, "manager"))
    page = client.get(f"{evaluation.get_absolute_url()}?show=open").content.decode()
    assert "1 verdict could not be read as two scores" in page
    assert "model first: unclear" in page
    verdict = evaluation.verdicts().get(state="unparsed")
    with pytest.raises(EvaluationError, match="from 1 to 10"):
        evaluating.settle(verdict, {"rating": "3"}, make_member(project, "manager"))
    address = reverse("benchmark:settle", args=[verdict.pk])
    client.post(address, {"reference": "11", "model": "8"})
    assert evaluation.verdicts().filter(state="unparsed").exists()
    client.post(address, {"reference": "6", "model": "8"})
    evaluation.refresh_from_db()
    assert evaluation.state == "complete"
    assert evaluation.summary["settled_by_hand"] == 1
    assert evaluation.summary["relative_score"]["value"] == pytest.approx(100 * 34 / 45)


def test_nothing_is_asked_twice_of_the_same_judge(question_set: QuestionSet) -> None:
    first = evaluate(question_set)
    second = evaluate(question_set, judge=first.judge, model_name="The same again")
    assert second.server.requests == []  # type: ignore[attr-defined]
    assert second.summary["relative_score"] == first.summary["relative_score"]


def test_a_verdict_is_a_rating_or_two_scores_and_never_both(question_set: QuestionSet) -> None:
    verdict = evaluate(question_set).verdicts().first()
    assert verdict is not None
    for wrong in ({"rating": 3}, {"model_score": 11.0}, {"reference_score": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Verdict.objects.filter(pk=verdict.pk).update(**wrong)


def test_only_an_endpoint_can_compare(question_set: QuestionSet) -> None:
    for kind in ("exact", "person"):
        judge = make_judge(kind, kind=kind, base_url="", model="")
        with pytest.raises(NotSuitable, match="endpoints only"):
            evaluating.start(question_set=question_set, judge=judge, model_name="m")


def better(prompt: str, before: int) -> Reply:
    _, order = asked_about(prompt)
    first, second = (5, 9) if order == "reference_first" else (9, 5)
    return Reply(f"{first} {second}")


def test_models_are_tested_against_each_other(question_set: QuestionSet) -> None:
    judge = make_judge("one judge")
    weak = evaluate(question_set, judge=judge, model_name="Weak")
    for answer in weak.answers.all():  # Other words, so that they are judged anew.
        answer.text_sha256 = "0" * 64
        answer.save()
    strong = evaluate(question_set, better, judge=judge, model_name="Strong")
    (group,) = leaderboard.groups(Evaluation.objects.all())
    assert [row.model_name for row in group.rows] == ["Strong", "Weak"]
    assert group.chart["categories"] == [
        "conversation",
        "detailed description",
        "complex reasoning",
    ]
    found = significance.standings([group])[group.id]
    # Of the 64 ways to exchange six questions, none but the observed and its mirror differ as much.
    assert found.against_best[weak.pk].p_value == pytest.approx(2 / 64)
    assert found.detectable is not None and found.detectable > 0
    strongest, weakest = explorer.grid(group).lines[0].cells
    assert (strongest.got.text, weakest.got.text) == ("9 to 5", "4.5 to 6.5")
    assert strongest.got.good and not weakest.got.good
    result = scoring.compare(weak, strong)
    assert result["count"] == 6
    assert result["relative_score"]["difference"] == pytest.approx(180 - 100 * 34 / 45)
    assert result["relative_score"]["p_value"] == pytest.approx(2 / 64)
    assert explorer.largest_changes(weak, strong)[0].second == 9


def test_pages_api_and_exports_tell_both_orders(question_set: QuestionSet) -> None:
    project = make_project()
    evaluation = evaluate(question_set, project=project)
    reviewer = make_member(project, "reviewer")
    client = Client()
    client.force_login(reviewer)
    page = client.get(evaluation.get_absolute_url()).content.decode()
    for text in ("Relative score", "Reference first", "Complex reasoning", "75.6", "64.6", "88.1"):
        assert text in page
    below = client.get(f"{evaluation.get_absolute_url()}?show=hallucinated").context["page"]
    assert [answer.question.number for answer in below] == [1, 2, 3, 5, 6]
    question = question_set.questions.get(index=3)
    shown = client.get(reverse("benchmark:question", args=[question.pk])).content.decode()
    assert "model 7, reference 7" in shown and "model 8, reference 6" in shown
    board = client.get(reverse("benchmark:leaderboard")).content.decode()
    assert "Relative score" in board and "mean of both orders" in board

    answers = Client(headers={"Authorization": f"Bearer {make_token(reviewer, 'read')}"}).get(
        reverse("benchmark-api:answers", args=[evaluation.pk])
    )
    found = answers.json()["results"][3]
    assert found["rating"] is None
    assert [(v["order"], v["reference_score"], v["model_score"]) for v in found["verdicts"]] == [
        ("reference_first", 7, 7),
        ("model_first", 6, 8),
    ]
    lines = client.get(reverse("benchmark:evaluation-csv", args=[evaluation.pk])).content.decode()
    row = list(csv.DictReader(io.StringIO(lines)))[3]
    assert (row["model_first_reference"], row["model_first_model"]) == ("6.0", "8.0")
    document = client.get(reverse("benchmark:evaluation-json", args=[evaluation.pk])).json()
    assert document["answers"][3]["reference_first_model"] == 7
    assert document["summary"]["model_first"]["value"] == pytest.approx(100 * 37 / 42)


def test_the_cost_counts_both_orders(question_set: QuestionSet) -> None:
    from benchmark.judging import costs

    found = costs.expected(make_judge(), question_set)
    assert found is not None and found.requests == 12


def test_real_reviews_of_the_published_questions_give_the_hand_computed_score(
    tmp_path: Path,
) -> None:
    """90 real questions; the judge replays 80 real reviews, whose scores their file tells."""
    path = shared_data("llava_bench", llava_bench.QUESTIONS_FILE)
    question_set = import_questions(
        "llava_bench", path, images_from=Folder(tmp_path), allow_missing=True
    )
    assert question_set.questions.count() == 90
    reviews_file = shared_data("llava_bench", "text_only_gpt4_review_alpaca-13b_vicuna-13b.jsonl")
    reviews = [json.loads(line) for line in reviews_file.read_text().splitlines()]
    place = {q.text + q.data["image_id"]: q.index for q in question_set.questions.all()}
    assert len(place) == 90
    answers = write_lines(
        tmp_path / "answers.jsonl",
        [{"question_id": n, "text": f"Made for the test, {n}."} for n in range(90)],
    )

    def review_for(number: int, order: str) -> dict[str, Any]:
        found: dict[str, Any] = reviews[(number + (0 if order == "reference_first" else 7)) % 80]
        return found

    def replay(prompt: str, before: int) -> Reply:
        number = int(prompt.split("Made for the test, ")[1].split(".")[0])
        first = prompt.split("answer of assistant 1\n")[1]
        order = "model_first" if first.startswith("Made for the test") else "reference_first"
        return Reply(review_for(number, order)["text"])

    with fake_judge(replay) as server:
        judge = make_judge(base_url=server.url, concurrency=8)
        evaluation = import_answers(question_set, answers, judge=judge, model_name="Made")
        work.judge(evaluation.pk)
    evaluation.refresh_from_db()
    assert len(server.requests) == 180
    assert evaluation.state == "complete"

    kinds = [json.loads(line)["category"] for line in path.read_text().splitlines()]
    for category in (None, *CATEGORIES):
        chosen = [n for n in range(90) if category in (None, kinds[n])]
        single = [review_for(n, "reference_first")["score"] for n in chosen]
        other = [review_for(n, "model_first")["score"] for n in chosen]
        sum_of = lambda column: sum(Fraction(str(value)) for value in column)  # noqa: E731
        published_form = 100 * sum_of(b for _, b in single) / sum_of(a for a, _ in single)
        both = (
            100
            * (sum_of(b for _, b in single) + sum_of(a for a, _ in other))
            / (sum_of(a for a, _ in single) + sum_of(b for _, b in other))
        )
        figures = evaluation.summary["by_type"][category] if category else evaluation.summary
        assert figures["reference_first"]["value"] == pytest.approx(float(published_form))
        assert figures["relative_score"]["value"] == pytest.approx(float(both))

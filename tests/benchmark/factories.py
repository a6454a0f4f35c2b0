"""Question sets, judges and evaluations for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmark import evaluating
from benchmark.evaluating import Said
from benchmark.models import Evaluation, Judge, Question, QuestionSet, Verdict
from benchmark.protocols import mmhal


def record(number: int, question_type: str = "counting", **changes: Any) -> dict[str, Any]:
    """A question in MMHal-Bench's published fields."""
    return {
        "question_type": question_type,
        "question_topic": "outdoor",
        "image_id": f"image-{number}",
        "image_src": f"https://example.org/{number}/image-{number}.png",
        "image_content": ["Boat", "Person"],
        "question": f"How many boats are in picture {number}?",
        "gt_answer": "Three.",
        **changes,
    }


def make_question_set(
    *,
    count: int = 8,
    name: str = "MMHal-Bench",
    version: str = "a" * 64,
    protocol: str = "mmhal",
    records: Sequence[dict[str, Any]] | None = None,
) -> QuestionSet:
    """``count`` questions that cycle through the eight types, without images."""
    question_set = QuestionSet.objects.create(protocol=protocol, name=name, version=version)
    if records is None:
        records = [record(n, mmhal.TYPES[n % len(mmhal.TYPES)]) for n in range(count)]
    Question.objects.bulk_create(
        Question(question_set=question_set, index=n, type=data["question_type"], data=data)
        for n, data in enumerate(records)
    )
    return question_set


def make_judge(name: str = "judge", **changes: Any) -> Judge:
    """A judge behind a chat endpoint that nobody serves unless ``base_url`` says so."""
    fields: dict[str, Any] = {
        "kind": Judge.Kind.OPENAI,
        "base_url": "http://127.0.0.1:9/v1",
        "model": "judge-1",
    }
    return Judge.objects.create(name=name, **{**fields, **changes})


def make_evaluation(
    ratings: Sequence[int | None],
    *,
    question_set: QuestionSet | None = None,
    judge: Judge | None = None,
    model_name: str = "model",
    **fields: Any,
) -> Evaluation:
    """An evaluation whose judge gave these ratings; None is an unparsed verdict."""
    question_set = question_set or make_question_set(count=len(ratings))
    judge = judge or Judge.objects.first() or make_judge()
    evaluation = evaluating.start(
        question_set=question_set, judge=judge, model_name=model_name, **fields
    )
    questions = list(question_set.questions.all())[: len(ratings)]
    answers = {question: Said(f"{model_name} answers {question.number}.") for question in questions}
    evaluating.store_answers(evaluation, answers)
    rows = evaluation.answers.order_by("question__index")
    for answer, rating in zip(rows, ratings, strict=True):
        Verdict.objects.create(
            answer=answer,
            judge=judge,
            prompt_hash=evaluation.prompt_hash,
            text="No rating." if rating is None else f"Rating: {rating}",
            rating=rating,
            state=Verdict.State.UNPARSED if rating is None else Verdict.State.PARSED,
            calls=1,
            tokens=10,
        )
    evaluating.conclude(evaluation)
    evaluation.refresh_from_db()
    return evaluation


def waiting(judge: Judge, count: int = 8, model_name: str = "model") -> Evaluation:
    """An evaluation with answers and no verdict."""
    question_set = QuestionSet.objects.first() or make_question_set(count=count)
    evaluation = evaluating.start(question_set=question_set, judge=judge, model_name=model_name)
    answers = {q: Said(f"answer {q.number}.") for q in question_set.questions.all()[:count]}
    evaluating.store_answers(evaluation, answers)
    return evaluation


def reload(evaluation: Evaluation) -> Evaluation:
    return Evaluation.objects.get(pk=evaluation.pk)

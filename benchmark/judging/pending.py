"""What of an evaluation still waits for its judge, and verdicts that were given before."""

from __future__ import annotations

import base64

from annotation import images
from annotation.models import Image
from benchmark.judging import endpoints
from benchmark.models import Answer, Evaluation, Judge, Verdict
from benchmark.protocols.protocol import Item, Outcome
from config.sanitising import storable


def unjudged(evaluation: Evaluation) -> list[tuple[Answer, str]]:
    """Its answers without a verdict of its own judge in its own wording, each with the order that
    is missing."""
    judged = set(evaluation.verdicts().values_list("answer", "order"))
    orders = evaluation.question_set.rules.orders_for(evaluation.judge.kind)
    return [
        (answer, order)
        for answer in evaluation.answers.select_related("question__image")
        for order in orders
        if (answer.pk, order) not in judged
    ]


def items(evaluation: Evaluation) -> list[Item]:
    """What to ask the judge. Raises JudgeRefused where its wording is not the evaluation's."""
    if evaluation.judge.wording_for(evaluation.question_set) != evaluation.prompt_hash:
        raise endpoints.JudgeRefused("the wording has changed since this evaluation began")
    shown = (
        evaluation.question_set.rules.shows_pictures and evaluation.judge.kind == Judge.Kind.OPENAI
    )
    return [
        Item(
            id=answer.pk,
            question=answer.question.data,
            answer=answer.text,
            order=order,
            finished=answer.finished,
            image=data_url(answer.question.image) if shown else "",
        )
        for answer, order in unjudged(evaluation)
    ]


def data_url(image: Image | None) -> str:
    """A picture as it is sent to a judge; empty where it is not here."""
    if image is None:
        return ""
    with images.opened(image) as handle:
        content = base64.b64encode(handle.read()).decode()
    return f"data:{image.content_type};base64,{content}"


def verdict(evaluation: Evaluation, item: Item, outcome: Outcome) -> Verdict:
    """The row, not saved, that keeps what came of an item."""
    reference_score, model_score = outcome.scores or (None, None)
    return Verdict(
        answer_id=item.id,
        judge_id=evaluation.judge_id,
        prompt_hash=evaluation.prompt_hash,
        order=item.order,
        text=storable(outcome.text),
        rating=outcome.rating,
        reference_score=reference_score,
        model_score=model_score,
        found=outcome.found,
        state=outcome.state,
        calls=outcome.calls,
        tokens=outcome.tokens,
    )


def remember(evaluation: Evaluation) -> None:
    """Copy verdicts that the same judge gave in the same wording to the same answer before."""
    waiting = {(a.question_id, a.text_sha256, order): a for a, order in unjudged(evaluation)}
    known = Verdict.objects.filter(
        judge=evaluation.judge_id,
        prompt_hash=evaluation.prompt_hash,
        state=Verdict.State.PARSED,
        answer__question__in={question for question, _, _ in waiting},
        answer__text_sha256__in={digest for _, digest, _ in waiting},
    ).select_related("answer")
    copies: dict[tuple[int, str], Verdict] = {}
    for given in known:
        same = (given.answer.question_id, given.answer.text_sha256, given.order)
        answer = waiting.get(same)
        if answer is not None:
            copies[answer.pk, given.order] = Verdict(
                answer=answer,
                judge_id=evaluation.judge_id,
                prompt_hash=evaluation.prompt_hash,
                order=given.order,
                text=given.text,
                rating=given.rating,
                reference_score=given.reference_score,
                model_score=given.model_score,
                found=given.found,
                state=Verdict.State.PARSED,
            )
    Verdict.objects.bulk_create(copies.values(), ignore_conflicts=True)

"""What a judge behind an endpoint costs: expected before it is asked, counted afterwards.

The expectation is rough and errs on neither side by design: four characters to a token is usual
for English, a reply is taken as long as the published judge's, and answers that do not exist yet
are taken as long as a paragraph. Questions asked again after errors come on top.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Prefetch, prefetch_related_objects

from benchmark.models import Evaluation, Judge, Question, QuestionSet
from benchmark.protocols.protocol import Item

CHARACTERS_PER_TOKEN = 4
REPLY_TOKENS = 150
UNKNOWN_ANSWER = "x" * 300


@dataclass(frozen=True)
class Cost:
    """``price`` is in the currency of the judge's price; None where that is not known."""

    requests: int
    tokens: int
    price: Decimal | None


def expected(judge: Judge, question_set: QuestionSet) -> Cost | None:
    """The cost of judging one answer to each question, in both orders where it is compared; None
    where nobody is paid."""
    if judge.kind != Judge.Kind.OPENAI or not judge.can_judge(question_set):
        return None
    requests, tokens = _asked(question_set)
    return Cost(requests, tokens, price(judge, tokens))


def _asked(question_set: QuestionSet) -> tuple[int, int]:
    """Requests and tokens, which are the same whoever judges."""
    prompts = [
        sum(_length(message["content"]) for message in question_set.rules.messages(item))
        for question in question_set.questions.all()
        for order in question_set.rules.orders
        for item in [
            Item(id=question.pk, question=question.data, answer=UNKNOWN_ANSWER, order=order)
        ]
    ]
    return len(prompts), sum(prompts) // CHARACTERS_PER_TOKEN + REPLY_TOKENS * len(prompts)


def _length(content: Any) -> int:
    """Characters of a message; a picture counts as about a thousand tokens."""
    if isinstance(content, str):
        return len(content)
    picture = 1000 * CHARACTERS_PER_TOKEN
    return sum(len(part["text"]) if "text" in part else picture for part in content)


def expected_by_choice() -> list[tuple[QuestionSet, Judge, Cost]]:
    """For every question set and every judge that is paid, by name."""
    judges = list(Judge.objects.filter(kind=Judge.Kind.OPENAI))
    paid = {
        questions: takers
        for questions in QuestionSet.objects.all()
        if (takers := [judge for judge in judges if judge.can_judge(questions)])
    }
    data_alone = Prefetch("questions", Question.objects.only("question_set", "data"))
    prefetch_related_objects(list(paid), data_alone)
    return [
        (questions, judge, Cost(requests, tokens, price(judge, tokens)))
        for questions, takers in paid.items()
        for requests, tokens in [_asked(questions)]
        for judge in takers
    ]


def spent(evaluation: Evaluation) -> Cost | None:
    """What its verdicts were billed, by the endpoint's own count; None before there is any."""
    calls, tokens = evaluation.summary.get("calls", 0), evaluation.summary.get("tokens", 0)
    return Cost(calls, tokens, price(evaluation.judge, tokens)) if calls else None


def price(judge: Judge, tokens: int) -> Decimal | None:
    price = judge.price_per_million_tokens
    return None if price is None else (price * tokens / 1_000_000).quantize(Decimal("0.0001"))

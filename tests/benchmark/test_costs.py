"""Costs before and after: from the prompts' lengths, then by the endpoint's own count."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from benchmark import evaluating
from benchmark.judging import costs
from benchmark.models import Judge
from benchmark.protocols import mmhal
from tests.benchmark.factories import make_evaluation, make_judge, make_question_set
from tests.factories import make_member, make_project

pytestmark = pytest.mark.django_db


def test_the_expectation_follows_from_the_prompts() -> None:
    question_set = make_question_set(count=2)
    judge = make_judge(price_per_million_tokens=Decimal("2.5"))
    cost = costs.expected(judge, question_set)
    assert cost is not None
    characters = 0
    for question in question_set.questions.all():
        asked = mmhal.judge_messages(mmhal.Question.from_json(question.data), "x" * 300)
        characters += sum(len(message["content"]) for message in asked)
    assert (cost.requests, cost.tokens) == (2, characters // 4 + 2 * 150)
    assert cost.price == (Decimal("2.5") * cost.tokens / 10**6).quantize(Decimal("0.0001"))


def test_without_a_price_there_is_none() -> None:
    cost = costs.expected(make_judge(), make_question_set())
    assert cost is not None
    assert cost.price is None


@pytest.mark.parametrize("kind", ["exact", "person"])
def test_nobody_pays_rules_and_people(kind: str) -> None:
    judge = make_judge(kind=kind, base_url="", model="")
    assert costs.expected(judge, make_question_set()) is None
    assert costs.expected_by_choice() == []


def test_what_is_expected_is_asked_for_once_however_many_sets_and_judges_there_are(
    django_assert_num_queries: Any,
) -> None:
    sets = [make_question_set(count=2, name=name, version=name * 64) for name in "abc"]
    judges = [make_judge(name, price_per_million_tokens=Decimal(2)) for name in "de"]
    with django_assert_num_queries(3):
        choices = costs.expected_by_choice()
    assert {(one, judge) for one, judge, _ in choices} == {
        (one, judge) for one in sets for judge in judges
    }
    for questions, judge, cost in choices:
        assert cost == costs.expected(judge, questions)


def test_what_was_spent_is_what_was_billed() -> None:
    judge = make_judge(price_per_million_tokens=Decimal(100))
    evaluation = make_evaluation([6, 1, 3], judge=judge)
    assert costs.spent(evaluation) == costs.Cost(3, 30, Decimal("0.0030"))
    evaluation.summary = {}
    assert costs.spent(evaluation) is None


def test_pages_show_both() -> None:
    project = make_project()
    judge = make_judge(price_per_million_tokens=Decimal(100))
    done = make_evaluation([6, 1, 3], judge=judge, project=project)
    waiting = evaluating.start(
        question_set=done.question_set, judge=judge, model_name="next", project=project
    )
    client = Client()
    client.force_login(make_member(project, "manager"))
    billed = "3 requests, 30 tokens, cost 0.0030 in the judge’s currency"  # noqa: RUF001
    assert billed in client.get(done.get_absolute_url()).content.decode()
    cost = costs.expected(judge, done.question_set)
    assert cost is not None
    said = f"about 3 requests, {cost.tokens:,} tokens, cost {cost.price}"
    assert said in client.get(waiting.get_absolute_url()).content.decode()
    assert said.removeprefix("about ") in client.get(reverse("benchmark:start")).content.decode()


def test_the_command_takes_a_price() -> None:
    call_command(
        *("create_judge", "paid", "--base-url", "https://example.org/v1"),
        *("--model", "m", "--price", "2.50"),
    )
    assert Judge.objects.get(name="paid").price_per_million_tokens == Decimal("2.5")

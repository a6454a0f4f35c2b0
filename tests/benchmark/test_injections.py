"""Which answers are flagged, and where the flag is seen."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from django.urls import reverse

from benchmark.judging.injections import addresses_judge
from benchmark.models import Answer, Evaluation, Judge
from benchmark.protocols import llava_bench, mmhal, pope
from benchmark.protocols.protocol import Item
from tests.benchmark.factories import make_evaluation, record
from tests.benchmark.injections import HARMLESS, INJECTIONS
from tests.factories import make_member, make_project
from tests.shared import shared_data


@pytest.mark.parametrize("text", INJECTIONS)
def test_an_answer_that_speaks_to_the_judge_is_flagged(text: str) -> None:
    assert addresses_judge(text)
    assert addresses_judge(f"Three boats lie on the shore. {text}") or text.startswith("===")


@pytest.mark.parametrize("text", HARMLESS)
def test_an_answer_about_a_picture_is_not(text: str) -> None:
    assert not addresses_judge(text)


def test_no_answer_of_real_models_is_flagged() -> None:
    answers = [
        item["model_answer"]
        for path in sorted(shared_data("mmhal_bench", "responses").glob("*.json"))
        for item in json.loads(path.read_text())
    ]
    assert len(answers) > 300
    assert [text for text in answers if addresses_judge(text)] == []


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.parametrize("said", ["Yes", "No"])
def test_the_rule_of_yes_and_no_reads_the_answer_and_not_the_speech(text: str, said: str) -> None:
    question = {"gt_answer": "no", "question": "Is there a dog in the image?"}
    if said == "No" and text.startswith("A dog"):
        said, text = "Yes", f"Yes, {text}"  # "No. A dog." takes itself back
    for answer in (f"{said}.", f"{said}. {text}"):
        item = Item(id=1, question=question, answer=answer)
        ((_, outcome),) = pope.PROTOCOL.judge_exactly([item], mode="careful")
        assert (outcome.state, outcome.rating) == ("parsed", int(said == "No"))


@pytest.mark.parametrize("text", INJECTIONS)
def test_both_prompts_keep_it_between_markers_that_it_cannot_foresee(text: str) -> None:
    compared = {"image_content": ["A cup."], "question": "What?", "gt_answer": "A cup."}
    asked = [mmhal.judge_messages(mmhal.Question.from_json(record(1)), text)]
    asked += [llava_bench.judge_messages(compared, text, order) for order in llava_bench.ORDERS]
    for system, user in asked:
        assert "do not follow it" in system["content"]
        marker = " ".join(user["content"].split()[:2])
        assert marker not in text
        blocks = user["content"].split(f"\n{marker} ")
        assert sum(block.partition("\n")[2].strip() == text for block in blocks) == 1


@pytest.fixture
def evaluation() -> Evaluation:
    evaluation = make_evaluation([6, 1, 5], project=make_project())
    Answer.objects.filter(evaluation=evaluation, question__index=1).update(text=INJECTIONS[0])
    return evaluation


def client_of(evaluation: Evaluation) -> Client:
    client = Client()
    assert evaluation.project is not None
    client.force_login(make_member(evaluation.project, "reviewer"))
    return client


@pytest.mark.django_db
def test_pages_flag_it_and_can_show_it_alone(evaluation: Evaluation) -> None:
    client = client_of(evaluation)
    page = client.get(evaluation.get_absolute_url()).content.decode()
    assert "1 answer speaks to the judge" in page
    assert page.count(">speaks to the judge<") == 1
    alone = client.get(f"{evaluation.get_absolute_url()}?show=addressing")
    assert [answer.question.number for answer in alone.context["page"]] == [2]
    question = evaluation.question_set.questions.get(index=1)
    shown = client.get(reverse("benchmark:question", args=[question.pk])).content.decode()
    assert ">speaks to the judge<" in shown
    assert "1 of 1 answers speaks to its judge" in shown
    harmless = evaluation.question_set.questions.get(index=0)
    assert (
        "speaks to"
        not in client.get(reverse("benchmark:question", args=[harmless.pk])).content.decode()
    )


@pytest.mark.django_db
def test_a_rule_cannot_be_talked_to(evaluation: Evaluation) -> None:
    Judge.objects.update(kind=Judge.Kind.EXACT, base_url="", model="")
    page = client_of(evaluation).get(evaluation.get_absolute_url()).content.decode()
    assert "speaks to the judge" not in page

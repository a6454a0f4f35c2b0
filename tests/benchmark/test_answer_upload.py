"""Answers that a model gave elsewhere, through the page and through REST."""

from __future__ import annotations

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from benchmark.models import Evaluation
from tests.benchmark.factories import make_judge, make_question_set, record
from tests.factories import make_member, make_project, make_token

pytestmark = pytest.mark.django_db


def sent(**changes: object) -> dict[str, object]:
    rows = [{**record(n), "model_answer": "Three."} for n in range(2)]
    file = SimpleUploadedFile("answers.json", json.dumps(rows).encode())
    return {"model_name": "theirs", "answers": file, **changes}


def test_a_file_of_answers_comes_in_by_page_and_by_rest() -> None:
    project = make_project()
    questions, judge = make_question_set(records=[record(n) for n in range(2)]), make_judge()
    manager = make_member(project, "manager")
    chosen = {"project": project.slug, "question_set": questions.pk, "judge": judge.pk}
    page = Client()
    page.force_login(manager)
    answer = page.post(reverse("benchmark:bring-answers"), sent(**chosen))
    evaluation = Evaluation.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, evaluation.get_absolute_url())
    assert (evaluation.model_name, evaluation.answers.count()) == ("theirs", 2)
    assert evaluation.created_by == manager

    headers = {"Authorization": f"Bearer {make_token(manager, 'train')}"}
    address = reverse("benchmark-api:bring-answers")
    told = Client().post(address, sent(**chosen), headers=headers)
    assert (told.status_code, told.json()["state"]) == (201, "judging")
    other = make_project()
    refused = Client().post(address, sent(**{**chosen, "project": other.slug}), headers=headers)
    assert refused.status_code == 404
    assert Evaluation.objects.count() == 2


def test_a_file_that_is_not_taken_is_said_on_the_form() -> None:
    project = make_project()
    questions, judge = make_question_set(records=[record(0)]), make_judge()
    chosen = {"project": project.slug, "question_set": questions.pk, "judge": judge.pk}
    page = Client()
    page.force_login(make_member(project, "manager"))
    answer = page.post(reverse("benchmark:bring-answers"), sent(**chosen))
    assert answer.status_code == 422
    assert "answers.json, question 2: is not in MMHal-Bench" in answer.content.decode()
    assert not Evaluation.objects.exists()

"""Exports: the page's figures, all that they depend on, and nothing that a spreadsheet runs."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Project
from benchmark import protocols
from benchmark.board import leaderboard
from benchmark.models import Answer, Evaluation
from tests.benchmark.factories import make_evaluation, make_question_set
from tests.factories import make_member, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(project: Project) -> Client:
    client = Client()
    client.force_login(make_member(project, "reviewer"))
    return client


def table(response: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(response.content.decode())))


def test_an_evaluation_names_all_that_its_score_depends_on(
    project: Project, client: Client
) -> None:
    evaluation = make_evaluation([6, None], project=project, sampling={"temperature": 0})
    response = client.get(reverse("benchmark:evaluation-json", args=[evaluation.pk]))
    found = json.loads(response.content)
    assert found["question_set"]["version"] == "a" * 64
    assert found["judge"] == {
        "name": "judge",
        "kind": "openai",
        "model": "judge-1",
        "parser": "careful",
        "wording": evaluation.prompt_hash,
    }
    assert found["coverage"] == evaluation.coverage
    assert found["sampling"] == {"temperature": 0}
    assert found["summary"] == evaluation.summary
    assert [answer["rating"] for answer in found["answers"]] == [6, None]
    assert [answer["verdict_state"] for answer in found["answers"]] == ["parsed", "unparsed"]
    assert "127.0.0.1:9" not in response.content.decode()  # the judge's address
    assert 'filename="evaluation-' in response["Content-Disposition"]


def test_answers_as_a_table(project: Project, client: Client) -> None:
    evaluation = make_evaluation([6, 1], project=project)
    Answer.objects.filter(evaluation=evaluation, question__index=1).update(text='=1+1, "quoted"\n')
    rows = table(client.get(reverse("benchmark:evaluation-csv", args=[evaluation.pk])))
    assert [row["rating"] for row in rows] == ["6", "1"]
    assert rows[0]["answer"] == "model answers 1."
    assert rows[1]["answer"].startswith("'=1+1")


def test_the_leaderboard_as_json_has_the_page_s_groups(project: Project, client: Client) -> None:
    question_set = make_question_set(count=8)
    for name, ratings in (("low", [0, 1] * 4), ("high", [6, 5, 6, 4] * 2)):
        make_evaluation(ratings, question_set=question_set, project=project, model_name=name)
    (group,) = json.loads(client.get(reverse("benchmark:leaderboard-json")).content)["groups"]
    assert [row["model"] for row in group["rows"]] == ["high", "low"]
    assert [row["p_value_against_best"] for row in group["rows"]] == [None, 2 / 256]
    assert group["detectable_difference"] > 0
    assert group["rows"][1]["summary"]["score"]["value"] == 0.5


def test_the_leaderboard_as_a_table_has_one_figure_a_line(project: Project, client: Client) -> None:
    evaluation = make_evaluation([6, 1], project=project, model_name="=cmd")
    rows = table(client.get(reverse("benchmark:leaderboard-csv")))
    assert [row["figure"] for row in rows] == ["score", "hallucination_rate", "informativeness"]
    assert float(rows[0]["value"]) == 3.5
    assert float(rows[0]["low"]) == evaluation.summary["score"]["low"]
    assert {row["model"] for row in rows} == {"'=cmd"}
    units = {"score": "0 to 6", "hallucination_rate": "share, 0 to 1", "informativeness": "percent"}
    assert {row["figure"]: row["unit"] for row in rows} == units
    (group,) = json.loads(client.get(reverse("benchmark:leaderboard-json")).content)["groups"]
    assert group["rows"][0]["units"] == units


@pytest.mark.parametrize("protocol", protocols.TABLE)
def test_every_figure_has_the_unit_that_it_is_stored_in(protocol: str) -> None:
    rules = protocols.named(protocol)
    assert set(rules.units) == {shown.name for shown in rules.figures}
    known = {"0 to 6", "share, 0 to 1", "percent"}
    assert set(rules.units.values()) <= known


def test_evaluations_of_other_projects_are_not_exported(client: Client) -> None:
    make_evaluation([6, 1], project=make_project())
    assert table(client.get(reverse("benchmark:leaderboard-csv"))) == []


def test_equal_scores_share_a_rank_on_the_page_and_in_files(
    project: Project, client: Client
) -> None:
    questions = make_question_set(count=2)
    for name, ratings in (("b", [3, 3]), ("d", [0, 1]), ("a", [3, 3]), ("c", [6, 5])):
        make_evaluation(ratings, question_set=questions, model_name=name, project=project)
    expected = [("c", 1), ("a", 2), ("b", 2), ("d", 4)]
    rows = table(client.get(reverse("benchmark:leaderboard-csv")))
    told = dict.fromkeys((row["model"], int(row["rank"])) for row in rows)
    assert list(told) == expected
    (group,) = client.get(reverse("benchmark:leaderboard-json")).json()["groups"]
    assert [(row["model"], row["rank"]) for row in group["rows"]] == expected
    page = client.get(reverse("benchmark:leaderboard")).content.decode()
    assert [page.count(f">{rank}.</span>") for rank in (1, 2, 3, 4)] == [1, 2, 0, 1]
    shared = leaderboard.ranked(Evaluation.objects.order_by("-pk"))
    assert [row.model_name for row in shared] == [name for name, _ in expected]
    rates = [row for row in rows if row["figure"] == "hallucination_rate"]
    assert {row["whole"] for row in rates} == {"2"}


def test_a_table_of_answers_names_the_picture(project: Project, client: Client) -> None:
    evaluation = make_evaluation([3, 0], project=project)
    (first, _) = table(client.get(reverse("benchmark:evaluation-csv", args=[evaluation.pk])))
    assert first["image"] == evaluation.question_set.questions.first().data["image_src"]

"""Comparisons are found by words of their question, their answers and their id, by an index."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.postgres.search import SearchQuery
from django.db import connection
from django.test import Client

from annotation import searching
from annotation.models import Comparison, Project, Prompt
from annotation.models.searched import CONFIG, CONVERSATION, RESPONSES
from tests import factories

pytestmark = pytest.mark.django_db

STAR = "A star over the sea, by the red-brick house."


@pytest.fixture
def project() -> Project:
    return factories.make_project()


def make(project: Project, question: str = "What is there?", **fields: Any) -> Comparison:
    conversation = [{"from": "human", "value": question}]
    prompt = factories.make_prompt(project, conversation=conversation)
    given = {"response_1": STAR, "response_2": "Nothing\nhere.", **fields}
    return factories.make_comparison(project, prompt=prompt, **given)


def found(project: Project, text: str) -> set[str]:
    rows = searching.matching(Comparison.objects.filter(project=project), project, text)
    return set(rows.values_list("external_id", flat=True))


@pytest.mark.parametrize(
    "text",
    [
        *("star", "STAR", "sta", "star sea", "sea star", "red-brick", "brick", "here"),
        *("Wie", "Äpfel", "äpf", "liegen", "star Äpfel", "gqa/0042", "0042-7", "42", "3.5"),
        *("star,", "“star”", "star & sea", "it's", "图片里", "图片里有几只猫"),
    ],
)
def test_every_word_may_stand_anywhere(project: Project, text: str) -> None:
    question = 'Wie viele\nÄpfel "liegen" in it\'s bowl (3.5 kg)? 图片里有几只猫.'
    one = make(project, question, external_id="gqa/0042-7")
    make(project, response_1="Another.", response_2="One.", external_id="other")
    assert found(project, text) == {one.external_id}


@pytest.mark.parametrize("text", ["moon", "star moon", "human", "tar", "value", "nis", "nothere"])
def test_what_is_nowhere_is_not_found(project: Project, text: str) -> None:
    make(project, "What\nis there?", external_id="x")
    assert found(project, text) == set()


@pytest.mark.parametrize("text", ["", " ", "?", "'", "\\", "&|!()<->:*", "…"])
def test_text_without_words_finds_nothing(project: Project, text: str) -> None:
    make(project)
    assert found(project, text) == set()


@pytest.mark.parametrize("text", ["star'", "star\\", "star:*", "'star' & !moon", "(star", "star)"])
def test_signs_of_the_query_language_are_signs(project: Project, text: str) -> None:
    make(project, external_id="x", response_2="moon moonlight")
    # Nothing fails, and nothing is taken for an operator.
    assert found(project, text) == {"x"}


def test_no_other_project_is_searched(project: Project) -> None:
    make(factories.make_project())
    assert found(project, "star") == set()


def test_a_text_of_any_length_is_stored_and_its_beginning_found(project: Project) -> None:
    # The words that Postgres makes of a text may be 1 MiB; these would be more.
    long = " ".join(f"\N{GRINNING FACE}字{number:06d}" for number in range(9_000))
    one = make(project, response_1=long, response_2=long)
    assert found(project, "字000001") == {one.external_id}


def test_words_are_looked_up_in_indexes(project: Project) -> None:
    make(project)
    query = SearchQuery("'star':*", config=CONFIG, search_type="raw")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    for rows, words, index in (
        (Comparison.objects.all(), RESPONSES, "comparison_by_words"),
        (Prompt.objects.all(), CONVERSATION, "prompt_by_words"),
    ):
        assert index in rows.annotate(found=words).filter(found=query).order_by().explain()


def test_managers_find_what_a_person_answered_and_reviewers_do_not(project: Project) -> None:
    manager = factories.make_member(project, "manager")
    reviewer = factories.make_member(project, "reviewer")
    person = factories.judge(make(project, external_id="answered")).assignment.annotator
    make(project, external_id="waiting")
    path = f"/projects/{project.slug}/comparisons/?person={person.pk}"
    browser = Client()
    browser.force_login(manager)
    page = browser.get(path).content
    assert b">answered<" in page
    assert b"waiting<" not in page
    browser.force_login(reviewer)
    page = browser.get(path).content
    assert b"waiting<" in page
    assert person.username.encode() not in page


def test_the_page_and_rest_filter_alike(project: Project) -> None:
    make(project, external_id="one", model_1="llava")
    make(project, external_id="two", model_2="qwen")
    make(project, external_id="three", response_1="Nothing.", model_1="llava")
    reviewer = factories.make_member(project, "reviewer")
    browser = Client()
    browser.force_login(reviewer)
    page = browser.get(f"/projects/{project.slug}/comparisons/?text=star&model=llava").content
    token = factories.make_token(reviewer, "read")
    rest = Client().get(
        f"/api/v1/projects/{project.slug}/comparisons?search=star&model=llava",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert [one["external_id"] for one in rest.json()["results"]] == ["one"]
    shown = {name for name in (b"one", b"two", b"three") if b">" + name + b"<" in page}
    assert shown == {b"one"}

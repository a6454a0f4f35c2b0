"""Gold from verified responses: drafts, what a manager makes of them, and what they measure."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from annotation import gold_and_repeats, queue
from annotation.exporting import NothingToRelease, make_release
from annotation.models import Comparison, Project
from annotation.quality.corrupted_gold import drafts, make_corrupted, next_draft
from tests.factories import judge, make_comparison, make_member, make_project

pytestmark = pytest.mark.django_db
RIGHT = "Two red apples lie on the left side of the table."


@pytest.fixture
def project() -> Project:
    return make_project(k=1, gold_rate=0.5)


def decided(project: Project, right: str = RIGHT) -> Comparison:
    comparison = make_comparison(project, response_1=right, response_2="There is a cat.")
    judge(comparison, "2")
    comparison.refresh_from_db()
    return comparison


def test_a_draft_is_of_the_better_response_and_stays_the_same(project: Project) -> None:
    comparison = decided(project)
    make_comparison(project, response_1=RIGHT)
    found = next_draft(project)
    assert found is not None
    assert found[0] == comparison
    assert found[1] == drafts(comparison)
    assert {one.kind for one in found[1]} == {"object", "count", "colour", "position"}


def test_gold_is_made_once_and_measures_by_the_changed_response(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison = decided(project)
    wrong = RIGHT.replace("Two", "Five")
    gold, created = make_corrupted(comparison, wrong, explanation="there are two")
    assert make_corrupted(comparison, wrong) == (gold, False)
    assert created
    texts = {"1": gold.response_1, "2": gold.response_2}
    assert texts.pop(gold.gold_more_hallucinated) == wrong
    assert list(texts.values()) == [RIGHT]
    assert (gold.prompt, gold.model_1, gold.model_2) == (comparison.prompt, "", "")
    assert (gold.wanted_judgments, gold.open_slots, gold.outcome) == (0, 0, "decided")
    assert next_draft(project) is None
    make_comparison(project)  # A check comes only in place of work.
    monkeypatch.setattr(gold_and_repeats.random, "random", lambda: 0.0)
    lease = queue.claim(project, make_member(project))
    assert lease is not None
    assert (lease.comparison, lease.purpose) == (gold, "gold")


def test_made_gold_is_in_no_release(project: Project) -> None:
    comparison = decided(project)
    make_corrupted(comparison, "Something else entirely.")
    assert make_release(project).counts["preferences"] == 1
    comparison.delete()
    with pytest.raises(NothingToRelease):
        make_release(project)


@pytest.mark.parametrize("text", ["", "  ", RIGHT, f"{RIGHT} ", "a\0b"])
def test_a_text_that_measures_nothing_is_refused(project: Project, text: str) -> None:
    comparison = decided(project)
    with pytest.raises(gold_and_repeats.NotGold) as refused:
        make_corrupted(comparison, text)
    assert refused.value.extra == {"field": "text"}
    assert Comparison.objects.count() == 1


def test_what_is_not_decided_makes_no_gold(project: Project) -> None:
    with pytest.raises(gold_and_repeats.NotGold):
        make_corrupted(make_comparison(project), "Some text.")


def test_a_manager_edits_a_draft_into_gold(project: Project) -> None:
    comparison = decided(project)
    client = Client()
    client.force_login(make_member(project, "manager"))
    page = reverse("annotation:corrupted", args=[project.slug])
    shown = client.get(page, {"kind": "colour"})
    draft = shown.context["form"].initial["text"]
    assert draft != RIGHT and "red" not in draft
    path = reverse("annotation:corrupt", args=[project.slug, comparison.pk])
    sent = {"text": f"{draft}\r\nIt is late.", "explanation": "wrong colour", "kind": "colour"}
    answer = client.post(path, sent)
    assert answer.status_code == 302
    assert answer["Location"] == f"{page}?after={comparison.pk}&kind=colour"
    gold = Comparison.objects.exclude(gold_more_hallucinated="").get()
    assert f"{draft}\nIt is late." in (gold.response_1, gold.response_2)
    assert gold.gold_explanation == "wrong colour"
    assert b"No draft" in client.get(page).content


def test_an_empty_draft_comes_back_with_its_fault(project: Project) -> None:
    comparison = decided(project)
    client = Client()
    client.force_login(make_member(project, "manager"))
    path = reverse("annotation:corrupt", args=[project.slug, comparison.pk])
    answer = client.post(path, {"text": ""})
    assert answer.status_code == 422
    assert b"This field is required" in answer.content
    assert client.post(path, {"text": RIGHT}).status_code == 302
    assert not Comparison.objects.exclude(gold_more_hallucinated="").exists()

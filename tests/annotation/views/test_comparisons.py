"""What reviewers see of the votes: marks, confidence and notes, and nobody's name."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from annotation import adjudication
from annotation.answers import Answer
from annotation.models import Comparison, Project
from tests import factories

pytestmark = pytest.mark.django_db
STAR = {"response": 2, "start": 11, "end": 21, "kind": "object"}
GREEN = {"response": 2, "start": 11, "end": 16, "kind": "attribute"}


@pytest.fixture
def comparison() -> Comparison:
    """Disputed between two people, who marked overlapping words."""
    project = factories.make_project(k=2, mark_spans=True)
    comparison = factories.make_comparison(project)
    factories.judge(comparison, "2", spans=[STAR], confidence=4, note="No star & no <b>green</b>.")
    factories.judge(comparison, "1", spans=[GREEN], confidence=1)
    comparison.refresh_from_db()
    assert comparison.outcome == Comparison.Outcome.DISPUTED
    return comparison


def page(project: Project, route: str, *arguments: int) -> str:
    client = Client()
    client.force_login(factories.make_member(project, "reviewer"))
    path = reverse(f"annotation:{route}", args=[project.slug, *arguments])
    return client.get(path).content.decode()


@pytest.mark.parametrize("route", ["comparison", "disputes"])
def test_reviewers_see_marks_confidence_and_notes(comparison: Comparison, route: str) -> None:
    arguments = [comparison.pk] if route == "comparison" else []
    shown = page(comparison.project, route, *arguments)
    assert '<mark data-kind="attribute, object" data-marks="2">green</mark>' in shown
    assert '<mark data-kind="object" data-marks="1"> star</mark>' in shown
    assert "“green star”" in shown
    assert "4 of 5" in shown
    assert "No star &amp; no &lt;b&gt;green&lt;/b&gt;." in shown


@pytest.mark.parametrize("route", ["comparison", "disputes"])
def test_reviewers_see_what_was_corrected(comparison: Comparison, route: str) -> None:
    first, second = comparison.judgments.order_by("pk")
    first.corrections = [
        {"response": 1, "text": comparison.response_1.replace("a red", "<i>no</i>")}
    ]
    second.corrections = [{"response": 2, "text": comparison.response_2}]
    for judgment in (first, second):
        judgment.save()
    comparison.imported_corrections = [{"response": 2, "text": "Brought along."}]
    comparison.save()
    arguments = [comparison.pk] if route == "comparison" else []
    shown = page(comparison.project, route, *arguments)
    assert "<del>a red </del><ins>&lt;i&gt;no&lt;/i&gt; </ins>" in shown
    assert "nothing is false" in shown
    assert ("Brought along" in shown) == (route == "comparison")


@pytest.mark.parametrize("route", ["comparison", "disputes"])
def test_reviewers_see_no_names(comparison: Comparison, route: str) -> None:
    arguments = [comparison.pk] if route == "comparison" else []
    shown = page(comparison.project, route, *arguments)
    for judgment in comparison.judgments.select_related("assignment__annotator"):
        annotator = judgment.assignment.annotator
        assert f">{annotator.username}<" not in shown
        assert str(annotator.pseudonym) not in shown


def test_reviewers_see_the_ruling_and_its_note(comparison: Comparison) -> None:
    reviewer = factories.make_member(comparison.project, "reviewer")
    ruling = Answer(more_hallucinated="tie", more_helpful="1", note="Both invent a star.")
    adjudication.rule(comparison, reviewer, ruling)
    shown = page(comparison.project, "comparison", comparison.pk)
    assert "About the same, and response 1 is more helpful" in shown
    assert "Both invent a star." in shown
    assert reviewer.username in shown

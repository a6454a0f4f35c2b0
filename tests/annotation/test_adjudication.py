"""Rulings on disputed comparisons: the domain, the page and REST."""

import pytest
from django.test import Client
from django.urls import reverse

from annotation import adjudication
from annotation.answers import Answer, InvalidAnswer
from annotation.models import Adjudication
from tests.annotation.api import Api
from tests.factories import judge, make_comparison, make_member, make_project

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project(k=2, maximum=2)


@pytest.fixture
def reviewer(project):
    return make_member(project, "reviewer")


def dispute(project, note="cannot see it"):
    comparison = make_comparison(project, model_1="secret-model", priority=1)
    judge(comparison, "1", note=note)
    judge(comparison, "2")
    comparison.refresh_from_db()
    assert comparison.outcome == "disputed"
    return comparison


def page(user, project, **parameters):
    client = Client()
    client.force_login(user)
    return client.get(reverse("annotation:disputes", args=[project.slug]), parameters)


def send(user, comparison, **fields):
    client = Client()
    client.force_login(user)
    path = reverse("annotation:dispute", args=[comparison.project.slug, comparison.pk])
    return client.post(path, fields)


def test_a_ruling_decides_and_empties_the_queue(project, reviewer):
    comparison = dispute(project)
    assert list(adjudication.disputed(project)) == [comparison]
    adjudication.rule(comparison, reviewer, Answer(more_hallucinated="2", note="no cross"))
    comparison.refresh_from_db()
    assert (comparison.outcome, comparison.preference, comparison.hallucination) == (
        "decided",
        1,
        True,
    )
    assert not adjudication.disputed(project).exists()


def test_the_same_ruling_twice_is_one_and_another_is_refused(project, reviewer):
    comparison = dispute(project)
    first = adjudication.rule(comparison, reviewer, Answer(more_hallucinated="2"))
    again = adjudication.rule(comparison, reviewer, Answer(more_hallucinated="2"))
    assert first == again
    with pytest.raises(adjudication.RuledDifferently):
        adjudication.rule(comparison, reviewer, Answer(more_hallucinated="1"))
    assert Adjudication.objects.count() == 1


def test_what_is_not_disputed_cannot_be_ruled_on(project, reviewer):
    with pytest.raises(adjudication.NotDisputed):
        adjudication.rule(make_comparison(project), reviewer, Answer(more_hallucinated="1"))
    with pytest.raises(InvalidAnswer):
        adjudication.rule(dispute(project), reviewer, Answer(more_hallucinated="tie"))
    assert not Adjudication.objects.exists()


def test_the_page_shows_votes_and_notes_but_no_names_and_no_models(project, reviewer):
    comparison = dispute(project, note="the <b>star</b> is missing")
    text = page(reviewer, project).content.decode()
    assert "the &lt;b&gt;star&lt;/b&gt; is missing" in text
    assert comparison.response_1 in text
    assert "secret-model" not in text
    for judgment in comparison.judgments.all():
        assert judgment.assignment.annotator.username not in text
        assert str(judgment.assignment.annotator.pseudonym) not in text


def test_the_page_goes_from_one_to_the_next_and_ends(project, reviewer):
    first, second = dispute(project), dispute(project)
    assert page(reviewer, project).context["comparison"] == first
    assert page(reviewer, project, after=first.pk).context["comparison"] == second
    assert page(reviewer, project, after=second.pk).context["comparison"] == first
    for comparison in (first, second):
        response = send(reviewer, comparison, more_hallucinated="tie", more_helpful="2")
        assert response.status_code == 302
        comparison.refresh_from_db()
        assert (comparison.preference, comparison.hallucination) == (2, False)
    assert "Nothing is disputed" in page(reviewer, project).content.decode()


@pytest.mark.parametrize(
    "fields",
    [{}, {"more_hallucinated": "tie"}, {"more_hallucinated": "1", "more_helpful": "2"}],
)
def test_half_a_ruling_is_refused_and_the_page_says_why(project, reviewer, fields):
    comparison = dispute(project)
    response = send(reviewer, comparison, **fields)
    assert response.status_code == 422
    assert response.context["form"].errors
    assert not Adjudication.objects.exists()


def test_disputes_are_for_reviewers(project):
    comparison = dispute(project)
    annotator = make_member(project)
    outsider = make_member(make_project(), "manager")
    for person, status in ((annotator, 403), (outsider, 404)):
        assert page(person, project).status_code == status
        assert send(person, comparison, more_hallucinated="1").status_code == status
    foreign = dispute(make_project(k=2, maximum=2))
    manager = make_member(project, "manager")
    path = reverse("annotation:dispute", args=[project.slug, foreign.pk])
    client = Client()
    client.force_login(manager)
    assert client.post(path, {"more_hallucinated": "1"}).status_code == 404
    assert not Adjudication.objects.exists()


def test_rest_lists_disputes_and_takes_rulings(project, reviewer):
    comparison = dispute(project)
    api = Api(reviewer)
    (found,) = api.get(f"projects/{project.slug}/disputes").json()["results"]
    assert found["response_2"] == comparison.response_2
    assert sorted(vote["more_hallucinated"] for vote in found["votes"]) == ["1", "2"]
    assert not {"model_1", "model_2", "annotator"} & {*found, *found["votes"][0]}
    path = f"projects/{project.slug}/disputes/{comparison.pk}"
    ruled = api.post(path, {"more_hallucinated": "1", "note": "no star"})
    assert ruled.status_code == 201
    assert (ruled.json()["outcome"], ruled.json()["preference"]) == ("decided", 2)
    assert api.post(path, {"more_hallucinated": "2"}).status_code == 409
    assert api.post(path, {"more_hallucinated": "3"}).status_code == 400

"""A page speaks for the person whom it was made for, and for nobody else who is logged in."""

from __future__ import annotations

import re
import uuid

import pytest
from django.test import Client
from django.urls import reverse

from annotation import queue
from annotation.models import Assignment, Judgment, User
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def assignment() -> Assignment:
    project = factories.make_project(k=1)
    factories.make_comparison(project)
    lease = queue.claim(project, factories.make_member(project))
    assert lease is not None
    return lease


def logged_in(user: User | None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def answer(assignment: Assignment, client: Client, named: str | None):  # type: ignore[no-untyped-def]
    body = {"client_uuid": str(uuid.uuid4()), "more_hallucinated": "1"}
    headers = {"HX-Request": "true"} | ({} if named is None else {"X-Person": named})
    return client.post(reverse("annotation:answer", args=[assignment.token]), body, headers=headers)


def test_an_answer_in_the_name_of_who_is_logged_in_is_stored(assignment: Assignment) -> None:
    owner = assignment.annotator
    assert answer(assignment, logged_in(owner), str(owner.pseudonym)).status_code == 200
    assert Judgment.objects.count() == 1


@pytest.mark.parametrize("who", ["nobody", "other"])
def test_an_answer_in_the_name_of_somebody_else_is_refused_not_found_wrong(
    assignment: Assignment, who: str
) -> None:
    other = factories.make_member(assignment.project)
    client = logged_in(other if who == "other" else None)
    refused = answer(assignment, client, str(assignment.annotator.pseudonym))
    assert (refused.status_code, refused["X-Person"]) == (401, who)
    assert refused["Content-Type"] == "text/plain"
    assert not Judgment.objects.exists()


def test_an_answer_that_names_another_owner_is_refused_to_the_one_whose_lease_it_is(
    assignment: Assignment,
) -> None:
    other = factories.make_member(assignment.project)
    client = logged_in(assignment.annotator)
    for named in (str(other.pseudonym), "", "nonsense"):
        assert answer(assignment, client, named).status_code == 401
    assert not Judgment.objects.exists()


def test_every_route_refuses_what_names_another_person(assignment: Assignment) -> None:
    """Also the REST API and addresses that do not exist: the rule stands in front of the routes."""
    client = logged_in(assignment.annotator)
    for path in ("/projects/", "/benchmarks/rate/1/", "/api/v1/projects", "/nowhere/", "/login/"):
        for method in (client.get, client.post):
            refused = method(path, headers={"X-Person": str(uuid.uuid4())})
            assert (path, refused.status_code) == (path, 401)


def test_a_form_sent_after_its_session_leads_back_to_its_page(assignment: Assignment) -> None:
    """The address of the form knows no GET: after the log-in it would be an error."""
    project = assignment.project
    page = reverse("annotation:label", args=[project.slug])
    client = Client()
    sent = client.post(
        reverse("annotation:quiz-begin", args=[project.slug]),
        headers={"Referer": f"http://testserver{page}?change=1#top"},
    )
    assert sent["Location"] == f"/login/?next={page}%3Fchange%3D1"
    shown = client.get(sent["Location"]).content.decode()
    assert "Your session had ended" in shown
    credentials = {"username": assignment.annotator.username, "password": factories.PASSWORD}
    entered = client.post("/login/", {**credentials, "next": f"{page}?change=1"})
    assert entered["Location"] == f"{page}?change=1"


@pytest.mark.parametrize(
    "referer", ["", "http://elsewhere.example/projects/", "//elsewhere.example"]
)
def test_no_other_site_says_where_the_log_in_leads(assignment: Assignment, referer: str) -> None:
    path = reverse("annotation:quiz-begin", args=[assignment.project.slug])
    assert Client().post(path, headers={"Referer": referer})["Location"] == "/login/"


def test_the_quiz_takes_a_scripts_answer_without_a_page(assignment: Assignment) -> None:
    owner = assignment.annotator
    membership = assignment.project.memberships.get(user=owner)
    attempt = membership.quiz_attempts.create(number=1, pass_mark=0.5)
    question = attempt.answers.create(
        comparison=assignment.comparison, position=1, shown_first=1, known="1"
    )
    sent = logged_in(owner).post(
        reverse("annotation:quiz-answer", args=[question.pk]),
        {"client_uuid": str(uuid.uuid4()), "more_hallucinated": "1"},
        headers={"HX-Request": "true", "X-Person": str(owner.pseudonym)},
    )
    assert (sent.status_code, sent.content) == (204, b"")
    question.refresh_from_db()
    assert question.given == "1"


def test_a_plain_form_under_another_persons_log_in_is_refused_in_words_and_loses_nothing(
    assignment: Assignment,
) -> None:
    """Without scripts nothing names the person: the form's own token does."""
    owner, other = assignment.annotator, factories.make_member(assignment.project)
    client = Client(enforce_csrf_checks=True)
    page = reverse("annotation:label", args=[assignment.project.slug])

    def log_in(user: User) -> None:
        shown = client.get("/login/").content.decode()
        sent = {"username": user.username, "password": factories.PASSWORD}
        assert client.post("/login/", {**sent, **token_in(shown)}).status_code == 302

    log_in(owner)
    form = {**token_in(client.get(page).content.decode()), "client_uuid": str(uuid.uuid4())}
    form |= {"more_hallucinated": "1", "note": "What I wrote."}
    client.cookies.pop("sessionid")
    log_in(other)
    path = reverse("annotation:answer", args=[assignment.token])
    refused = client.post(path, form)
    assert refused.status_code == 403
    said = refused.content.decode()
    assert "This form belongs to another session" in said
    assert "Nothing was saved. Go back, reload the page and send it again." in said
    assert not Judgment.objects.exists()
    # With a token of the other's, as from a page that both have seen: no lease of theirs.
    fresh = token_in(client.get("/projects/").content.decode())
    assert client.post(path, {**form, **fresh}).status_code == 404
    assert not Judgment.objects.exists()
    client.cookies.pop("sessionid")
    log_in(owner)
    shown = client.get(page).content.decode()
    assert f'data-task="{assignment.token}"' in shown
    assert client.post(path, {**form, **token_in(shown)}).status_code == 302
    assert Judgment.objects.get().note == "What I wrote."


def token_in(page: str) -> dict[str, str]:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found is not None
    return {"csrfmiddlewaretoken": found[1]}

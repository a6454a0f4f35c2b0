"""Every page of annotation, by every kind of person. A page that is not listed fails the test."""

from __future__ import annotations

import uuid
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.urls import get_resolver, reverse

from annotation import exporting, queue
from annotation.models import ImportJob, Invitation, User, Webhook
from annotation.onboarding import guidelines
from tests import factories

ROLES = ("outsider", "annotator", "reviewer", "manager", "admin")
RANK = {"annotator": 1, "reviewer": 2, "manager": 3, "admin": 4}

# Page -> (method, least role). "anyone" is logged in; "owner" is the annotator of the world.
# "nobody": of participants of a study, who have no log-in (annotation.crowd).
PAGES: dict[str, list[tuple[str, str]]] = {
    "projects": [("get", "anyone")],
    "project-new": [("get", "admin"), ("post", "admin")],
    "project": [("get", "annotator")],
    "project-edit": [("get", "manager"), ("post", "manager")],
    "members": [("get", "manager"), ("post", "manager")],
    "member": [("post", "manager")],
    "invitations": [("post", "manager")],
    "join": [("get", "anyone")],
    "machine-labels": [("get", "reviewer"), ("post", "manager")],
    "machine-labelling": [("get", "reviewer")],
    "machine-labelling-act": [("post", "manager")],
    "studies": [("get", "manager"), ("post", "manager")],
    "study": [("get", "manager"), ("post", "manager")],
    "study-act": [("post", "manager")],
    "study-participants": [("get", "manager")],
    "study-begin": [("get", "anyone")],
    "study-finished": [("get", "nobody"), ("post", "nobody")],
    "comparisons": [("get", "reviewer")],
    "change-comparisons": [("post", "manager")],
    "comparison": [("get", "reviewer")],
    "gold": [("post", "manager")],
    "disputes": [("get", "reviewer")],
    "dispute": [("post", "reviewer")],
    "quality": [("get", "reviewer")],
    "promote": [("post", "manager")],
    "corrupted": [("get", "manager")],
    "corrupt": [("post", "manager")],
    "annotator": [("get", "reviewer")],
    "imports": [("get", "manager"), ("post", "manager")],
    "import": [("get", "manager")],
    "import-left-out": [("get", "manager")],
    "releases": [("get", "reviewer"), ("post", "manager")],
    "release": [("get", "reviewer")],
    "release-archive": [("post", "manager")],
    "release-download": [("get", "reviewer")],
    "release-folder": [("get", "reviewer")],
    "label": [("get", "annotator")],
    "label-next": [("post", "annotator")],
    "label-previous": [("post", "annotator")],
    "my-answers": [("get", "annotator")],
    "acknowledge": [("post", "annotator")],
    "guide": [("get", "anyone")],
    "guidelines": [("get", "annotator")],
    "publish": [("post", "manager")],
    "example": [("get", "manager"), ("post", "manager")],
    "example-remove": [("post", "manager")],
    "invitation-withdraw": [("post", "manager")],
    "quiz": [("get", "manager"), ("post", "manager")],
    "quiz-admit": [("post", "manager")],
    "quiz-grant": [("post", "manager")],
    "quiz-begin": [("post", "annotator")],
    "quiz-answer": [("post", "owner")],
    "answer": [("post", "owner")],
    "skip": [("post", "owner")],
    "renew": [("post", "owner")],
    "notices": [("get", "anyone")],
    "notices-read": [("post", "anyone")],
    "notice-open": [("post", "owner")],
    "notice-choices": [("get", "anyone"), ("post", "anyone")],
    "webhooks": [("get", "admin"), ("post", "admin")],
    "webhook": [("get", "admin"), ("post", "admin")],
    "password": [("get", "anyone"), ("post", "anyone")],
    "language": [("get", "anyone"), ("post", "anyone")],
    "language-choose": [("post", "anyone")],
    "tokens": [("get", "anyone"), ("post", "anyone")],
    "token-revoke": [("post", "owner")],
    "single-sign-on": [("get", "anyone")],
    "sso-connect": [("post", "anyone")],
    "sso-disconnect": [("post", "anyone")],
    "second-factor": [("get", "anyone")],
    "second-factor-begin": [("post", "anyone")],
    "second-factor-confirm": [("post", "anyone")],
    "second-factor-codes": [("post", "anyone")],
    "second-factor-off": [("post", "anyone")],
}
OPEN_TO_STRANGERS = {"join", "study-begin", "language-choose"}
GETS_THROUGH = (200, 204, 302, 409, 410, 422)


@dataclass
class World:
    people: dict[str, User]
    arguments: dict[str, dict[str, Any]]

    def path(self, name: str) -> str:
        return reverse(f"annotation:{name}", kwargs=self.arguments[name])


@pytest.fixture
def world(made: World, db: None, settings: Any) -> World:
    settings.OIDC_PROVIDER_ID = "oidc-of-the-lab"
    cache.clear()  # What was counted of these people in other tests.
    return deepcopy(made)


@pytest.fixture(scope="module")
def made(rows_of_the_module: None) -> World:
    project = factories.make_project(k=1)
    factories.judge(factories.make_comparison(project))
    comparison, *_ = factories.make_comparisons(project, 3)
    annotator = factories.make_member(project)
    assignment = queue.claim(project, annotator)
    assert assignment is not None
    factories.make_token(annotator)
    release = exporting.make_release(project)
    job = ImportJob.objects.create(project=project, name="pairs.jsonl")
    manager = factories.make_member(project, "manager")
    slug, token = {"slug": project.slug}, {"token": assignment.token}
    member = project.memberships.get(user=annotator)
    example = guidelines.draft(
        factories.make_comparison(project), manager, more_hallucinated="2", why="Look.", spans=[]
    )
    notice = annotator.notices.create(kind="run_failed", event="1", title="No", link="/")
    webhook = Webhook.objects.create(name="lab", address="https://hooks.example.org/x")
    study, _ = factories.make_study(project)
    labelling = factories.make_machine_labelling(project)
    invitation, _ = Invitation.create(project, role="annotator", created_by=manager)
    attempt = member.quiz_attempts.create(number=1, pass_mark=1)
    question = attempt.answers.create(comparison=comparison, position=1, shown_first=1, known="1")
    numbered = {**slug, "number": release.number}
    chosen = {**slug, "pk": comparison.pk}
    arguments = dict.fromkeys(PAGES, slug) | {
        **{
            name: {}
            for name in ("projects", "project-new", "password", "tokens", "guide", "language")
        },
        **{name: {} for name in PAGES if name.startswith(("second-factor", "single-", "sso-"))},
        **dict.fromkeys(("answer", "skip", "renew"), token),
        "member": {**slug, "pk": member.pk},
        **{name: {} for name in ("notices", "notices-read", "notice-choices", "webhooks")},
        "notice-open": {"pk": notice.pk},
        "language-choose": {},
        "webhook": {"pk": webhook.pk},
        "join": {"raw": "no-such-invitation"},
        **{
            name: {**slug, "number": labelling.number}
            for name in ("machine-labelling", "machine-labelling-act")
        },
        "study-begin": {"raw": "no-such-study"},
        **{name: {**slug, "pk": study.pk} for name in ("study", "study-act", "study-participants")},
        **dict.fromkeys(("comparison", "gold", "dispute", "corrupt", "example"), chosen),
        "example-remove": {**slug, "pk": example.pk},
        "invitation-withdraw": {**slug, "pk": invitation.pk},
        "quiz-admit": {**slug, "pk": member.pk},
        "quiz-grant": {**slug, "pk": member.pk},
        "quiz-answer": {"pk": question.pk},
        **{name: {**slug, "pk": job.pk} for name in ("import", "import-left-out")},
        "release": numbered,
        "release-archive": numbered,
        "release-download": {**numbered, "format_name": "csv"},
        "release-folder": {**numbered, "format_name": "datasets"},
        "annotator": {**slug, "pk": manager.pk},
        "token-revoke": {"pk": annotator.api_tokens.get().pk},
    }
    people = {
        "outsider": factories.make_user(),
        "annotator": annotator,
        "reviewer": factories.make_member(project, "reviewer"),
        "manager": manager,
        "admin": factories.make_admin(),
    }
    return World(people, arguments)


def status(client: Client, method: str, path: str) -> int:
    response = getattr(client, method)(path)
    if response.streaming:
        list(response.streaming_content)  # Closes the file behind it.
    return response.status_code


def refusal(least: str, role: str) -> int | None:
    if least == "anyone" or (least == "owner" and role == "annotator"):
        return None
    if least in ("owner", "nobody"):
        return 404
    if least == "admin":
        return None if role == "admin" else 403
    if role == "outsider":
        return 404
    return None if RANK[role] >= RANK[least] else 403


def test_every_page_is_listed() -> None:
    names = {
        key
        for key in get_resolver().namespace_dict["annotation"][1].reverse_dict
        if isinstance(key, str)
    }
    assert names == set(PAGES)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", PAGES)
def test_pages_open_to_exactly_those_who_may(world: World, name: str, role: str) -> None:
    client = Client()
    client.force_login(world.people[role])
    for method, least in PAGES[name]:
        got = status(client, method, world.path(name))
        expected = refusal(least, role)
        assert got in GETS_THROUGH if expected is None else got == expected, (method, got)


@pytest.mark.parametrize("name", sorted(PAGES.keys() - OPEN_TO_STRANGERS))
def test_pages_ask_strangers_to_log_in(world: World, name: str) -> None:
    for method, _ in PAGES[name]:
        response = getattr(Client(), method)(world.path(name))
        assert response.status_code == 302
        assert response["Location"].startswith(reverse(settings.LOGIN_URL))


@pytest.mark.parametrize("name", PAGES)
def test_pages_refuse_other_methods(world: World, name: str) -> None:
    client = Client()
    client.force_login(world.people["admin"])
    known = {method for method, _ in PAGES[name]}
    for method in {"get", "post", "put", "delete"} - known:
        if (name, method) in (("join", "post"), ("study-begin", "post")):
            continue
        assert status(client, method, world.path(name)) == 405, method


def test_a_lease_of_somebody_else_looks_like_none(world: World) -> None:
    client = Client()
    client.force_login(world.people["manager"])
    foreign = client.post(world.path("answer"))
    nowhere = client.post(reverse("annotation:answer", args=[uuid.uuid4()]))
    assert (foreign.status_code, nowhere.status_code) == (404, 404)


def test_a_removed_member_can_no_longer_answer(world: World) -> None:
    annotator = world.people["annotator"]
    annotator.memberships.all().delete()
    client = Client()
    client.force_login(annotator)
    assert client.post(world.path("answer")).status_code == 404

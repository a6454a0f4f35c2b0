from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from annotation import queue
from annotation.models import Judgment, Participant, Project, Study, User
from tests import factories

Arrive = Callable[..., Client]


@pytest.fixture(autouse=True)
def fresh_limits() -> None:
    cache.clear()


@pytest.fixture
def project(db: None) -> Project:
    project = factories.make_project(k=5)
    factories.make_comparisons(project, 6)
    return project


@pytest.fixture
def study(project: Project) -> Study:
    made, raw = factories.make_study(project, answers=2, places=3)
    made.raw = raw  # type: ignore[attr-defined]
    return made


def address(study: Any, participant: str = "p1", session: str = "s1") -> str:
    path = reverse("annotation:study-begin", args=[study.raw])
    return f"{path}?PROLIFIC_PID={participant}&STUDY_ID=st&SESSION_ID={session}"


def arrive(study: Any, participant: str = "p1", session: str = "s1") -> Client:
    """A browser in which somebody has opened the link and begun."""
    client = Client()
    answer = client.post(address(study, participant, session))
    assert answer.status_code == 302, answer.content
    return client


def participant(name: str = "p1") -> Participant:
    return Participant.objects.select_related("user", "study").get(external_id=name)


def answer(project: Project, person: User, choice: str = "1", **fields: Any) -> Judgment:
    """They claim and answer one comparison more."""
    lease = queue.claim(project, person)
    assert lease is not None
    given = queue.Answer(more_hallucinated=choice, **fields)
    return queue.submit(person, lease.token, given, client_uuid=uuid.uuid4()).judgment

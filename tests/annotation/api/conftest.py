"""A project, its manager, and the API as the manager calls it."""

from __future__ import annotations

import pytest

from annotation.models import Project, User
from tests.annotation.api import Api
from tests.factories import make_member, make_project


@pytest.fixture
def project() -> Project:
    return make_project(k=1, gold_rate=0.1)


@pytest.fixture
def manager(project: Project) -> User:
    return make_member(project, "manager")


@pytest.fixture
def api(manager: User) -> Api:
    return Api(manager)

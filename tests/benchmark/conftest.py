import pytest

from annotation.models import Project, User
from tests.factories import make_member, make_project


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def manager(project: Project) -> User:
    return make_member(project, "manager")

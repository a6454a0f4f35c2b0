"""A run without a name of its own says of which project and release it is, each once."""

from __future__ import annotations

import pytest

from annotation.models import Release
from tests.factories import make_project
from training.runs import requests

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("what", "number", "named"),
    [
        ("PPO", 3, "PPO, Cats, release 3"),
        ("PPO", None, "PPO, Cats"),
        ("Pairs from Cats, release 3: PPO", 3, "Pairs from Cats, release 3: PPO"),
        ("MMHal-Bench for base", None, "MMHal-Bench for base, Cats"),
    ],
)
def test_a_name_has_project_and_release(what: str, number: int | None, named: str) -> None:
    project = make_project(name="Cats")
    release = None if number is None else Release(project=project, number=number)
    assert requests.named(what, project, release) == named

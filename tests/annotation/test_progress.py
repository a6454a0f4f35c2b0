"""Counts of a project, and how seldom the labelling page counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache

from annotation import gold_and_repeats, progress
from annotation.models import Project
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def project() -> Project:
    """One comparison settled, two that wait for a judgment each, and a fourth that is gold."""
    project = factories.make_project(k=1)
    factories.judge(factories.make_comparison(project))
    factories.make_comparisons(project, 2)
    gold_and_repeats.make_gold(factories.make_comparison(project), more_hallucinated="1")
    return project


def test_the_size_counts_gold_and_moves_by_no_answer(project: Project) -> None:
    assert progress.size(project) == 4
    assert progress.progress_of(project).comparisons == 3
    other = factories.make_project()
    assert progress.size(other) == 0
    assert progress.sizes([project, other]) == {project.pk: 4, other.pk: 0}


def test_a_size_is_kept_for_a_while(
    project: Project, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(progress, "COUNTS_LAST_TIMES", 1e9)
    before = progress.size(project)
    factories.make_comparison(project)
    with django_assert_num_queries(0):
        assert progress.size(project) == before


def test_a_size_is_counted_anew_afterwards(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "COUNTS_LAST_TIMES", 0)
    progress.size(project)
    factories.make_comparison(project)
    assert progress.size(project) == 5


def test_only_one_request_counts_at_a_time(
    project: Project, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(progress, "COUNTS_LAST_TIMES", 0)
    before = progress.size(project)
    cache.add(f"annotation.size.{project.pk}.counting", True, 60)
    with django_assert_num_queries(0):
        assert progress.size(project) == before


def test_sizes_of_projects_are_not_mixed(project: Project) -> None:
    other = factories.make_project()
    factories.make_comparisons(other, 2)
    assert progress.size(project) == 4
    assert progress.size(other) == 2

"""Counts of a project, and how seldom the labelling page counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache

from annotation import checks, progress
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
    checks.make_gold(factories.make_comparison(project), more_hallucinated="1")
    return project


def test_labelling_counts_agree_with_the_progress(project: Project) -> None:
    counts, whole = progress.labelling_counts(project), progress.progress_of(project)
    assert counts == progress.LabellingCounts(comparisons=3, settled=1, judgments=1, wanted=3)
    assert (counts.settled, counts.wanted) == (whole.settled, whole.wanted)


def test_labelling_counts_of_an_empty_project_are_zero() -> None:
    counts = progress.labelling_counts(factories.make_project())
    assert counts == progress.LabellingCounts(comparisons=0, settled=0, judgments=0, wanted=0)


def test_labelling_counts_are_kept_for_a_while(
    project: Project, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(progress, "COUNTS_LAST_TIMES", 1e9)
    before = progress.labelling_counts(project)
    factories.make_comparison(project)
    with django_assert_num_queries(0):
        assert progress.labelling_counts(project) == before


def test_labelling_counts_are_counted_anew_afterwards(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "COUNTS_LAST_TIMES", 0)
    progress.labelling_counts(project)
    factories.make_comparison(project)
    assert progress.labelling_counts(project).comparisons == 4


def test_only_one_request_counts_at_a_time(
    project: Project, monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(progress, "COUNTS_LAST_TIMES", 0)
    before = progress.labelling_counts(project)
    cache.add(f"annotation.labelling-counts.{project.pk}.counting", True, 60)
    with django_assert_num_queries(0):
        assert progress.labelling_counts(project) == before


def test_counts_of_projects_are_not_mixed(project: Project) -> None:
    other = factories.make_project()
    factories.make_comparisons(other, 2)
    assert progress.labelling_counts(project).comparisons == 3
    assert progress.labelling_counts(other).comparisons == 2

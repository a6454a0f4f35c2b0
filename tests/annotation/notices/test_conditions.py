"""What holds for a while is told when it begins, to those whom it concerns."""

from __future__ import annotations

import pytest

from annotation import leases
from annotation.models import Comparison, Figures, Notice, Project
from annotation.notices import conditions, writing
from annotation.quality import figures
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    project = factories.make_project(k=1)
    for role in ("annotator", "reviewer", "manager"):
        factories.make_member(project, role)
    return project


def told(project: Project, kind: str) -> list[tuple[str, str]]:
    """(role, title) of each notice."""
    roles = dict(project.memberships.values_list("user", "role"))
    found = Notice.objects.filter(kind=kind).order_by("pk")
    return [(roles[one.person_id], one.title) for one in found]


def test_disputes_are_told_once_until_all_are_ruled_on(project: Project) -> None:
    comparison = factories.make_comparison(project)
    conditions.watch()
    assert told(project, "disputes_waiting") == []
    Comparison.objects.update(outcome="disputed")
    conditions.watch()
    conditions.watch()
    words = f"1 dispute waits for a ruling in {project.name}"
    assert sorted(told(project, "disputes_waiting")) == [
        ("manager", words),
        ("reviewer", words),
    ]
    Comparison.objects.update(outcome="undecided")
    conditions.watch()
    Comparison.objects.filter(pk=comparison.pk).update(outcome="disputed")
    conditions.watch()
    assert len(told(project, "disputes_waiting")) == 4


def test_a_project_that_is_nearly_done_is_told_to_its_managers(project: Project) -> None:
    factories.judge(factories.make_comparison(project))
    conditions.watch()
    [(role, title)] = told(project, "project_nearly_done")
    assert role == "manager"
    assert title.endswith("is nearly done: 1 of 1 answers")
    factories.make_comparisons(project, 9)
    conditions.watch()
    assert len(told(project, "project_nearly_done")) == 1


def test_agreement_under_the_bar_is_told_when_it_is_sure(project: Project) -> None:
    kept = figures.refresh(project)
    for alpha, low, high, number in (
        (0.1, -0.1, 0.5, 50),
        (0.1, 0.0, 0.2, 19),
        (0.1, -0.1, 0.3, 50),
    ):
        data = {**kept.data, "agreement": {"alpha": alpha, "low": low, "high": high}}
        data["agreement"]["comparisons"] = number
        Figures.objects.filter(project=project).update(data=data)
        before = told(project, "agreement_low")
        assert before == []
        conditions.watch()
    [(role, title)] = told(project, "agreement_low")
    assert role == "manager"
    assert "alpha 0.10 (\N{MINUS SIGN}0.10 to 0.30)" in title


def test_projects_that_are_closed_are_not_watched(project: Project) -> None:
    factories.make_comparison(project, outcome="disputed")
    Project.objects.update(state="closed")
    conditions.watch()
    assert not Notice.objects.exists()


def test_who_is_paused_is_told_to_managers_when_the_project_did_it(project: Project) -> None:
    membership = project.memberships.get(role="annotator")
    leases.pause(membership)
    assert not Notice.objects.exists()
    leases.pause(membership, reason="Too many were wrong.")
    [(role, title)] = told(project, "annotator_paused")
    assert role == "manager"
    assert membership.user.username in title
    assert "Too many were wrong." in title


def test_a_swing_around_the_limit_is_told_once(project: Project) -> None:
    admin = factories.make_admin()
    for now, over in ((True, False), (False, False), (True, False), (False, True), (True, False)):
        conditions.holds(
            "disk_nearly_full", now, writing.superusers, title="Full", link="/", over=over
        )
    assert Notice.objects.filter(person=admin).count() == 2

"""What the database itself refuses, and that the admin site shows every model."""

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import IntegrityError, transaction
from django.urls import reverse

from annotation.models import Assignment, Comparison, Membership, Project, Release
from tests.factories import (
    judge,
    make_admin,
    make_comparison,
    make_member,
    make_project,
    make_prompt,
)

pytestmark = pytest.mark.django_db


def refused(change, constraint):
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        change()


COMPARISONS = [
    ({"preference": 3, "outcome": "decided"}, "comparison_preference_1_or_2"),
    ({"preference": 1}, "comparison_"),
    ({"outcome": "decided"}, "comparison_decided_names_preference"),
    ({"outcome": "decided", "preference": 1}, "comparison_preference_is_whole"),
    ({"open_slots": 4}, "comparison_slots_add_up"),
    ({"judgment_count": 1}, "comparison_slots_add_up"),
    ({"open_slots": -1}, "open_slots_check"),
]


@pytest.mark.parametrize(("fields", "constraint"), COMPARISONS)
def test_a_comparison_that_makes_no_sense_is_refused(fields, constraint):
    make_comparison(make_project(k=3))
    refused(lambda: Comparison.objects.update(**fields), constraint)


PROJECTS = [
    ({"judgments_per_comparison": 0}, "project_asks_somebody"),
    ({"max_judgments": 1}, "project_maximum_not_below_usual"),
    ({"gold_rate": 0.6}, "project_gold_rate_share"),
    ({"lease_minutes": 0}, "project_lease_is_positive"),
]


@pytest.mark.parametrize(("fields", "constraint"), PROJECTS)
def test_a_project_that_makes_no_sense_is_refused(fields, constraint):
    make_project(k=3)
    refused(lambda: Project.objects.update(**fields), constraint)


def test_ids_are_used_once_in_a_project():
    project = make_project()
    make_prompt(project, external_id="x")
    refused(lambda: make_prompt(project, external_id="x"), "prompt_id_once")
    make_prompt(make_project(), external_id="x")


def test_a_person_is_a_member_once_and_has_a_comparison_once():
    project = make_project()
    member = make_member(project)
    refused(lambda: make_member(project, user=member), "membership_once")
    refused(lambda: Membership.objects.update(role="owner"), "membership_role_known")
    judgment = judge(make_comparison(project))
    assignment = judgment.assignment
    assignment.pk = None
    assignment.token = "0b3cf1e0-9f2b-4a32-8d9c-2f6f2b6f0003"
    refused(assignment.save, "assignment_once_per_person")


def test_a_skip_needs_its_reason_and_a_tie_its_second_answer():
    judgment = judge(make_comparison(make_project()))
    refused(lambda: Assignment.objects.update(state="skipped"), "assignment_skip_has_reason")
    refused(
        lambda: type(judgment).objects.update(more_hallucinated="tie"), "judgment_answer_is_whole"
    )


def test_a_ready_release_has_its_artefact():
    Release.objects.create(project=make_project(), number=1)
    refused(lambda: Release.objects.update(state="ready"), "release_ready_has_artefact")


def test_new_guidelines_are_a_new_version():
    project = make_project(guidelines="Look closely.")
    project.change_guidelines("Look closely.")
    assert project.guidelines_version == 1
    project.change_guidelines("Look twice.")
    project.refresh_from_db()
    assert (project.guidelines, project.guidelines_version) == ("Look twice.", 2)


@pytest.mark.parametrize("model", list(apps.get_app_config("annotation").get_models()))
def test_the_admin_site_lists_every_model(client, model):
    assert model in admin.site._registry
    judge(make_comparison(make_project()))
    client.force_login(make_admin())
    name = f"admin:annotation_{model._meta.model_name}_changelist"
    response = client.get(reverse(name))
    assert response.status_code == 200
    for row in model.objects.all()[:1]:
        change = reverse(name.replace("changelist", "change"), args=[row.pk])
        assert client.get(change).status_code == 200

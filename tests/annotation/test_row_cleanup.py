"""What is over is deleted, and nothing else; two at once take turns at nothing."""

from datetime import timedelta

import pytest
from axes.models import AccessAttempt, AccessLog
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import F
from django.utils import timezone

from annotation import row_cleanup, tasks
from annotation.models import IdempotentAnswer, Invitation
from annotation.onboarding import joining
from tests.factories import make_member, make_project, make_user

pytestmark = pytest.mark.django_db


def answers(count):
    user = make_user()
    return IdempotentAnswer.objects.bulk_create(
        IdempotentAnswer(user=user, key=str(n), path="/", body_sha256="", status=200, answer={})
        for n in range(count)
    )


def age(rows, field, by):
    rows.update(**{field: F(field) - by})


def test_answers_older_than_the_setting_go(settings):
    settings.IDEMPOTENCY_HOURS = 24
    old, young = answers(2)
    age(IdempotentAnswer.objects.filter(pk=old.pk), "created_at", timedelta(hours=25))
    age(IdempotentAnswer.objects.filter(pk=young.pk), "created_at", timedelta(hours=23))
    tasks.tidy()
    assert IdempotentAnswer.objects.get() == young


def test_expired_sessions_go_and_others_stay():
    now = timezone.now()
    Session.objects.create(session_key="old", expire_date=now - timedelta(hours=1))
    Session.objects.create(session_key="new", expire_date=now + timedelta(days=1))
    tasks.tidy()
    assert Session.objects.get().session_key == "new"


@pytest.mark.parametrize("model", [AccessLog, AccessAttempt])
def test_log_ins_of_last_month_go(model):
    failures = {"failures_since_start": 3} if model is AccessAttempt else {}
    old, young = (model.objects.create(username=name, **failures) for name in ("old", "young"))
    age(model.objects.filter(pk=old.pk), "attempt_time", timedelta(days=31))
    age(model.objects.filter(pk=young.pk), "attempt_time", timedelta(days=29))
    tasks.tidy()
    assert model.objects.get() == young


def test_expired_invitations_go_unless_somebody_came_by_them():
    project = make_project()
    about = {"role": "annotator", "created_by": make_member(project, "manager")}
    _, link = Invitation.create(project, **about)
    joining.accept(link, make_user())
    used = Invitation.objects.get()
    expired, _ = Invitation.create(project, **about)
    age(Invitation.objects.filter(pk__in=[used.pk, expired.pk]), "expires_at", timedelta(days=15))
    open_one, _ = Invitation.create(project, **about)
    tasks.tidy()
    assert set(Invitation.objects.all()) == {used, open_one}


def test_batches_are_bounded_and_what_is_left_goes_next_time():
    answers(7)
    rows = IdempotentAnswer.objects.all()
    assert row_cleanup.delete_in_batches(rows, size=2, most_batches=2) == 4
    assert row_cleanup.delete_in_batches(rows, size=2) == 3
    assert not rows.exists()


@pytest.mark.django_db(transaction=True)
def test_rows_that_somebody_holds_are_passed_over():
    held, free = answers(2)
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM annotation_idempotentanswer WHERE id = %s FOR UPDATE", [held.pk]
            )
        assert row_cleanup.delete_in_batches(IdempotentAnswer.objects.all()) == 1
        assert not IdempotentAnswer.objects.filter(pk=free.pk).exists()
        other.rollback()
        assert row_cleanup.delete_in_batches(IdempotentAnswer.objects.all()) == 1
    finally:
        other.close()

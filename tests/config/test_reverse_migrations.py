"""A step back over a migration says what it would erase, and does not."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection, migrations
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone
from django_otp.plugins.otp_totp.models import TOTPDevice

from annotation.models import RecoveryCode
from config import reverse_migrations
from tests import factories

pytestmark = pytest.mark.django_db


def test_recovery_codes_are_not_erased_in_passing() -> None:
    user = factories.make_user()
    RecoveryCode.objects.create(user=user, digest="d" * 64)
    with pytest.raises(CommandError, match=r"would erase 1 recovery code\b.*backup"):
        call_command("migrate", "annotation", "0007", verbosity=0)
    assert RecoveryCode.objects.count() == 1


def test_nor_are_the_keys_of_second_factors_which_a_package_keeps() -> None:
    """Nobody would be asked for a code any more."""
    TOTPDevice.objects.create(user=factories.make_user(), name="app", confirmed=True)
    with pytest.raises(CommandError, match="would erase 1 TOTP device"):
        call_command("migrate", "otp_totp", "zero", verbosity=0)
    assert TOTPDevice.objects.count() == 1


def test_nor_is_anything_else_all_the_way_to_the_beginning() -> None:
    project = factories.make_project()
    factories.make_comparisons(project, 2)
    with pytest.raises(CommandError, match=r"would erase .*2 comparisons.*1 project\b"):
        call_command("migrate", "annotation", "zero", verbosity=0)
    assert project.comparisons.count() == 2


def ask(target: str) -> None:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan([("annotation", target)])
    assert plan and all(backwards for _, backwards in plan)
    state = executor._create_project_state(with_applied_migrations=True)
    sender = apps.get_app_config("annotation")
    reverse_migrations.refuse_to_erase(sender, using="default", apps=state.apps, plan=plan)


def test_a_column_that_says_something_counts_like_a_table() -> None:
    job = factories.make_project().import_jobs.create(name="a")
    ask("0008_second_factor")
    type(job).objects.filter(pk=job.pk).update(beat_at=timezone.now())
    with pytest.raises(CommandError, match="would erase 1 import"):
        ask("0008_second_factor")


def test_whoever_says_that_it_may_go_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    RecoveryCode.objects.create(user=factories.make_user(), digest="d" * 64)
    monkeypatch.setenv(reverse_migrations.ALLOWED, "yes")
    ask("0007_quiz_grants")


def test_every_table_and_column_that_is_there_is_asked() -> None:
    """The class: whatever a migration made that still exists is found by its operation."""
    executor = MigrationExecutor(connection)
    now = executor.loader.project_state().apps
    there = {(model._meta.app_label, model._meta.model_name) for model in now.get_models()}
    asked = set()
    for (label, _), migration in executor.loader.disk_migrations.items():
        for operation in migration.operations:
            rows = reverse_migrations._made_by(operation, label, now)
            if isinstance(operation, migrations.CreateModel) and rows is not None:
                asked.add((label, operation.name.lower()))
            if rows is not None:
                rows.count()  # The database can be asked.
    assert asked == there

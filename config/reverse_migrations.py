"""Going back over a migration erases the tables and columns that it had made, without a word.

Before that it is asked here what they hold, for all migrations, also those that are still to be
written and those of packages (the keys of second factors, single sign-on): Django sends
``pre_migrate`` with its plan. A migration whose column the way forward fills again from other
columns names it in ``filled_again``: nothing is lost with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from django.apps.registry import Apps
from django.core.exceptions import FieldDoesNotExist
from django.core.management.base import CommandError
from django.db import migrations
from django.db.models import Field, Model, QuerySet

ALLOWED = "MIGRATING_BACK_MAY_ERASE"


def refuse_to_erase(
    sender: Any,
    using: str,
    apps: Apps,
    plan: list[tuple[migrations.Migration, bool]],
    **_: Any,
) -> None:
    """Raises CommandError if a step of ``plan`` goes back over what holds data.

    ``apps`` are the models as they are before it.
    """
    if os.environ.get(ALLOWED) == "yes":
        return
    lost = [
        found
        for migration, backwards in plan
        if backwards and migration.app_label == sender.label
        for found in _lost(migration, apps, using)
    ]
    if lost:
        raise CommandError(
            f"Going back would erase {', '.join(lost)}. The way back is a backup "
            f"(docs/deployment.md). If they may go, set {ALLOWED}=yes and say it again."
        )


def _lost(migration: migrations.Migration, apps: Apps, using: str) -> Iterator[str]:
    filled_again = getattr(migration, "filled_again", ())
    for operation in migration.operations:
        name = getattr(operation, "model_name", ""), getattr(operation, "name", "")
        if name in filled_again:
            continue
        rows = _made_by(operation, migration.app_label, apps)
        number = rows.using(using).count() if rows is not None else 0
        if number:
            model = rows.model._meta  # type: ignore[union-attr]
            of = f" ({operation.name})" if isinstance(operation, migrations.AddField) else ""
            yield f"{number} {model.verbose_name if number == 1 else model.verbose_name_plural}{of}"


def _made_by(operation: Any, label: str, apps: Apps) -> QuerySet[Model] | None:
    """The rows that hold something where ``operation`` made the place for it."""
    is_table = isinstance(operation, migrations.CreateModel)
    if not is_table and not isinstance(operation, migrations.AddField):
        return None
    try:
        model = apps.get_model(label, operation.name if is_table else operation.model_name)
        if model._meta.swapped:  # Django's own people have no table: ours are in their place.
            return None
        if is_table:
            return model._default_manager.all()
        return _filled(model, model._meta.get_field(operation.name))
    except (LookupError, FieldDoesNotExist):  # A later migration took it away, or names it anew.
        return None


def _filled(model: type[Model], field: Any) -> QuerySet[Model]:
    """Rows in which the field says something that its default does not."""
    if field.many_to_many:
        return field.remote_field.through._default_manager.all()
    rows = model._default_manager.all()
    if isinstance(field, Field) and field.null:
        rows = rows.exclude(**{f"{field.name}__isnull": True})
    if field.has_default() and field.get_default() is not None:
        rows = rows.exclude(**{field.name: field.get_default()})
    elif field.empty_strings_allowed and not field.is_relation:
        rows = rows.exclude(**{field.name: ""})
    return rows

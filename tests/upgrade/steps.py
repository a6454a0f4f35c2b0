"""Run as a program against a database of its own: there, back, there again, and what was seen.

A process of its own, because Django's test databases know only the newest schema. Prints JSON.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from django.urls import reverse  # noqa: E402

from annotation import exporting  # noqa: E402
from annotation.models import Project, Release, User  # noqa: E402
from benchmark.models import Evaluation  # noqa: E402
from training.models import Checkpoint, Run  # noqa: E402

# Nothing is collected here.
STORAGES = {
    **settings.STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
APPS = ("benchmark", "training", "annotation")


def tables() -> dict[str, Any]:
    """Of every table its columns with their types, and its rows in order."""
    found: dict[str, Any] = {}
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names(cursor)):
            cursor.execute(
                "SELECT column_name, data_type, character_maximum_length, is_nullable "
                "FROM information_schema.columns WHERE table_name = %s ORDER BY column_name",
                [table],
            )
            columns = [list(one) for one in cursor.fetchall()]
            cursor.execute(f'SELECT to_jsonb(one)::text FROM "{table}" AS one')
            rows = sorted(json.dumps(json.loads(row), sort_keys=True) for (row,) in cursor)
            found[table] = {"columns": columns, "rows": rows}
    return found


def migrate(targets: dict[str, str]) -> None:
    for app in APPS:
        if app in targets:
            call_command("migrate", app, targets[app], verbosity=0)
    if not targets:
        call_command("migrate", verbosity=0)


@override_settings(STORAGES=STORAGES)
def in_use() -> dict[str, Any]:
    """What people would notice: releases say the same, files are whole, pages answer."""
    release = Release.objects.get()
    call_command("check_storage", stdout=sys.stderr)
    client = Client(HTTP_HOST="localhost")
    client.force_login(User.objects.filter(is_superuser=True).latest("pk"))
    asked = [
        reverse("annotation:projects"),
        *(reverse("annotation:project", args=[one.slug]) for one in Project.objects.all()),
        *(reverse("training:run", args=[one.pk]) for one in Run.objects.all()),
        *(reverse("training:checkpoint", args=[one.pk]) for one in Checkpoint.objects.all()),
        *(reverse("benchmark:evaluation", args=[one.pk]) for one in Evaluation.objects.all()),
        f"/api/v1/projects/{release.project.slug}/releases",
    ]
    return {
        "said": {
            format: hashlib.sha256(b"".join(exporting.stream(release, format))).hexdigest()
            for format in exporting.FORMATS
        },
        "pages": {path: client.get(path).status_code for path in asked},
    }


def main() -> None:
    previous: dict[str, str] = json.loads(sys.argv[1])
    seen: dict[str, Any] = {"before": tables()}
    migrate({})
    seen["after"] = tables()
    migrate(previous)
    seen["back"] = tables()
    migrate({})
    seen["again"] = tables()
    seen["in use"] = in_use()
    json.dump(seen, sys.stdout)


main()

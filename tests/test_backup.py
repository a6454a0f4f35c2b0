"""Backup, an empty database, restore: every row of every table is the same, and so are the files.

The commands are those of docs/deployment.md.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from django.conf import settings
from django.test import override_settings

from annotation import exporting, gold_and_repeats
from annotation.models import ImportJob, Invitation, Release
from annotation.quality import figures
from tests.factories import (
    judge,
    make_admin,
    make_comparison,
    make_member,
    make_project,
    make_token,
)
from tests.postgres import address, run

pytestmark = pytest.mark.django_db(transaction=True)
TABLES = """
    SELECT table_name FROM information_schema.tables
    WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY table_name
"""
SEQUENCES = "SELECT sequencename, last_value FROM pg_sequences ORDER BY sequencename"


def connect(database: str) -> Any:
    known = address(database)
    return psycopg2.connect(
        host=known["PGHOST"],
        user=known["PGUSER"],
        password=known["PGPASSWORD"],
        dbname=database,
    )


def rows(database: str) -> dict[str, Any]:
    """Of every table how many rows it has and a hash of them in order; and every sequence."""
    opened = connect(database)
    try:
        with opened.cursor() as cursor:
            cursor.execute(TABLES)
            found: dict[str, Any] = {}
            for (table,) in cursor.fetchall():
                cursor.execute(
                    f"SELECT count(*), md5(coalesce(string_agg(line, chr(10) ORDER BY line), '')) "
                    f'FROM (SELECT "{table}"::text AS line FROM "{table}") AS lines'
                )
                found[table] = cursor.fetchone()
            cursor.execute(SEQUENCES)
            found["sequences"] = cursor.fetchall()
            return found
    finally:
        opened.close()


@pytest.fixture
def empty() -> Iterator[str]:
    """The name of a new database without a table."""
    name = f"restored_{uuid.uuid4().hex[:8]}"
    run("createdb", name, database="postgres")
    yield name
    run("dropdb", name, database="postgres")


def fill() -> Release:
    """Something in most tables: text of every kind, votes, gold, a release, secrets' digests."""
    project = make_project(k=1, guidelines="# Grüße\n\n\\.\t“quoted”")
    odd = make_comparison(project, response_1="tab\t\\N \\. line\u2028 'q' \"d\" é 🦊\r\n")
    judge(odd, note="a\\nb", spans=[{"response": 1, "start": 0, "end": 3, "kind": "object"}])
    for _ in range(3):
        judge(make_comparison(project), "1", active_seconds=1 / 3)
    gold_and_repeats.make_gold(make_comparison(project), more_hallucinated="1")
    admin = make_admin()
    make_token(admin)
    Invitation.create(project, role="annotator", created_by=admin)
    ImportJob.objects.create(project=project, name="pairs.jsonl", problems=[{"line": 3}])
    make_member(project, "reviewer")
    figures.refresh(project)
    return exporting.make_release(project)


def test_a_restored_backup_is_the_same_in_every_row_and_file(empty: str, tmp_path: Path) -> None:
    storage, copy = tmp_path / "storage", tmp_path / "copy"
    with override_settings(MEDIA_ROOT=storage):
        release = fill()
        before = b"".join(exporting.stream_folder(release, "datasets"))
    source = str(settings.DATABASES["default"]["NAME"])
    dump = str(tmp_path / "factloop.dump")
    run("pg_dump", "--format=custom", f"--file={dump}", database=source)
    shutil.copytree(storage, copy)
    shutil.rmtree(storage)
    assert rows(empty) == {"sequences": []}

    run("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={empty}", dump, database=empty)

    restored = rows(empty)
    assert restored == rows(source)
    assert restored["annotation_judgment"][0] == 4
    assert sum(1 for name, one in restored.items() if name != "sequences" and one[0]) > 15
    with override_settings(MEDIA_ROOT=copy):
        assert b"".join(exporting.stream_folder(release, "datasets")) == before
        artefact = (copy / str(release.artefact.name)).read_bytes()
    assert hashlib.sha256(artefact).hexdigest() == release.sha256


def test_the_hash_of_a_table_sees_one_changed_letter() -> None:
    source = str(settings.DATABASES["default"]["NAME"])
    project = make_project()
    before = rows(source)["annotation_project"]
    project.description = "x"
    project.save()
    assert rows(source)["annotation_project"] != before

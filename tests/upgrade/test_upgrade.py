"""An installation of the previous release is migrated to this one, back, and forward again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings

from config import embedded
from tests.postgres import address
from tests.upgrade import previously

pytestmark = pytest.mark.django_db(transaction=True)
# What Django itself writes anew after each migration.
OF_DJANGO = {"django_migrations", "django_content_type", "auth_permission"}


def newest_before() -> dict[str, str]:
    found: dict[str, str] = {}
    for app, name in sorted(previously.migrations()):
        found[app] = name
    return {app: found[app] for app in ("annotation", "training", "benchmark")}


@pytest.fixture(scope="module")
def seen(
    django_db_setup: None, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    var = tmp_path_factory.mktemp("upgraded")
    previously.storage(var / "storage")
    with django_db_blocker.unblock(), previously.database() as name:
        known = address(name)
        url = f"postgres://{known['PGUSER']}:{known['PGPASSWORD']}@/{name}"
        variables = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "FACTLOOP_VAR": str(var),
            "DATABASE_URL": f"{url}?host={quote(known['PGHOST'])}",
            "REDIS_URL": embedded.redis_url(embedded.var_folder()),
            "SECRET_KEY": "k" * 30 + "abcdefghij" * 3,
            "ALLOWED_HOSTS": "localhost",
            "HTTPS": "false",
            "LOG_LEVEL": "ERROR",
        }
        command = [sys.executable, "-m", "tests.upgrade.steps", json.dumps(newest_before())]
        done = subprocess.run(
            command, cwd=settings.BASE_DIR, env=variables, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_row_of_the_previous_release_is_there_after_it(seen: dict[str, Any]) -> None:
    """Columns may come; what was said in the old ones is said still."""
    before, after = seen["before"], seen["after"]
    assert sum(bool(table["rows"]) for table in before.values()) > 20
    for name in before.keys() - OF_DJANGO:
        kept = {column[0] for column in before[name]["columns"]}
        rows = [json.loads(row) for row in after[name]["rows"]]
        cut = [{key: value for key, value in row.items() if key in kept} for row in rows]
        assert sorted(json.dumps(row, sort_keys=True) for row in cut) == before[name]["rows"], name


def test_it_can_be_used_at_once(seen: dict[str, Any]) -> None:
    before = json.loads((previously.FOLDER / "said.json").read_text())
    assert {name: seen["in use"]["said"][name] for name in before} == before
    assert len(seen["in use"]["pages"]) > 8
    assert set(seen["in use"]["pages"].values()) == {200}, seen["in use"]["pages"]


def test_the_way_back_loses_nothing_and_leads_forward_again(seen: dict[str, Any]) -> None:
    for name in seen["before"].keys() - OF_DJANGO:
        assert seen["back"][name] == seen["before"][name], name
    # Tables of packages that have come since stay, empty, and are in nobody's way.
    ours = {name for name in seen["back"] if not name.startswith(("account_", "socialaccount_"))}
    assert ours == seen["before"].keys()
    for name in seen["after"].keys() - OF_DJANGO:
        assert seen["again"][name] == seen["after"][name], name


def test_the_dump_is_that_of_another_release_than_this() -> None:
    here = {
        (app, path.stem)
        for app in ("annotation", "training", "benchmark")
        for path in (Path(settings.BASE_DIR) / app / "migrations").glob("0*.py")
    }
    assert here > {one for one in previously.migrations() if one[0] in newest_before()}

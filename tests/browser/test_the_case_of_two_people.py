"""One browser, two people: the program of the case, by its command. Skipped where it is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django.live_server_helper import LiveServer

from annotation.models import Judgment
from tests import factories
from tests.browser import chromium
from tests.shared import shared_data

pytestmark = pytest.mark.django_db(transaction=True)

OUT_OF_REACH = "DELETE FROM django_session"
PATIENCE_SECONDS = 180


def test_answers_wait_until_their_owner_is_back(live_server: LiveServer, tmp_path: Path) -> None:
    folder = shared_data("cases", "31-another-person-logs-in")
    path = chromium.find()
    if path is None:
        pytest.skip("no Chromium on this machine; set CHROMIUM to its path")
    project = factories.make_project(k=1, guidelines="")
    for name in ("ann1", "ann2"):
        factories.make_member(project, user=factories.make_user(name))
    call_command("import_comparisons", project.slug, folder / "pairs.json", images=folder)
    program = tmp_path / "two_people.py"
    source = (folder / "two_people.py").read_text()
    source = source.replace("http://127.0.0.1:8302", live_server.url)
    source = source.replace("/usr/bin/chromium", str(path))
    # Long enough for a further try to send: tests/browser/test_session_ends.py waits for events.
    program.write_text(source.replace("timeout(20000)", "timeout(8000)"))
    ends = f"{sys.executable} {ending_all_sessions(tmp_path)}"
    done = subprocess.run(
        [sys.executable, str(program), project.slug, ends],
        env={**os.environ, "PASSWORD": factories.PASSWORD},
        stdout=subprocess.PIPE,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    before, after = done.stdout.decode().splitlines()
    assert before.startswith("waiting 3 ") and after.startswith("waiting 3 ")
    assert not Judgment.objects.exists()


def ending_all_sessions(folder: Path) -> Path:
    program = folder / "end.py"
    names = ("host", "port", "user", "password", "dbname")
    told = connection.get_connection_params()
    about = {name: told[name] for name in names if name in told}
    program.write_text(
        f"import psycopg2\nwith psycopg2.connect(**{about!r}) as c:\n"
        f"    c.cursor().execute({OUT_OF_REACH!r})\n"
    )
    return program

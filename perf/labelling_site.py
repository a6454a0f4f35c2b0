"""The stage of the labelling figures: a project filled by COPY, the site, and Postgres's cost."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PROMPT_SHARE = 10
"""Comparisons of one prompt."""
TICKS = os.sysconf("SC_CLK_TCK")


def fill_project(
    *, comparisons: int, annotators: int, judgments: int = 3, lease_minutes: int = 15
) -> tuple[str, list[str]]:
    """A project with comparisons and annotators; its slug and a token for each of them."""
    from annotation.models import ApiToken, Membership, Project, User

    slug = f"load-{uuid.uuid4().hex[:8]}"
    project = Project.objects.create(
        slug=slug,
        name=slug,
        judgments_per_comparison=judgments,
        max_judgments=judgments,
        lease_minutes=lease_minutes,
    )
    _fill(project.pk, comparisons, judgments)
    names = [f"{slug}-{number}" for number in range(annotators)]
    users = User.objects.bulk_create([User(username=name, password="!") for name in names])
    Membership.objects.bulk_create([Membership(project=project, user=user) for user in users])
    scopes = [ApiToken.Scope.ANNOTATE]
    return slug, [ApiToken.create(user, name="load", scopes=scopes)[1] for user in users]


def _fill(project: int, comparisons: int, judgments: int) -> None:
    from django.db import connection
    from django.utils import timezone

    from annotation.models import Comparison, Image, Prompt
    from annotation.models.items import random_shuffle

    now = timezone.now()
    image = Image.objects.create(
        sha256=uuid.uuid4().hex * 2, original_sha256="0" * 64, file="images/none.png",
        width=640, height=480, bytes=1, format="png",
    )  # fmt: skip
    said = json.dumps([{"from": "human", "value": "<image>\nWhat is on the desk?"}])
    prompts = {
        "project_id": project, "image_id": image.pk, "conversation": said, "captions": "[]",
        "caption_type": 1, "length_bonus": 1, "content_sha256": "0" * 64, "created_at": now,
    }  # fmt: skip
    _copy(Prompt, ({**prompts, "external_id": n} for n in range(comparisons // PROMPT_SHARE + 1)))
    first = Prompt.objects.filter(project=project).order_by("pk").values_list("pk", flat=True)[0]
    pairs = {
        "project_id": project, "response_1": "A laptop and a cup. " * 12,
        "response_2": "Two books and a lamp. " * 12, "model_1": "one", "model_2": "two",
        "source": "load", "content_sha256": "0" * 64, "created_at": now, "priority": 0,
        "wanted_judgments": judgments, "open_slots": judgments, "judgment_count": 0,
        "outcome": "waiting",
        "imported_votes": "{}", "gold_more_hallucinated": "", "gold_explanation": "",
    }  # fmt: skip
    rows = (
        {
            **pairs,
            "external_id": number,
            "prompt_id": first + number // PROMPT_SHARE,
            "shuffle": random_shuffle(),
        }
        for number in range(comparisons)
    )
    _copy(Comparison, rows)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _copy(model: Any, rows: Iterable[dict[str, Any]], at_once: int = 20_000) -> None:
    """Rows (column -> value) into the table of ``model`` by COPY; no value holds a tab."""
    from itertools import islice

    from django.db import connection

    rows = iter(rows)
    while batch := list(islice(rows, at_once)):
        columns = ", ".join(batch[0])
        text = "\n".join("\t".join(_escaped(v) for v in row.values()) for row in batch)
        with connection.cursor() as cursor:
            statement = f"COPY {model._meta.db_table} ({columns}) FROM STDIN"
            cursor.copy_expert(statement, io.StringIO(text + "\n"))


def _escaped(value: Any) -> str:
    return str(value).replace("\\", "\\\\").replace("\n", "\\n")


@contextmanager
def cores(few: int) -> Iterator[int]:
    """Keeps what is started inside to ``few`` cores, and this process to the others afterwards.

    Yields how many cores are left for this process; 0 when it has to share them.
    """
    every = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, every[:few])
    others = every[few:]
    try:
        yield len(others)
    finally:
        os.sched_setaffinity(0, others or every)


class Site:
    """gunicorn over a Unix socket; with 0 threads as behind a proxy (config/gunicorn.py).

    ``server`` names another class of workers than the site's.

    ``beat`` has a Celery worker with beat beside it.
    """

    def __init__(
        self, folder: Path, *, workers: int, threads: int, server: str = "", beat: bool = False
    ) -> None:
        self.socket = folder / "web.sock"
        command = [sys.executable, "-m", "gunicorn", "config.wsgi", "--log-level", "error"]
        command += ["--bind", f"unix:{self.socket}", "--workers", str(workers)]
        if threads:
            command += ["--threads", str(threads)]
        if server:
            # gunicorn's own workers read requests in the thread that answers.
            command += ["--worker-class", server, "--worker-connections", str(threads or 1)]
        environment = {**os.environ, "BEHIND_PROXY": "no" if threads else "yes"}
        self.master = subprocess.Popen(command, env=environment)
        self._processes = [self.master]
        if beat:
            command = [sys.executable, "-m", "celery", "-A", "config", "--quiet", "worker"]
            command += ["--beat", "-s", str(folder / "beat"), "-Q", "default,cpu", "-c", "1"]
            self._processes.append(subprocess.Popen([*command, "--loglevel", "ERROR"]))
        while not self.socket.exists() and self.master.poll() is None:
            time.sleep(0.1)

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
            process.wait(timeout=60)

    def kill_a_worker(self) -> None:
        workers = children(self.master.pid)
        if workers:
            os.kill(workers[0], signal.SIGKILL)


def postmaster(folder: Path) -> int:
    """The process id of the private Postgres of ``folder`` (FACTLOOP_VAR)."""
    from config.embedded import Paths

    pid_file = Paths.under(folder).postgres / "postmaster.pid"
    return int(pid_file.read_text().splitlines()[0])


def crash_postgres(folder: Path) -> None:
    """kill -9 of the postmaster and all of its backends; it is started again, and recovers."""
    from config.embedded import Paths, start_postgres

    paths = Paths.under(folder)
    main = postmaster(folder)
    everybody = [main, *children(main)]
    for pid in everybody:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while any(_alive(pid) for pid in everybody):
        time.sleep(0.01)
    # Nobody may have waited for the dead yet, and Postgres takes such a process for a living one.
    (paths.postgres / "postmaster.pid").unlink(missing_ok=True)
    (paths.sockets / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
    start_postgres(folder)


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in found]


def tree_seconds(pid: int) -> float:
    """Processor seconds of a process, its ended children, and its living ones."""
    return sum(map(_seconds, [pid, *children(pid)]))


def _seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def _alive(pid: int) -> bool:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] != "Z"

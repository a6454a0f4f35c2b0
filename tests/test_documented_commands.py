"""Every command of README and guides is run: here, by a test that is named, or not, for a reason.

What is run here is run word for word by bash, in a folder that looks like a checkout, on the test
server's database. Only words that stand for the reader's own are put in.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection

from annotation import exporting
from annotation.models import Comparison, ImportJob
from benchmark.models import Evaluation
from config import embedded
from demo import scenes
from tests import factories
from tests.benchmark.factories import record
from tests.factories import make_comparison, make_prompt, picture_bytes
from tests.postgres import address, run
from tests.test_documents import DOCUMENTS, commands

ROOT = Path(settings.BASE_DIR)
HERE = {
    ("README.md", "import_comparisons"),
    ("README.md", "export_release"),
    ("benchmarks.md", "import_questions"),
    ("deployment.md", "cp /dev/null .env"),
    ("deployment.md", "manage.py migrate"),
    ("deployment.md", "check_storage"),
    ("deployment.md", "pg_dump --format"),
    ("deployment.md", "pg_restore --exit-on-error --no-owner --dbname"),
    ("engine.md", "--run-dir runs/rm"),
    ("researcher.md", "factloop train"),
    ("rest.md", "curl"),
}
"""Page, and words of a block that a test below runs but for lines that have another fate."""

ELSEWHERE = [
    # what is typed, where that is run, words that stand there
    (r"make test$", ".ci/run", "make test"),
    (r"make check$", "Makefile", "test: $(VENV)/installed-dev browser check"),
    (r"make docs$", "tests/test_documents.py", '"mkdocs", "build"'),
    (r"(make|factloop) demo$", "tests/demo/test_loop.py", "run_loop("),
    (r"make serve$", "tests/test_wheel.py", '"serve"'),
    (r"pip install ", "tests/test_wheel.py", '"install", "--no-deps"'),
    (r"\S+ manage.py (create_judge exact|import_questions pope|import_answers \"Table)",
     "tests/browser/test_tutorial.py", "run_commands(section)"),
    (r"gunicorn ", "tests/config/server/conftest.py", '"-m", "gunicorn"'),
    (r"celery -A config beat$", "tests/config/test_beat.py", "--beat"),
    (r"(\S+ )?celery -A config worker (--beat|-n [cg]pu)", "tests/training/workers.py", '"celery"'),
    (r"RUN_LAUNCHER=slurm ", "tests/training/runs/slurm/conftest.py", 'RUN_LAUNCHER = "slurm"'),
    (r"accelerate launch ", "tests/training/rlhf/test_processes.py", "accelerate.commands.launch"),
    (r"VLLM_\S+ vllm serve ", "tests/vllm/test_servers.py", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"),
    (r"python -m perf.faults .*--seconds", "tests/perf/test_faults.py", "perf.faults --storage 0"),
    (r"python -m perf.faults --runs 0", "tests/perf/test_storage_faults.py", "storage"),
]  # fmt: skip
NOT_RUN = {
    r"docker ": "needs Docker; tests/config/test_compose.py and test_dockerfile.py have its parts",
    r"(debootstrap|container=|buildah) ?": "needs root and buildah; the page says when it was done",
    r"kubectl ": "needs a cluster; tests/config/test_kubernetes.py has what is applied",
    r"git pull$": "changes the checkout",
    r"\S+ manage.py createsuperuser$": "asks for a password at a terminal",
    r"python -m perf.under_attack ": "attacks a site for minutes; tests/config/server has each",
    r"python -m perf.faults --sum ": "adds up what runs of an hour have saved",
}


@dataclass(frozen=True)
class Shell:
    """A folder like a checkout, and an installation on the test database."""

    folder: Path
    variables: dict[str, str]

    def __call__(self, line: str) -> str:
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", line],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def url_of(database: str) -> str:
    known = address(database)
    password = known.get("PGPASSWORD", "")
    return f"postgres://{known['PGUSER']}:{password}@/{database}?host={quote(known['PGHOST'])}"


@pytest.fixture
def shell(tmp_path: Path, settings: Any) -> Shell:
    settings.MEDIA_ROOT = tmp_path / "var" / "storage"
    settings.MEDIA_ROOT.mkdir(parents=True)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name, words in {
        "python": "",
        "factloop": "-m config.command",
        "manage.py": str(ROOT / "manage.py"),
    }.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        (programs / name).chmod(0o755)
    for name in ("manage.py", "demo"):
        (tmp_path / name).symlink_to(ROOT / name)
    postgres = embedded._postgres_binaries(embedded.Paths.under(embedded.var_folder()))
    # With it curl fails when it is answered with an error.
    (tmp_path / ".curlrc").write_text("silent\nfail-with-body\n")
    variables = {
        **os.environ,
        "PATH": f"{programs}:{postgres}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "FACTLOOP_VAR": str(tmp_path / "var"),
        "DATABASE_URL": url_of(connection.settings_dict["NAME"]),
        "REDIS_URL": embedded.redis_url(embedded.var_folder()),
        "SECRET_KEY": "k" * 30 + "abcdefghij" * 3,
        "ALLOWED_HOSTS": "localhost",
        "HTTPS": "false",
        "LOG_LEVEL": "ERROR",
        "OMP_NUM_THREADS": "1",
    }
    return Shell(tmp_path, variables)


def has_another_fate(line: str) -> bool:
    known = [*(pattern for pattern, _, _ in ELSEWHERE), *NOT_RUN]
    return any(re.match(pattern, line) for pattern in known)


def block(page: str, words: str) -> list[str]:
    """What is run here of the one block of ``page`` that has ``words``, optional words left out."""
    assert (page, words) in HERE
    (path,) = (one for one in DOCUMENTS if one.name == page)
    (found,) = (lines for lines in commands(path) if any(words in line for line in lines))
    return [re.sub(r" \[[^]]*\]", "", line) for line in found if not has_another_fate(line)]


# --- Each has a fate --------------------------------------------------------------------------


def test_every_command_is_run_or_has_a_reason() -> None:
    used, here = set(), set()
    for path in DOCUMENTS:
        for lines in commands(path):
            ours = {(page, words) for page, words in HERE if page == path.name}
            ours = {one for one in ours if any(one[1] in line for line in lines)}
            here |= ours
            for line in lines:
                fates = [one for one, _, _ in ELSEWHERE if re.match(one, line)]
                fates += [one for one in NOT_RUN if re.match(one, line)]
                assert len(fates) == 1 or (not fates and ours), f"{path.name}: {line}: {fates}"
                used |= set(fates)
    assert here == HERE
    assert used == {*(one for one, _, _ in ELSEWHERE), *NOT_RUN}


@pytest.mark.parametrize(("path", "words"), sorted({(path, words) for _, path, words in ELSEWHERE}))
def test_what_is_run_elsewhere_is_run_there(path: str, words: str) -> None:
    assert words in (ROOT / path).read_text()


# --- Run here ---------------------------------------------------------------------------------


def small_world(count: int = 8) -> None:
    """Labelled pairs about scenes, frozen as ``small-world/1``."""
    rng = Random(0)
    project = factories.make_project(slug="small-world", k=1)
    for _ in range(count):
        scene = scenes.random_scene(rng)
        picture = io.BytesIO()
        scenes.render(scene).save(picture, "PNG")
        prompt = make_prompt(
            project,
            image=factories.make_image(picture.getvalue()),
            conversation=[{"from": "human", "value": "<image>\nDescribe the image."}],
            captions=scenes.facts(scene, rng),
        )
        answers = {"response_1": scenes.caption(scene), "response_2": "there is no circle."}
        factories.judge(make_comparison(project, prompt=prompt, **answers))
    exporting.make_release(project)


@pytest.mark.django_db(transaction=True)
def test_the_engine_is_used_alone_as_it_is_told(shell: Shell) -> None:
    small_world()
    for line in block("README.md", "export_release"):
        said = shell(line)
    assert "reward" in said  # the last line asks for help
    assert (shell.folder / "run" / "final" / "reward_model.json").exists()

    write, train = block("engine.md", "--run-dir runs/rm")
    shell(write)
    shell("cp -r run/data run/images run/base runs/rm")
    spec = shell.folder / "runs" / "rm" / "spec.json"
    edited = json.loads(spec.read_text())
    edited["settings"]["max_steps"] = 1
    spec.write_text(json.dumps(edited))
    shell(train)
    assert (shell.folder / "runs" / "rm" / "final" / "reward_model.json").exists()


def test_the_command_writes_what_a_run_needs(shell: Shell) -> None:
    write, ask = block("researcher.md", "factloop train")
    shell(write)
    assert json.loads((shell.folder / "run" / "spec.json").read_text())["kind"] == "reward"
    assert "settings, with their default" in shell(ask)


@pytest.mark.django_db(transaction=True)
def test_pairs_are_imported_as_the_readme_has_them(shell: Shell) -> None:
    project = factories.make_project()
    (example,) = re.findall(r"```json\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (shell.folder / "pairs.json").write_text(example)
    (shell.folder / "pictures").mkdir()
    (shell.folder / "pictures" / "desk.jpg").write_bytes(picture_bytes(format="JPEG"))
    (line,) = block("README.md", "import_comparisons")
    shell(line.replace("PROJECT", project.slug).replace("DIR", "pictures"))
    assert Comparison.objects.get().response_1 == "A laptop and a cup."


@pytest.mark.django_db(transaction=True)
def test_a_benchmark_comes_from_nothing_to_answers_that_wait_for_their_judge(shell: Shell) -> None:
    questions = [record(number) for number in range(3)]
    answers = [{**one, "model_answer": "Three boats."} for one in questions]
    (shell.folder / "images").mkdir()
    for name, content in (("response_template", questions), ("answers", answers)):
        (shell.folder / f"{name}.json").write_text(json.dumps(content))
    for line in block("benchmarks.md", "import_questions"):
        shell(line)
    evaluation = Evaluation.objects.get()
    assert (evaluation.judge.name, evaluation.answers.count()) == ("gpt", 3)


def test_the_three_values_of_an_installation_are_made(shell: Shell) -> None:
    for line in block("deployment.md", "cp /dev/null .env"):
        shell(line)
    file = shell.folder / ".env"
    assert file.stat().st_mode & 0o777 == 0o600
    made = dict(line.split("=", 1) for line in file.read_text().splitlines())
    asked = re.findall(r"\$\{(\w+):\?", (ROOT / "docker-compose.yml").read_text())
    assert set(asked) <= made.keys()
    assert len(made["SECRET_KEY"]) >= 50


@pytest.mark.django_db(transaction=True)
def test_an_installation_is_prepared_and_its_storage_checked(shell: Shell) -> None:
    factories.make_image()
    for words in ("manage.py migrate", "check_storage"):
        for line in block("deployment.md", words):
            shell(line)
    assert (shell.folder / "var" / "static" / "staticfiles.json").exists()


@pytest.fixture
def empty() -> Iterator[str]:
    """The name of a new database without a table."""
    name = f"documented_{uuid.uuid4().hex[:8]}"
    run("createdb", name, database="postgres")
    yield name
    run("dropdb", name, database="postgres")


@pytest.mark.django_db(transaction=True)
def test_an_installation_is_put_away_and_restored(shell: Shell, empty: str) -> None:
    image = factories.make_image()
    for line in block("deployment.md", "pg_dump --format"):
        shell(line)
    shell("mv var/storage lost")
    shell.variables["DATABASE_URL"] = url_of(empty)
    for line in block("deployment.md", "pg_restore --exit-on-error --no-owner --dbname"):
        shell(line)
    asked = "SELECT sha256 FROM annotation_image"
    assert run("psql", "-tAc", asked, database=empty).strip() == image.sha256
    assert "0 damaged" in shell("python manage.py check_storage")


@pytest.mark.django_db(transaction=True)
def test_curl_takes_releases_and_brings_records(shell: Shell, live_server: Any) -> None:
    project = factories.make_project(k=1)
    factories.judge(make_comparison(project))
    release = exporting.make_release(project)
    shell.variables["TOKEN"] = factories.make_token(factories.make_admin())
    row = {"idx": 1, "image_path": "a.png", "question": "What?", "chosen": "A.", "rejected": "B."}
    (shell.folder / "rows.jsonl").write_text(json.dumps(row))
    with zipfile.ZipFile(shell.folder / "images.zip", "w") as packed:
        packed.writestr("a.png", picture_bytes())
    records, folder, sent = (
        line.replace("https://labels.example.org", live_server.url)
        .replace("/releases/7/", f"/releases/{release.pk}/")
        .replace("/street/", f"/{project.slug}/")
        for line in block("rest.md", "curl")
    )
    found = json.loads(shell(records))
    assert {"id", "prompt", "chosen", "rejected", "images"} <= found.keys()
    shell(folder)
    assert "README.md" in zipfile.ZipFile(shell.folder / "release.zip").namelist()
    assert json.loads(shell(sent))["id"] == ImportJob.objects.get().pk

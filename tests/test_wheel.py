"""The wheel, installed where no checkout is: what a stranger gets from ``pip install factloop``.

The environment is empty but for the wheel; third-party packages are those of this environment, by a
``.pth`` file, so that nothing is downloaded. Whether the wheel *names* all it needs is therefore
asked of its metadata, below.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import httpx
import pytest

import factloop
from config import embedded
from factloop import Client
from tests.factories import picture_bytes

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [
    "annotation", "benchmark", "config", "demo", "training", "locale", "static", "templates",
    "durable.py", "factloop.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE",
]  # fmt: skip
PASSWORD = "a long enough password"
PAIRS = [
    {
        "id": f"{number}",
        "image": "desk.png",
        "conversations": [
            {"from": "human", "value": f"<image>\nWhat is on desk {number}?"},
            {"from": "gpt", "value": ""},
        ],
        "output_1": {"from": "a", "value": "A laptop and a cup."},
        "output_2": {"from": "b", "value": "A laptop, a cup and a cat."},
        "captions": ["A laptop beside a coffee cup."],
    }
    for number in range(4)
]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel, and sees the third-party packages of this one."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    building = ["wheel", "--no-deps", "--no-build-isolation", "-w", str(folder / "dist")]
    subprocess.run([*pip, *building, str(source)], check=True)
    (wheel,) = (folder / "dist").iterdir()
    made = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(made)], check=True)
    installing = ["--python", str(made / "bin" / "python"), "install", "--no-deps", "--no-compile"]
    subprocess.run([*pip, *installing, str(wheel)], check=True)
    (packages,) = made.glob("lib/python3*/site-packages")
    # No .pth of that folder is read through this one, so the checkout is not found by it.
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return made


@pytest.fixture
def var() -> Iterator[Path]:
    """A folder that Postgres can reach where the tests run as root; servers are stopped after."""
    var = embedded.var_folder().resolve() / f"wheel-{os.getpid()}"
    var.mkdir(parents=True)
    yield var
    embedded.stop_valkey(var)
    embedded.stop_postgres(var)
    shutil.rmtree(var)


class Installed:
    """The command of the environment, called in a folder of somebody's own."""

    def __init__(self, environment: Path, var: Path, home: Path) -> None:
        self.program = str(environment / "bin" / "factloop")
        self.home = home
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        self.variables = {
            **kept,
            "HOME": str(home),
            "FACTLOOP_VAR": str(var),
            "OMP_NUM_THREADS": "1",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        }

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            [self.program, *words],
            cwd=self.home,
            env=self.variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([self.program, *words], cwd=self.home, env=self.variables)


@pytest.fixture
def installed(environment: Path, var: Path, tmp_path: Path) -> Installed:
    # A folder with a package of one of our names, as somebody's own project has one.
    for name in ("config", "training"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('not ours')")
    return Installed(environment, var, tmp_path)


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert server.poll() is None, "the site ended"
        try:
            if httpx.get(f"{url}/healthz/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail("the site did not answer")


def label_everything(client: Client, slug: str) -> int:
    number = 0
    while given := client.post(f"projects/{slug}/assignments/next"):
        worse = next(one["response"] for one in given["responses"] if "cat" in one["text"])
        answer = {"client_uuid": given["token"], "more_hallucinated": str(worse)}
        client.post(f"assignments/{given['token']}/judgment", answer)
        number += 1
    return number


@pytest.mark.chain
def test_from_an_installed_wheel_people_label_and_a_model_is_trained(
    installed: Installed, environment: Path
) -> None:
    assert installed("--version") == f"factloop {factloop.__version__}\n"
    url = f"http://127.0.0.1:{free_port()}"
    server = installed.start("serve", "--site", url.removeprefix("http://"))
    try:
        wait_until_ready(url, server)
        ada = ["--noinput", "--username", "ada", "--email", "ada@example.org"]
        installed("manage", "createsuperuser", *ada)
        made = installed("manage", "create_token", "ada", "--scopes", "read", "annotate", "manage")
        page = httpx.get(f"{url}/login/").text
        assert 'name="password"' in page
        assert httpx.get(f"{url}/static/app.css").status_code == 200
        with Client(url, made.strip()) as client:
            desks = {"slug": "desks", "name": "Desks", "judgments_per_comparison": 1}
            slug = client.post("projects", desks)["slug"]
            (installed.home / "pairs.json").write_text(json.dumps(PAIRS))
            (installed.home / "desk.png").write_bytes(picture_bytes())
            said = installed("import", slug, "pairs.json", "--images", ".")
            assert "4 created" in said
            assert label_everything(client, slug) == 4
            release = client.project(slug).make_release(held_out_share=0)
            assert [one["preference"] for one in release.records()] == [1] * 4
    finally:
        server.terminate()
        assert server.wait(timeout=120) == 0
    installed("manage", "export_release", str(release.id), "--output", "run")
    train_two_steps(installed, environment)


def train_two_steps(installed: Installed, environment: Path) -> None:
    run = installed.home / "run"
    (run / "data").mkdir()
    for split in run.glob("*.jsonl"):
        split.rename(run / "data" / split.name)
    (base,) = environment.glob("lib/python3*/site-packages/demo/base_model")
    shutil.copytree(base, run / "base")
    (run / "data").rename(installed.home / "kept")
    installed("train", "reward", "--run-dir", "run", "--preset", "small-world")
    (installed.home / "kept").rename(run / "data")
    spec = json.loads((run / "spec.json").read_text())
    spec["settings"] |= {"max_steps": 2, "batch_size": 2}
    (run / "spec.json").write_text(json.dumps(spec))
    installed("train", "reward", "--run-dir", "run")
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    (last,) = [one for one in events if one["event"] == "checkpoint" and one["final"]]
    assert last["step"] == 2
    assert list((run / "final").glob("*.safetensors"))


def test_the_wheel_holds_every_file_of_the_packages_and_of_the_pages(environment: Path) -> None:
    (packages,) = environment.glob("lib/python3*/site-packages")
    named = [*ROOT.glob("templates/**/*"), *ROOT.glob("static/**/*")]
    expected = {str(Path("config") / one.relative_to(ROOT)) for one in named if one.is_file()}
    for package in ("annotation", "benchmark", "config", "demo", "training"):
        files = [one for one in (ROOT / package).rglob("*") if one.is_file()]
        expected |= {str(one.relative_to(ROOT)) for one in files if "__pycache__" not in one.parts}
    found = {str(one.relative_to(packages)) for one in packages.rglob("*") if one.is_file()}
    assert expected - found == set()
    assert not {name for name in found if name.startswith(("tests", "perf"))}


def test_the_source_distribution_makes_the_same_wheel_and_holds_no_half_of_the_tests(
    environment: Path, tmp_path: Path
) -> None:
    source = environment.parent / "source"
    (source / "tests").mkdir()
    (source / "tests" / "test_one.py").touch()
    build = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=source, check=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    shutil.unpack_archive(archive, tmp_path)
    (unpacked,) = (one for one in tmp_path.iterdir() if one.is_dir())
    assert not (unpacked / "tests").exists()
    building = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "pip", *building, str(unpacked)], check=True)
    wheels = [*tmp_path.glob("*.whl"), *(environment.parent / "dist").glob("*.whl")]
    again, first = (set(zipfile.ZipFile(wheel).namelist()) for wheel in wheels)
    assert again == first


def test_one_version_stands_everywhere(environment: Path) -> None:
    (about,) = environment.glob("lib/python3*/site-packages/factloop-*.dist-info/METADATA")
    described = metadata.PathDistribution(about.parent)
    assert described.version == factloop.__version__
    extras = described.metadata.get_all("Provides-Extra") or []
    assert "engine" in extras
    needed = {one.split(";")[0] for one in described.requires or [] if "extra ==" not in one}
    assert any(one.startswith("Django") for one in needed)
    assert not any(one.startswith("torch") for one in needed)

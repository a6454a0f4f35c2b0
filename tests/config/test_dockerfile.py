"""The commands of the Dockerfile, in their order, in a fresh folder, without Docker.

What this cannot show: that the base image has what it is thought to have, and what needs root
(``useradd``). Packages are not downloaded: the environment sees those of this one, and pip says of
each that it fits what is asked for.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)


def instructions(stage: str) -> Iterator[tuple[str, str]]:
    """Those of a stage and of the stages that it begins from, in order."""
    parts = {}
    for part in re.split(r"^FROM ", TEXT.replace("\\\n", " "), flags=re.MULTILINE)[1:]:
        head, *lines = part.splitlines()
        parent, name = head.split(" AS ")
        parts[name] = (parent, [line for line in lines if line])
    parent, lines = parts[stage]
    if parent in parts:
        yield from instructions(parent)
    for line in lines:
        kind, _, rest = line.partition(" ")
        yield kind, rest


class Build:
    """A folder that stands for the image's file system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.directory = folder
        self.variables = {
            # Debian's own has python3 alone; the image has python.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            # setuptools is here already.
            "PIP_NO_BUILD_ISOLATION": "0",
            "PIP_NO_INDEX": "1",
        }

    def inside(self, text: str) -> str:
        """Absolute paths of the image, moved below the folder."""
        return re.sub(r"(?<![\w./])/(?=(?:opt|source|var|home)\b)", f"{self.folder}/", text)

    def carry_out(self, kind: str, rest: str) -> None:
        if kind == "WORKDIR":
            self.directory = Path(self.inside(rest))
            self.directory.mkdir(parents=True, exist_ok=True)
        elif kind in ("ENV", "ARG"):
            for one in shlex.split(self.inside(rest)):
                name, _, value = one.partition("=")
                self.variables[name] = re.sub(
                    r"\$(\w+)", lambda found: self.variables.get(found[1], ""), value
                )
        elif kind == "COPY" and not rest.startswith("--from"):
            self.copy(*rest.split())
        elif kind == "RUN" and "useradd" not in rest:
            subprocess.run(
                self.inside(rest), shell=True, check=True, cwd=self.directory, env=self.variables
            )
            self.lend_packages()

    def copy(self, *words: str) -> None:
        *sources, target = words
        ignored = (ROOT / ".dockerignore").read_text().split()
        leave = shutil.ignore_patterns(*(name.split("/")[-1] for name in ignored))
        for source in sources:
            to = self.directory / target
            if source == ".":
                shutil.copytree(ROOT, to, symlinks=True, ignore=leave, dirs_exist_ok=True)
            elif (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, to, dirs_exist_ok=True)
            else:
                shutil.copy(ROOT / source, to / source)

    def lend_packages(self) -> None:
        for folder in self.folder.glob("opt/factloop/lib/python3*/site-packages"):
            for old in ("setuptools", "pkg_resources", "_distutils_hack"):
                shutil.rmtree(folder / old, ignore_errors=True)  # those of venv come first else
            (folder / "distutils-precedence.pth").unlink(missing_ok=True)
            (folder / "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    build = Build(tmp_path_factory.mktemp("image"))
    for stage in ("web-packages", "web"):
        for kind, rest in instructions(stage):
            build.carry_out(kind, rest)
    return build


def test_the_image_of_the_web_is_made_and_its_command_starts(built: Build) -> None:
    static = built.folder / "var" / "lib" / "factloop" / "static"
    assert (static / "staticfiles.json").exists()
    assert list(static.glob("app.*.css.gz"))
    (command,) = [rest for kind, rest in instructions("web") if kind == "CMD"]
    settings = {
        "DATABASE_URL": "postgres://u:p@h/d",
        "SECRET_KEY": "k" * 60 + "abcdefgh",
        "ALLOWED_HOSTS": "labels.example.org",
    }
    # Lent packages come without their programs.
    program, *words = json.loads(command)
    done = subprocess.run(
        ["python", "-m", program, "--check-config", *words],
        cwd=built.folder,
        env={**built.variables, **settings},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_stages_that_are_copied_from_exist_and_come_before() -> None:
    made: list[str] = []
    for line in TEXT.splitlines():
        if found := re.match(r"FROM \S+ AS (\S+)", line):
            made.append(found[1])
        if found := re.match(r"COPY --from=(\S+)", line):
            assert found[1] in made[:-1]

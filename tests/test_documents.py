"""The documents as a site, and that what they tell people to type can be typed."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class

import factloop
from benchmark.protocols import TABLE
from config.command import COMMANDS
from config.schema import _rendered
from training.rlhf.__main__ import _parser as engine_parser
from training.rlhf.contract.events import EVENTS

ROOT = Path(settings.BASE_DIR)
METHODS = {"get", "post", "put", "patch", "delete"}
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "docs" / "guides").glob("*.md"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    return folder


def test_the_site_is_built_without_a_warning_and_can_be_searched(site: Path) -> None:
    found = (site / "search" / "search_index.json").read_text()
    assert "guides/annotator/" in found
    page = (site / "index.html").read_text()
    assert "slate" in page  # dark
    assert "fonts.googleapis" not in page


def test_every_setting_has_a_meaning_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "settings" / "index.html").read_text()
    named = {
        name
        for path in (ROOT / "config" / "settings").glob("*.py")
        for name in re.findall(r'env(?:\.\w+)?\(\s*"(\w+)"', path.read_text())
    }
    assert len(named) > 30
    rows = dict(re.findall(r"<td><code>(\w+)</code></td>\s*<td>(.*?)</td>", page, re.DOTALL))
    assert named == rows.keys()
    assert [name for name, meaning in rows.items() if not meaning.strip()] == []


def test_the_reference_has_what_the_code_has(site: Path) -> None:
    for name, wanted in (("events", EVENTS), ("benchmarks", TABLE)):
        page = (site / "reference" / name / "index.html").read_text()
        assert all(f"<code>{one}</code>" in page for one in wanted), name
    page = (site / "reference" / "rest" / "index.html").read_text()
    schema = json.loads(_rendered("json"))
    operations = sum(len({*one} & METHODS) for one in schema["paths"].values())
    assert len(re.findall(r"<td>(?:GET|POST|PUT|PATCH|DELETE)</td>", page)) == operations > 60


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_a_table_stands_apart_from_the_text_above_or_it_is_drawn_as_text(path: Path) -> None:
    for above, line in pairwise(path.read_text().splitlines()):
        assert not line.startswith("|") or above.startswith("|") or not above.strip(), line


# --- Commands ---------------------------------------------------------------------------------


def blocks(path: Path) -> list[tuple[str, str]]:
    return re.findall(r"^```(\w*)[^\n]*\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE)


def commands(path: Path) -> list[list[str]]:
    """The lines of each block of commands, without their comments."""
    found = []
    for language, text in blocks(path):
        if language in ("", "console", "sh", "bash"):
            lines = [
                line.split("  # ")[0].strip() for line in text.replace("\\\n", " ").splitlines()
            ]
            found.append([line for line in lines if line and not line.startswith("#")])
    return found


def lines() -> list[Any]:
    return [
        pytest.param(line, id=f"{path.name}: {line[:50]}")
        for path in DOCUMENTS
        for block in commands(path)
        for line in block
    ]


PLACEHOLDERS = re.compile(r"\[.*?\]|…")
IS_MANAGE = re.compile(
    r"(?:\S*python )?(?:\S*/)?manage\.py (?P<words>.*)|factloop manage (?P<too>.*)"
)


@pytest.mark.parametrize("line", lines())
def test_a_command_of_the_documents_can_be_given(line: str) -> None:
    line = line.split(" | ")[0].split(" > ")[0]
    for command in re.split(r" && ", line):
        command = re.sub(r"^(?:[A-Z_]+=\S+ )+", "", command).strip()
        if found := IS_MANAGE.search(command):
            parses_for_django(found["words"] or found["too"])
        elif found := re.match(r"(?:\S*python -m training\.rlhf|factloop train) (.*)", command):
            parses_for_the_engine(found[1])
        elif found := re.match(r"factloop (\S+)", command):
            assert found[1] in {*COMMANDS, "--version"}
        elif found := re.match(r"make (\S+)", command):
            assert re.search(rf"^{found[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        elif found := re.match(r"(?:\S*python) -m (\S+)", command):
            name = found[1].replace(".", "/")
            ours = (ROOT / f"{name}.py").exists() or (ROOT / name / "__main__.py").exists()
            assert ours or name in {"pytest", "build", "pip", "mkdocs"}, command
        elif found := re.match(r"docker compose (?:exec|run|up|stop) (.*)", command):
            services = re.findall(
                r"^  ([a-z-]+):$", (ROOT / "docker-compose.yml").read_text(), re.M
            )
            named = [word for word in found[1].split() if word in services]
            assert named or "--detach" in command, command


def parses_for_django(words: str) -> None:
    name, *rest = shlex.split(PLACEHOLDERS.sub("", words))
    commands = get_commands()
    assert name in commands, f"there is no command {name}"
    made = load_command_class(commands[name], name) if isinstance(commands[name], str) else None
    assert made is not None
    parser = made.create_parser("manage.py", name)
    parser.exit_on_error = False
    known = {option for action in parser._actions for option in action.option_strings}
    unknown = [word for word in rest if word.startswith("--") and word.split("=")[0] not in known]
    assert unknown == []


def parses_for_the_engine(words: str) -> None:
    parser = engine_parser()
    try:
        parser.parse_args(shlex.split(PLACEHOLDERS.sub("", words)))
    except argparse.ArgumentError as error:
        pytest.fail(str(error))
    except SystemExit as end:
        assert end.code == 0, words


def test_the_version_is_said_the_same_everywhere() -> None:
    assert f"\nversion: {factloop.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    first = re.search(r"^## (\S+),", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first is not None
    assert first[1] == factloop.__version__


def _named(text: str) -> Iterator[tuple[str, list[Path]]]:
    """Files of the code that a text names, with the places where each may lie."""
    for path in re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|js|css))(?:::\w+)?`", text):
        yield path, [ROOT / path]
    packages = "annotation|benchmark|config|demo|perf|training"
    for dotted in re.findall(rf"`((?:{packages})(?:\.[a-z_]\w*)+)`", text):
        steps = dotted.split(".")
        paths = [ROOT.joinpath(*steps[:count]) for count in range(2, len(steps) + 1)]
        yield dotted, [*paths, *(path.with_suffix(".py") for path in paths)]


@pytest.mark.parametrize(
    "path",
    [*DOCUMENTS, ROOT / "docs" / "style-guide.md", *(ROOT / "docs" / "decisions").glob("*.md")],
    ids=lambda path: path.name,
)
def test_files_that_a_document_names_are_there(path: Path) -> None:
    text = path.read_text()
    assert [name for name, places in _named(text) if not any(map(Path.exists, places))] == []


def test_a_file_that_is_not_there_is_found() -> None:
    text = "`annotation/queues.py`, `annotation.queue.claim`, `config.settings` and `training.rung`"
    missing = [name for name, places in _named(text) if not any(map(Path.exists, places))]
    assert missing == ["annotation/queues.py", "training.rung"]

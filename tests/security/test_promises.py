"""The promises of docs/security.md and docs/reliability.md: what they name is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from annotation.models.projects import LONGEST_GUIDELINES
from config import bodies, poison_jobs
from config.server import connections

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("security.md", "reliability.md")
TESTS = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
COMMANDS = re.compile(r"`(?:python -m )?(perf\.\w+)|python -m (perf\.\w+)")


def rows(page: str) -> list[tuple[str, str, str]]:
    """Promise, test and figure of each promise."""
    text = (ROOT / "docs" / page).read_text()
    _, _, table = text.partition("| promise | test | figure |\n|---|---|---|\n")
    found = re.match(r"(?:\|.*\n)+", table)
    assert found, f"{page} has no table of promises"
    cells = [line.strip("|\n").split("|") for line in found[0].splitlines()]
    assert {len(row) for row in cells} == {3}
    return [(promise, test, figure) for promise, test, figure in cells]


def functions(name: str) -> set[str]:
    tree = ast.parse((ROOT / name).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES)
def test_every_promise_has_a_test_that_is_there(page: str) -> None:
    for promise, test, _ in rows(page):
        named = TESTS.findall(test)
        assert named, promise
        for name, function in named:
            assert (ROOT / name).is_file(), name
            assert not function or function in functions(name), function


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_says_which_command_or_section_gives_it(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    for promise, _, figure in rows(page):
        if re.search(r"\d", figure):
            assert re.search(r"`pytest |\]\(|\(stranger\)|; stranger\)|rounds of beat", figure), (
                promise
            )
    for module in {one or other for one, other in COMMANDS.findall(text)}:
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module


LIMITS = {
    "strangers send 1 MiB at most": bodies.OF_A_STRANGER / 2**20,
    "guidelines have 50,000 characters at most": LONGEST_GUIDELINES,
    "hold in its memory is bounded (64 MiB)": connections.MOST_HELD_BYTES / 2**20,
    "at most 3 attempts": poison_jobs.MOST_ATTEMPTS,
}
"""What a promise says in figures, and what the code says; tests of limits often ask the code."""


@pytest.mark.parametrize("said", LIMITS)
def test_a_limit_is_as_its_promise_says(said: str) -> None:
    assert any(said in "".join(row) for page in PAGES for row in rows(page))
    [number] = re.findall(r"\d[\d,]*", said)
    assert LIMITS[said] == int(number.replace(",", ""))


def test_every_test_of_this_folder_is_a_proof() -> None:
    proofs = {
        name for page in PAGES for _, test, _ in rows(page) for name, _ in TESTS.findall(test)
    }
    here = {f"tests/security/{one.name}" for one in Path(__file__).parent.glob("test_*.py")}
    assert here - proofs == {f"tests/security/{Path(__file__).name}"}

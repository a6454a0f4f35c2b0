"""The order of the tests: what takes long comes first, so that all processes end together.

pytest-xdist's ``worksteal`` gives each process a piece of the list as long as the others', and lets
whoever is done take the last tests of somebody else. So each piece begins with its share of the
long ones and ends with short ones. Within a kind the order stays random, and the tests of a module
stay together: what they share is made once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import pytest

HERE = Path(__file__).parent

Module = list[pytest.Item]


def _is_in(*parts: str) -> Callable[[Module], bool]:
    return lambda module: HERE.joinpath(*parts) in module[0].path.parents


def _marked(name: str) -> Callable[[Module], bool]:
    return lambda module: any(one.get_closest_marker(name) for one in module)


def _commits(module: Module) -> bool:
    found = (one.get_closest_marker("django_db") for one in module)
    return any(one is not None and one.kwargs.get("transaction") for one in found)


KINDS: Sequence[Callable[[Module], bool]] = (
    _marked("chain"),  # each takes up to minutes
    _is_in("browser"),  # together: they share a browser
    _is_in("training", "rlhf"),  # these compute, while those of the browser mostly wait
    _commits,  # slower than those that are rolled back
    lambda module: True,
)
SPREAD = (True, False, False, True, True)
"""Whether the modules of a kind are dealt out, or one process begins with all of them."""


def arrange(items: list[pytest.Item], processes: int) -> list[pytest.Item]:
    """The items in the order in which they are given to so many processes."""
    by_module = sorted(items, key=_places(items).__getitem__)
    modules = [list(group) for _, group in groupby(by_module, key=lambda one: one.path)]
    pieces: list[list[pytest.Item]] = [[] for _ in range(processes)]
    *long, short = (_of_kind(number, modules) for number in range(len(KINDS)))
    for number, kind in enumerate(long):
        for place, module in enumerate(kind):
            pieces[(place if SPREAD[number] else number + 1) % processes].extend(module)
    rest = [one for module in short for one in module]
    arranged: list[pytest.Item] = []
    for number, piece in enumerate(pieces):
        # As long as xdist will cut them; without xdist there is one.
        left = len(items) - len(arranged)
        filled = max(left // (processes - number) - len(piece), 0)
        arranged += piece + rest[:filled]
        rest = rest[filled:]
    return arranged + rest


def _places(items: list[pytest.Item]) -> dict[pytest.Item, int]:
    """Where the first test of each one's module stands; pytest-django takes modules apart."""
    first: dict[Path, int] = {}
    return {one: first.setdefault(one.path, place) for place, one in enumerate(items)}


def _of_kind(number: int, modules: list[Module]) -> list[Module]:
    return [one for one in modules if _kind(one) == number]


def _kind(module: Module) -> int:
    return next(number for number, kind in enumerate(KINDS) if kind(module))


def processes() -> int:
    return int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))

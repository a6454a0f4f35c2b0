"""Every test is given out once; long ones begin each process's piece, modules stay whole."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests import order


@dataclass(eq=False)
class Given:
    path: Path
    marks: dict[str, pytest.Mark] = field(default_factory=dict)

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return self.marks.get(name)


CHAIN = {"chain": pytest.mark.chain.mark}
COMMITS = {"django_db": pytest.mark.django_db(transaction=True).mark}


def made() -> list[Any]:
    """Tests of some modules of each kind, those of a module scattered as by pytest-django."""
    modules: list[tuple[str, dict[str, pytest.Mark], int]] = [
        ("demo/test_loop.py", CHAIN, 1),
        ("test_wheel.py", CHAIN, 2),
        *((f"browser/test_{n}.py", COMMITS, 3) for n in range(4)),
        *((f"training/rlhf/test_{n}.py", {}, 5) for n in range(3)),
        *((f"training/test_{n}.py", COMMITS, 1) for n in range(3)),
        *((f"annotation/test_{n}.py", {}, 7) for n in range(9)),
    ]
    tests = [Given(order.HERE / name, marks) for name, marks, many in modules for _ in range(many)]
    random.shuffle(tests)
    return tests


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_long_ones_begin_each_piece_and_none_is_lost(processes: int) -> None:
    items = made()
    arranged: list[Any] = list(order.arrange(items, processes))
    assert len(arranged) == len(items) and set(arranged) == set(items)
    begun = 0
    for number in range(min(processes, 2)):  # there are two chains
        assert arranged[begun].marks == CHAIN
        begun += (len(items) - begun) // (processes - number)


def test_the_browser_is_one_process_s_and_the_engine_another_s() -> None:
    arranged: list[Any] = list(order.arrange(made(), 2))
    half = len(arranged) // 2
    of = [one.path.parent.name for one in arranged]
    assert of.index("browser") < half and of.index("rlhf") >= half
    for name, many in (("browser", 12), ("rlhf", 15)):
        assert of[of.index(name) :][:many] == [name] * many


def test_modules_stay_whole() -> None:
    arranged: list[Any] = list(order.arrange(made(), 1))
    changes = sum(one.path != other.path for one, other in pairwise(arranged))
    assert changes == len({one.path for one in arranged}) - 1


@pytest.mark.parametrize("name", ["browser/test_0.py", "annotation/test_0.py"])
def test_a_part_of_the_suite_is_given_out_too(name: str) -> None:
    items: list[Any] = [Given(order.HERE / name) for _ in range(7)]
    assert set(order.arrange(items, 3)) == set(items)

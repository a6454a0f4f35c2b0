"""A rule that is code is named by what it does."""

from __future__ import annotations

import ast
import importlib.util
import inspect
from pathlib import Path
from types import ModuleType

import pytest

from benchmark.protocols import protocol
from benchmark.protocols.right_or_wrong import RULE as YES_OR_NO
from benchmark.protocols.rule_text import rule_text

RULE = '''"""Reads."""

from math import floor

LIMIT = 3
"""Words."""


class Reader:
    """Of texts."""


def read(text: str) -> int:
    """How many."""
    # Above the limit it is the limit.
    return min(floor(len(text)), LIMIT)
'''
EXPLAINED_ANEW = [
    ("# Above the limit it is the limit.\n    ", ""),
    ('"""Words."""', '"""Characters."""'),
    ('"""Of texts."""', '"""Of all texts."""'),
    ('"""Reads."""\n', ""),
    ("from math import floor", "import math\nfrom math import floor"),
    ("LIMIT = 3", "LIMIT   =   3"),
]
CHANGED = [("LIMIT = 3", "LIMIT = 4"), ("min(", "max("), ("text: str", "text: bytes")]


@pytest.fixture
def module(tmp_path: Path) -> ModuleType:
    return loaded(tmp_path / "rule.py", RULE)


def loaded(path: Path, source: str) -> ModuleType:
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize("change", EXPLAINED_ANEW)
def test_a_rule_explained_anew_is_the_same(
    module: ModuleType, change: tuple[str, str], tmp_path: Path
) -> None:
    other = loaded(tmp_path / "moved.py", RULE.replace(*change))
    assert rule_text(other) == rule_text(module)
    assert rule_text(other.read) == rule_text(module.read)


@pytest.mark.parametrize("change", CHANGED)
def test_a_rule_that_does_something_else_is_another(
    module: ModuleType, change: tuple[str, str], tmp_path: Path
) -> None:
    other = loaded(tmp_path / "moved.py", RULE.replace(*change))
    assert rule_text(other) != rule_text(module)


def test_the_rule_of_yes_or_no_is_whole() -> None:
    """What a module of it takes from another of ours is of the rule too, but types are not."""
    known = {module.__name__ for module in (*YES_OR_NO, protocol)}
    for module in YES_OR_NO:
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if not isinstance(node, ast.ImportFrom) or not str(node.module).startswith("benchmark"):
                continue
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                assert known & {node.module, inner}, (module.__name__, inner)

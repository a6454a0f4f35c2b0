"""What names a rule that is code: what it does, not how that is laid out or explained."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from types import ModuleType
from typing import Any


def rule_text(*rules: ModuleType | Callable[..., Any]) -> str:
    """The code of modules and functions without comments, docstrings and imports.

    Scores are ranked beside each other only where the rule behind them has the same text, so a
    module that is moved, or explained anew, must not part them.
    """
    return "\n".join(_text(inspect.getsource(rule)) for rule in rules)


def _text(source: str) -> str:
    tree = ast.parse(textwrap.dedent(source))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            # An empty body is no code; what is told once it is unparsed is the same for all.
            node.body = [one for one in body if not _explains(one)] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _explains(node: ast.AST) -> bool:
    """Whether it is an import, a docstring, or the docstring of an attribute."""
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return text or isinstance(node, ast.Import | ast.ImportFrom)

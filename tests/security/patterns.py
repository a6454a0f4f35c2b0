"""Every compiled pattern of the project, how it is used, and texts that would make it slow.

A backtracking engine is slow where it can take the same characters in several ways, or from each of
many beginnings. Both need a run of something that the pattern itself repeats; so texts are made of
what the pattern's own tree matches: a beginning of it, then one of its parts again and again.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from re import _compiler as compiler  # type: ignore[attr-defined]
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGES = ("annotation", "benchmark", "config", "training", "demo")
METHODS = {"search", "match", "fullmatch", "finditer", "findall", "split", "sub", "subn"}
CHARACTERS = " \na1.,:-'\"([<>)/|=~_é\x01"
ENDS = ("", "\x01", "\n", ".:")
REPEATS = (op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT)


@dataclass(frozen=True)
class Known:
    """A pattern under the name that a module gives it; ``uses`` are the methods called on it."""

    name: str
    pattern: re.Pattern[str]
    uses: frozenset[str] = field(compare=False, default=frozenset())

    def run(self, text: str) -> None:
        """What takes longest of what the project does with it."""
        if self.uses and self.uses <= {"match", "fullmatch"}:
            for use in self.uses:
                getattr(self.pattern, use)(text)
        else:
            for _ in self.pattern.finditer(text):
                pass
            if not self.uses:  # one of several: how they are used is not told apart
                self.pattern.fullmatch(text)


# --------------------------------------------------------------------------------------------
# Finding them
# --------------------------------------------------------------------------------------------


def module_names() -> list[str]:
    """Of everything that may meet text from outside; migrations run on rows that are here."""
    names = ["factloop"]
    for package in PACKAGES:
        found = pkgutil.walk_packages([str(ROOT / package)], f"{package}.")
        names += [package, *(one.name for one in found if ".migrations" not in one.name)]
    return names


def source_of(name: str) -> ast.Module:
    path = ROOT / name.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])


def elsewhere(tree: ast.Module) -> Iterator[str]:
    """Calls of ``re`` that are no compilation at a module's top: their patterns have no name."""
    allowed = {id(call) for one in _assignments(tree) for call in _calls(one)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and id(node) not in allowed:
            called = ast.unparse(node.func)
            if called.startswith("re.") and called != "re.escape":
                yield f"line {node.lineno}: {called}"
        if isinstance(node, ast.ImportFrom) and node.module == "re":
            yield f"line {node.lineno}: from re import"


def patterns(names: list[str]) -> list[Known]:
    """Those of modules, by the assignments that compile them."""
    trees = {name: source_of(name) for name in names}
    uses = defaultdict(set)
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in METHODS:
                uses[ast.unparse(node.value).rpartition(".")[2]].add(node.attr)
    found = []
    for name, tree in trees.items():
        for assignment in _assignments(tree):
            target = getattr(assignment, "target", None) or assignment.targets[0]
            compiled = list(_flat(getattr(importlib.import_module(name), target.id)))
            assert compiled, (name, target.id)
            alone = len(compiled) == 1
            methods = frozenset(uses[target.id]) if alone else frozenset()
            for number, pattern in enumerate(compiled):
                label = target.id if alone else f"{target.id}[{number}]"
                found.append(Known(f"{name}.{label}", pattern, methods))
    return found


def _assignments(tree: ast.Module) -> list[Any]:
    """Statements at the top of the module, or of a class there, that compile patterns."""
    tops = [
        *tree.body,
        *(s for one in tree.body if isinstance(one, ast.ClassDef) for s in one.body),
    ]
    return [one for one in tops if isinstance(one, ast.Assign | ast.AnnAssign) and _calls(one)]


def _calls(statement: ast.AST) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(statement)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "re.compile"
    ]


def _flat(value: Any) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        yield from _flat(tuple(value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from _flat(one)


# --------------------------------------------------------------------------------------------
# Texts against them
# --------------------------------------------------------------------------------------------


def attacks(pattern: re.Pattern[str]) -> Iterator[Callable[[int], str]]:
    """Each makes a text of about so many characters: a beginning, one part repeated, an end.

    Parts are what the nodes of the tree match, two such characters side by side, and, for patterns
    that go on searching from each of many beginnings, all that leads up to a repetition.
    """
    tree = parser.parse(pattern.pattern, pattern.flags)
    parts = list(dict.fromkeys(part for part in _parts(tree, pattern.flags) if part))
    # Of words that are alternatives the first few stand for all.
    words = [part for part in parts if len(part) > 1][:20]
    letters = [part for part in parts if len(part) == 1][:8]
    leads = list(dict.fromkeys(["", *_leads(tree, pattern.flags)]))[:20]
    for begin in leads[:8]:
        for pump in (*words, *letters):
            yield _text(begin, pump, "\x01")
    for pump in dict.fromkeys([*leads[1:], *(lead + one for lead in leads for one in letters[:3])]):
        for end in ENDS:
            yield _text("", pump, end)
    for pump in dict.fromkeys(a + b for a in letters for b in letters if a != b):
        yield _text("", pump, "\x01")


def _text(begin: str, pump: str, end: str) -> Callable[[int], str]:
    def made(length: int) -> str:
        return begin + pump * (length // len(pump)) + end

    made.__doc__ = f"{begin!r} + {pump!r} * n + {end!r}"
    return made


def _parts(tree: Any, flags: int) -> Iterator[str]:
    """What each node of the tree matches at least."""
    for node in tree:
        yield _least([node], flags)
        if node[0] is op.IN:
            yield from _all_of(node, flags)
        for inner in _inner(node):
            yield _least(inner, flags)
            yield from _parts(inner, flags)


def _leads(tree: Any, flags: int, before: str = "") -> Iterator[str]:
    """For each repetition, wherever it stands: what leads to it, and that with one round of it."""
    for node in tree:
        if node[0] in REPEATS and node[1][1] > 1:
            yield before
            yield before + _least(node[1][2], flags)
        for inner in _inner(node):
            yield from _leads(inner, flags, before)
        before += _least([node], flags)
    yield before


def _inner(node: Any) -> list[Any]:
    kind, value = node
    if kind is op.BRANCH:
        return list(value[1])
    if kind in REPEATS:
        return [value[2]]
    if kind is op.SUBPATTERN:
        return [value[3]]
    if kind is op.ATOMIC_GROUP:
        return [value]
    if kind in (op.ASSERT, op.ASSERT_NOT):
        return [value[1]]
    return []


def _least(nodes: Any, flags: int) -> str:
    """A short text that the nodes match, their repetitions done once at least."""
    text = ""
    for node in nodes:
        kind, value = node
        if kind is op.LITERAL:
            text += chr(value)
        elif kind in (op.IN, op.NOT_LITERAL, op.ANY, op.CATEGORY):
            text += _one_of(node, flags)
        elif kind is op.BRANCH:
            text += _least(value[1][0], flags)
        elif kind in REPEATS:
            text += _least(value[2], flags) * min(max(1, value[0]), 50)
        elif kind not in (op.ASSERT, op.ASSERT_NOT, op.AT, op.GROUPREF):
            for inner in _inner(node):
                text += _least(inner, flags)
    return text


def _one_of(node: Any, flags: int) -> str:
    if node[0] is op.ANY:
        return "a"
    if node[0] is op.NOT_LITERAL:
        return "a" if node[1] != ord("a") else "b"
    return next(iter(_all_of(node, flags)), "a")


_TAKEN: dict[tuple[str, int], list[str]] = {}


def _all_of(node: Any, flags: int) -> list[str]:
    """Which of a few telling characters a class takes."""
    key = (repr(node), flags)
    if key not in _TAKEN:
        tree = parser.SubPattern(parser.State(), [node])
        tree.state.flags = flags
        one = compiler.compile(tree, flags)
        _TAKEN[key] = [character for character in CHARACTERS if one.fullmatch(character)]
    return _TAKEN[key]


# --------------------------------------------------------------------------------------------
# How the time grows
# --------------------------------------------------------------------------------------------

LENGTHS = (16, 20, 26, 34, 44, 58, 76, 100, 256, 4096)
"""Characters. A pattern that is exponential shows it before it takes for ever."""
SUSPECT_SECONDS = 0.001
"""Next to nothing that is linear takes so long for so few characters."""
TIMES = 4


def grows_faster_than_linearly(
    run: Callable[[str], object],
    made: Callable[[int], str],
    *,
    lengths: tuple[int, ...] = LENGTHS,
    suspect_seconds: float = SUSPECT_SECONDS,
) -> bool:
    """Whether ``TIMES`` as much text takes far more than ``TIMES`` as long, the best of several
    tries compared; quadratic would be ``TIMES`` squared."""
    return any(
        # Another process may slow one measurement down, but hardly each of three.
        _seconds(run, made(length), tries=1) > suspect_seconds
        and all(_far_more(run, made, length) for _ in range(3))
        for length in lengths
    )


def _far_more(run: Callable[[str], object], made: Callable[[int], str], length: int) -> bool:
    short = _seconds(run, made(length // TIMES), tries=5)
    return _seconds(run, made(length), tries=3) > 2 * TIMES * short


def _seconds(run: Callable[[str], object], text: str, *, tries: int) -> float:
    best = float("inf")
    for _ in range(tries):
        began = time.process_time()
        run(text)
        best = min(best, time.process_time() - began)
    return best

"""Frozen dataclasses to JSON and back, with errors that name the field."""

from __future__ import annotations

import dataclasses
import enum
import math
import types
import typing
from collections.abc import Iterable
from typing import Any, Literal

DataclassT = typing.TypeVar("DataclassT")


LONGEST_PROBLEM = 300


class ContractError(ValueError):
    """A record or spec that does not follow the contract; ``field`` names the part at fault."""

    def __init__(self, field: str, problem: str) -> None:
        if len(problem) > LONGEST_PROBLEM:  # it quotes a value
            problem = f"{problem[: LONGEST_PROBLEM - 1]}…"
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


def to_json(value: Any) -> Any:
    """Plain JSON types of a contract dataclass; enums become their values, tuples lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    return value


def dataclass_from_json(cls: type[DataclassT], data: Any) -> DataclassT:
    """A dataclass of ``setting`` fields from JSON; ContractError names the first bad field."""
    built: DataclassT = build(cls, data, "")
    return built


def build(cls: type, data: Any, path: str, overrides: dict[str, Any] | None = None) -> Any:
    if not isinstance(data, dict):
        raise ContractError(path or cls.__name__, "is not an object")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    hints = {**typing.get_type_hints(cls), **(overrides or {})}
    for name in data:
        if name not in fields:
            raise ContractError(_join(path, name), "is not a known field")
    values = {}
    for name, spec in fields.items():
        if name in data:
            values[name] = _convert(hints[name], data[name], _join(path, name))
            _check_bounds(spec, values[name], _join(path, name))
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            if not dataclasses.is_dataclass(hints[name]):
                raise ContractError(_join(path, name), "is missing")
            values[name] = hints[name]()
    try:
        return cls(**values)
    except ContractError as error:  # of fields that do not go together
        raise ContractError(_join(path, error.field), error.problem) from None


def _convert(hint: Any, value: Any, path: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return build(typing.cast(type, hint), value, path)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _convert(next(a for a in args if a is not type(None)), value, path)
    if origin is Literal:
        if not is_one_of(value, args):
            raise ContractError(path, f"is {value!r}, not one of {', '.join(map(repr, args))}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise ContractError(path, "is not a list")
        return tuple(_convert(args[0], item, f"{path}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise ContractError(path, "is not an object")
        return {key: _convert(args[1], item, _join(path, key)) for key, item in value.items()}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        known = [member.value for member in hint]
        if not is_one_of(value, known):
            raise ContractError(path, f"is {value!r}, not one of {', '.join(map(repr, known))}")
        return hint(value)
    if hint is Measured and type(value) is float:
        return value
    if hint in (float, Measured) and type(value) in (int, float):
        return finite(value, path)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise ContractError(path, f"is {value!r}, not of type {hint.__name__}")
    return value


class Measured(float):
    """A hint for figures that an engine says of its work: they may be infinite or no number, and
    what stands beside them is worth no less."""


def finite(value: Any, name: str) -> float:
    """A number that can be reckoned with. Raises ContractError."""
    if type(value) in (int, float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            return number
    raise ContractError(name, "is not a number")


def is_one_of(value: Any, known: Iterable[Any]) -> bool:
    """Whether a value of JSON is one of these; Python alone takes 2.0 for 2 and true for 1."""
    return any(type(value) is type(one) and value == one for one in known)


def in_words(value: Any) -> str:
    """What a value of JSON is, for people who never saw Python's names of it."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return next(words for kind, words in _IN_WORDS.items() if isinstance(value, kind))


_IN_WORDS = {str: "a text", int | float: "a number", list: "a list", dict: "an object"}


def _check_bounds(spec: dataclasses.Field[Any], value: Any, path: str) -> None:
    low, high = spec.metadata.get("minimum"), spec.metadata.get("maximum")
    if low is not None and value < low:
        raise ContractError(path, f"is {value}, below {low}")
    if high is not None and value > high:
        raise ContractError(path, f"is {value}, above {high}")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name

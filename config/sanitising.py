"""What comes from outside, made fit to be kept: texts, numbers and JSON of people and machines.

Postgres holds neither NUL nor half of a surrogate pair, and JSON can spell both. What a person
sends is refused with words (``is_storable``, ``parse_json``); what a machine says (a judge, a
trainer, a file's name, an error) is kept as well as can be (``storable``, ``storable_json``,
``whole_number``), because a row that cannot be written would be tried again for ever.
"""

from __future__ import annotations

import functools
import json
import math
import re
import unicodedata
from typing import Any, Literal

from config.json_words import named_twice, not_json

MOST_NESTING = 100
"""Levels of lists and objects in JSON; whatever walks it afterwards may recurse."""
LONGEST_REASON = 2000
"""Characters of the reason that is written on what has failed."""
_LEAST_INTEGER, _MOST_INTEGER = -(2**63), 2**64 - 1
"""What other readers of JSON hold exactly."""
_MOST_DIGITS = len(str(_MOST_INTEGER))
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_PIECES = re.compile(r"[\x00-\x7f]?[^\x00-\x7f]{1,256}")
_SHOWN = 40


class NotJson(ValueError):
    """The message says what is wrong in words that may follow "the body" or "line 3"; ``line`` is
    where, from 1, if that is known."""

    def __init__(self, what: str, line: int = 0) -> None:
        super().__init__(what)
        self.line = line


# --------------------------------------------------------------------------------------------
# Texts
# --------------------------------------------------------------------------------------------


def is_storable(text: str) -> bool:
    """Whether Postgres can hold ``text``: no NUL and no half of a surrogate pair."""
    return _UNSTORABLE.search(text) is None


def storable(text: str) -> str:
    """The text with U+FFFD for each character that cannot be kept: positions stay as they are."""
    return _UNSTORABLE.sub("\ufffd", text)


def normalized(text: str, form: Literal["NFC", "NFKC"]) -> str:
    """``unicodedata.normalize`` in linear time.

    Python sorts each run of combining characters by insertion: 80,000 of them took 6 s. Runs of
    other letters than ASCII are therefore taken 256 at a time, which no writing can tell.
    """
    return _PIECES.sub(lambda piece: unicodedata.normalize(form, piece[0]), text)


def reason(error: object) -> str:
    """What is said of a failure, fit to be written on a row: storable and not endless."""
    text = storable(str(error)).strip()
    return text if len(text) <= LONGEST_REASON else f"{text[: LONGEST_REASON - 1]}…"


# --------------------------------------------------------------------------------------------
# Numbers
# --------------------------------------------------------------------------------------------


def whole_number(value: Any, *, least: int = 0, most: int = 2**31 - 1) -> int | None:
    """``value`` as a whole number from ``least`` to ``most``; None for anything else.

    Takes 12, 12.0 and "12", as services write counts; neither true nor NaN nor 1e999.
    """
    number = finite_number(value, least=least, most=most)
    return int(number) if number is not None and number == int(number) else None


def finite_number(value: Any, *, least: float, most: float) -> float | None:
    """``value`` as a number from ``least`` to ``most``; None for anything else, and for NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value[:_SHOWN]) if isinstance(value, str) else float(value)
    except (ValueError, OverflowError):
        return None
    return number if least <= number <= most else None


# --------------------------------------------------------------------------------------------
# JSON
# --------------------------------------------------------------------------------------------


def parse_json(text: str | bytes, *, nan: bool = False) -> Any:
    """The value of JSON as the standard has it, in UTF-8 (a byte order mark may stand before it).

    Raises NotJson; also for NaN, for numbers that no other reader holds (1e999, more than 64 bits),
    for an object that has a member twice, and for more than ``MOST_NESTING`` levels. Texts in it
    may still be unstorable. ``nan`` lets NaN and Infinity through as numbers, for files in which
    nobody may read that field.
    """
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        value = json_decoder(nan=nan).decode(decoded)
    except UnicodeDecodeError:
        raise NotJson("is not UTF-8 text") from None
    except NotJson:
        raise
    except json.JSONDecodeError as error:
        raise NotJson(not_json(error), error.lineno) from None
    except (RecursionError, MemoryError):
        raise _too_deep() from None
    check_nesting(decoded, value)
    return value


@functools.cache
def json_decoder(*, nan: bool = False) -> json.JSONDecoder:
    """What ``parse_json`` decodes with, for readers that take one value after the other.

    They still have to ``check_nesting`` and to catch RecursionError.
    """
    return json.JSONDecoder(
        parse_constant=float if nan else _no_constant,
        parse_float=_float,
        parse_int=_integer,
        object_pairs_hook=_each_once,
    )


def check_nesting(text: str, value: Any) -> None:
    """Raises NotJson where ``value``, decoded from ``text``, is nested too deep."""
    # As many levels need as many brackets; most values have too few to be looked through.
    if text.count("[") + text.count("{") > MOST_NESTING:
        _check_nesting(value)


def _each_once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        raise NotJson(named_twice(members))
    return found


def _check_nesting(value: Any) -> None:
    level = [value]
    for _ in range(MOST_NESTING + 1):
        level = [inner for outer in level for inner in _members(outer)]
        if not level:
            return
    raise _too_deep()


def _members(value: Any) -> Any:
    if isinstance(value, dict):
        return [inner for inner in value.values() if isinstance(inner, dict | list)]
    if isinstance(value, list):
        return [inner for inner in value if isinstance(inner, dict | list)]
    return ()


def _too_deep() -> NotJson:
    return NotJson(f"is nested more than {MOST_NESTING} levels deep")


def _no_constant(name: str) -> Any:
    raise NotJson(f"is not JSON ({name} is not a number there)")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise NotJson(f"holds a number that is too large ({_shown(text)})")
    return value


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > _MOST_DIGITS or not (_LEAST_INTEGER <= int(text) <= _MOST_INTEGER):
        raise NotJson(f"holds a number that is too large ({_shown(text)})")
    return int(text)


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:10]}… of {len(text)} digits"


def storable_json(value: Any, *, levels: int = MOST_NESTING) -> Any:
    """JSON types with every text and name ``storable``; None in place of numbers that JSON lacks
    and of what lies deeper than ``levels``."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int) and not isinstance(value, bool):
        return value if _LEAST_INTEGER <= value <= _MOST_INTEGER else None
    if isinstance(value, dict | list | tuple) and not levels:
        return None
    if isinstance(value, dict):
        return {
            storable(str(name)): storable_json(inner, levels=levels - 1)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [storable_json(inner, levels=levels - 1) for inner in value]
    return value


def find_unstorable(value: Any, path: str = "") -> str | None:
    """Where in JSON a text or name stands that cannot be kept: "spans[0].kind"; None if nowhere.

    The text itself is the empty path.
    """
    if isinstance(value, str):
        return None if is_storable(value) else path
    if isinstance(value, dict):
        for name, inner in value.items():
            if not is_storable(name):
                return storable(_join(path, name))
            found = find_unstorable(inner, _join(path, name))
            if found is not None:
                return found
    if isinstance(value, list):
        for position, inner in enumerate(value):
            found = find_unstorable(inner, f"{path}[{position}]")
            if found is not None:
                return found
    return None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name

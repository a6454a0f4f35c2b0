"""Which picture a record is about: one, in whichever member it is named, or a fault.

A prompt is about one image (decision 028), so a record of several, of a video or of sound is
refused by name, in every form alike: nothing of it would be left that people could judge.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from annotation.importing.record_files import BadField
from annotation.reading.names import excerpt, fit, key

IMAGES = ("image", "images", "image_path", "image_url", "img", "file_name", "file_names")
ONE_ONLY = "a comparison shows one"
_NUMBERED = re.compile(r"(?:image|img)s?[_ -]?\d{1,2}")
_BY_CONTENT = re.compile(r"a picture inside the record |[0-9a-f]{20}/")
"""How the pictures that were in a record, or in a row of Parquet, are called."""
_OTHER_MEDIA = ("video", "videos", "audio", "audios")


def name_of_picture(record: Mapping[str, Any]) -> Any:
    """The one name: a text, a list of one, or an object with a path; unchecked. Raises BadField."""
    found: dict[str, Any] = {}
    for member in picture_members(record):
        value = record[member]
        names = [value] if isinstance(value, str) and value else list(_names(value))
        if len(names) > 1:
            raise BadField(member, f"names {len(names)} images; {ONE_ONLY}")
        if names:
            found[member] = names[0]
    numbered = [member for member in found if member not in IMAGES]
    if numbered and len(found) > 1:
        raise BadField(numbered[-1], f"names a second image; {ONE_ONLY}")
    for member in _OTHER_MEDIA:
        if member in record and any(True for _ in _names(record[member])):
            raise BadField(member, "is not shown: a comparison is about one image")
    _check_the_same({m: name for m, name in found.items() if not _is_held(record[m])})
    return next(iter(found.values()), None)


def _is_held(value: Any) -> bool:
    return isinstance(value, dict) and not is_absent(value.get("bytes"))


def _check_the_same(found: Mapping[str, Any]) -> None:
    """Raises BadField where two members name different pictures.

    A picture that the record holds has no name of its own, the address that one was copied from
    may call it anything, and a number alone may be a row's: none of them contradicts a name.
    """
    names = {
        member: name
        for member, name in found.items()
        if isinstance(name, str)
        and not _BY_CONTENT.match(name)
        and not name.strip().isdigit()
        and not (member == "image_url" and "://" in name)
    }
    for (member, one), (second, other) in combinations(names.items(), 2):
        if not fit(key(one), key(other)):
            reason = f"names {excerpt(other)}, and {member} {excerpt(one)}; {ONE_ONLY}"
            raise BadField(second, reason)


def is_absent(value: Any) -> bool:
    """As tables write nothing: null, NaN or an empty cell."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def picture_members(record: Mapping[str, Any]) -> list[str]:
    """Where a record may name pictures; tables have image_1, image_2 and so on, one for each."""
    numbered = (
        name for name in record if name[-1:].isdigit() and _NUMBERED.fullmatch(name.lower())
    )
    return [*(name for name in IMAGES if name in record), *sorted(numbered)]


def _names(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _names(one)
    elif isinstance(value, dict):
        yield from _names(value.get("path", value.get("url")))
    elif not is_absent(value):
        yield value

"""Pictures inside records: data URIs and base64 where the name of an image is expected.

They are decoded into a folder of files named by content, and the record then names its file, so
that such a picture is looked up, checked and stored like any other.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from pathlib import Path
from typing import Any

from annotation.image_sources import ImageSource, Place
from annotation.images import MOST_BYTES, Decoder, prepare
from annotation.importing.field_names import in_our_names
from annotation.importing.one_answer_each import is_assignment, of_assignment
from annotation.importing.record_files import BadField
from annotation.importing.record_image import ONE_ONLY, name_of_picture, picture_members
from annotation.models import Image
from annotation.reading.names import excerpt, fit, key

PREFIX = "a picture inside the record "
MOST_LETTERS = MOST_BYTES * 4 // 3 + 200
_DATA_URI = re.compile(r"data:image/[\w.+-]+(?:;[\w=.+-]+)*;base64,", re.IGNORECASE)
_MAGIC = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR")
"""How the base64 of PNG, JPEG, GIF and WebP begins."""
_OF_ADDRESSES = frozenset("-_")
_AS_USUAL = str.maketrans("-_", "+/")
"""The other alphabet of base64, which OFA's tables and some tools write, without its padding."""
LONGEST_NAME = 4096
_LEAST_LETTERS = 60


class Inlined(ImageSource):
    """The pictures that records brought themselves, in a folder that is there for the import."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def taken_out(self, record: Any) -> Any:
        """The record with names in place of its pictures. Raises BadField."""
        if not isinstance(record, dict):
            return record
        if is_assignment(record):
            record = of_assignment(record)
        taken = dict(in_our_names(record))
        found: list[str] = []
        for wrapper in ("data", "fields", "input", "body"):
            if isinstance(taken.get(wrapper), dict):
                taken[wrapper] = self.taken_out(taken[wrapper])
        if isinstance(taken.get("input"), dict):  # which holds turns, and is not the record
            found += taken["input"].pop("images", [])
        members = picture_members(taken)
        for name in members:
            taken[name] = self._replaced(taken[name], name)
        for name in ("messages", "prompt", "input", "conversations", "chosen", "rejected"):
            if isinstance(taken.get(name), list):
                taken[name] = [self._turn(turn, found, name) for turn in taken[name]]
        shown = list(dict.fromkeys(found))
        if shown and not any(taken.get(name) for name in members):
            taken["images"] = shown
        elif shown:
            _check_the_same(shown, name_of_picture(taken))
        return taken

    def locate(self, name: str) -> Place | None:
        if not name.startswith(PREFIX) or not self._path(name).is_file():
            return None
        return Place(self, name, by_content=True)

    def load(self, name: str, decoder: Decoder) -> Image:
        return prepare(self._path(name).read_bytes(), decoder)

    def _path(self, name: str) -> Path:
        return self._folder / hashlib.sha256(name.encode()).hexdigest()

    def _turn(self, turn: Any, found: list[str], field: str) -> Any:
        """A turn whose parts of content name the images that stood there."""
        content = turn.get("content") if isinstance(turn, dict) else None
        if not isinstance(content, list):
            return turn
        parts = []
        for part in content:
            if isinstance(part, dict) and (image := _image_of(part)) is not None:
                name = self._replaced(image, f"{field}.content")
                found.append(name)
                part = {"type": "image"}
            parts.append(part)
        return {**turn, "content": parts}

    def _replaced(self, value: Any, field: str) -> Any:
        if isinstance(value, list):
            return [self._replaced(one, field) for one in value]
        if isinstance(value, dict):
            held = (value.get(name) for name in ("bytes", "url", "data", "path"))
            data = next((one for one in held if isinstance(one, str) and is_picture(one)), None)
            return value if data is None else self._replaced(data, field)
        if isinstance(value, str) and is_picture(value):
            return self._kept(_decoded(value, field))
        if isinstance(value, str) and len(value) > LONGEST_NAME:
            raise BadField(field, f"is no name of an image: it is {len(value):,} characters long")
        return value

    def _kept(self, data: bytes) -> str:
        name = f"{PREFIX}({hashlib.sha256(data).hexdigest()[:20]})"
        path = self._path(name)
        if not path.exists():
            path.write_bytes(data)
        return name


def _check_the_same(shown: list[str], named: Any) -> None:
    """Raises BadField where the parts of content show another picture than the record names."""
    for one in shown:
        if not isinstance(named, str) or not fit(key(one), key(named)):
            reason = f"shows {excerpt(one)}, and the record names {excerpt(named)}; {ONE_ONLY}"
            raise BadField("content", reason)


def _image_of(part: dict[str, Any]) -> str | None:
    """What a part of content names or holds as its image."""
    for name in ("image_url", "image", "url", "source", "path"):
        value = part.get(name)
        if isinstance(value, dict):
            value = next((value[key] for key in ("url", "data", "path") if value.get(key)), None)
        if isinstance(value, str) and value:
            return value
    return None


def is_picture(text: str) -> bool:
    """Whether a text is a picture rather than the name of one."""
    if _DATA_URI.match(text[:200]):
        return True
    return len(text) >= _LEAST_LETTERS and text.startswith(_MAGIC) and "." not in text[-8:]


def _decoded(text: str, field: str) -> bytes:
    start = _DATA_URI.match(text[:200])
    letters = text[start.end() :] if start else text
    if len(letters) > MOST_LETTERS:
        reason = f"holds a picture that is larger than {MOST_BYTES // 2**20} MiB"
        raise BadField(field, reason)
    try:
        plain = "".join(letters.split())
        if not _OF_ADDRESSES.isdisjoint(plain):
            plain = plain.translate(_AS_USUAL) + "=" * (-len(plain) % 4)
        return base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError):
        raise BadField(
            field, "holds a picture, not the name of one, and its base64 is broken"
        ) from None

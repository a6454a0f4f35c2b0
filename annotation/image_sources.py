"""Where the images of an import come from: a folder, a zip, the record itself, or storage.

A record's name is looked up by the rule of ``annotation.reading.names`` and opened only under the
name that the source itself has for it, so no name of a record leads out of its folder.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import IO

from django.db.models import QuerySet

from annotation.images import MOST_BYTES, BadImage, Decoder, check_size, is_whole, prepare
from annotation.models import Image
from annotation.reading.encodings import asian_encoding
from annotation.reading.names import Ambiguous, Names, excerpt, key, leaves_its_folder, normal

UTF_8_FLAG = 0x800
ENCRYPTED_FLAG = 0x1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OTHER_ARCHIVES = {
    b"\x1f\x8b": "compressed with gzip",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\xfd7zXZ": "compressed with xz",
    b"BZh": "compressed with bzip2",
}
_ENCODINGS = {
    **{"CP850": "cp850", "CP866": "cp866", "Windows-1251": "cp1251", "Windows-1252": "cp1252"},
    **{"Big5": "big5", "Korean (CP949)": "cp949", "GBK": "gb18030", "Shift-JIS": "cp932"},
}
"""In which systems pack names without saying so."""
_LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db")


@dataclass(frozen=True)
class Place:
    """Where an image lies; equal for all names of one file."""

    source: ImageSource
    name: str
    by_content: bool = False
    """Whether the name is the content's hash, which may be written in many ways."""

    def load(self, decoder: Decoder) -> Image:
        """The image, perhaps not saved yet. Raises BadImage."""
        return self.source.load(self.name, decoder)


class ImageSource(ABC):
    """Finds the image that a record names."""

    @abstractmethod
    def locate(self, name: str) -> Place | None:
        """Where it lies; None when it is not here. Raises BadImage, which does not repeat it."""

    @abstractmethod
    def load(self, name: str, decoder: Decoder) -> Image:
        """The image under the name of its place. Raises BadImage."""

    def find(self, name: str, decoder: Decoder) -> Image | None:
        """Both in one."""
        place = self.locate(name)
        return None if place is None else place.load(decoder)

    def near(self, name: str) -> str | None:
        """A name here that could be meant by one that there is not."""
        return None

    def notes(self) -> list[str]:
        """What a person should know of the source as a whole."""
        return []


class Folder(ImageSource):
    """Images in a folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def locate(self, name: str) -> Place | None:
        _check_name(name)
        as_written = name.replace("\\", "/").lstrip("/")
        try:
            if (self._root / as_written).is_file():
                return Place(self, PurePosixPath(as_written).as_posix())
        except OSError:  # longer than any name of a file
            return None
        return _found(self, self._names, name, "the folder")

    def load(self, name: str, decoder: Decoder) -> Image:
        path = (self._root / name).resolve()
        if not path.is_relative_to(self._root):
            raise BadImage("points outside the folder of images")
        try:
            check_size(path.stat().st_size)
            data = path.read_bytes()
        except OSError as error:
            raise BadImage(f"cannot be read ({error.strerror})") from None
        return prepare(data, decoder)

    def near(self, name: str) -> str | None:
        return self._names.near(name)

    @cached_property
    def _names(self) -> Names:
        """All files below the folder: looked at only when a name is not there as it is written."""
        return Names(
            path.relative_to(self._root).as_posix()
            for folder, _, files in os.walk(self._root)
            for path in (Path(folder, file) for file in files)
            if not _is_litter(path.relative_to(self._root).as_posix())
        )


class Archive(ImageSource):
    """Images in a zip, whatever system packed it; ``name`` is what people call it."""

    def __init__(self, file: IO[bytes] | Path, name: str = "the archive") -> None:
        self._called = excerpt(name or "the archive")
        try:
            self._zip = zipfile.ZipFile(file)
        except Exception:  # a damaged list of entries makes errors of many types
            raise BadImage(f"{self._called} {_no_zip(file)}") from None
        self._entries: dict[str, list[zipfile.ZipInfo]] = {}
        self._encodings: set[str] = set()
        self._raw: dict[str, bytes] = {}
        """Names in an encoding that is guessed, by the guess."""
        guess = asian_encoding(b"\n".join(filter(None, map(_of_no_encoding, self._zip.infolist()))))
        for entry in self._zip.infolist():
            name = self._name_of(entry, guess)
            if entry.is_dir() or name.endswith(("/", "\\")) or _is_litter(name):
                continue
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise BadImage(f"contains a link: {excerpt(name)}")
            if leaves_its_folder(name) or name[:1] in ("/", "\\") or name[1:2] == ":":
                raise BadImage(f"has an unsafe path: {excerpt(name)!r}")
            self._entries.setdefault(name, []).append(entry)
        self._names = Names(name for name, found in self._entries.items() for _ in found)

    def locate(self, name: str) -> Place | None:
        _check_name(name)
        return _found(self, self._names, name, "the archive") or self._in_other_encodings(name)

    def _in_other_encodings(self, name: str) -> Place | None:
        """Where an entry has this very name in an encoding that was not guessed, and only one."""
        found = {}
        for encoding, (names, guessed) in self._other_encodings.items():
            with contextlib.suppress(Ambiguous):
                fitting = names.find(name)
                if fitting is not None:
                    found[encoding] = guessed[fitting]
        if len(set(found.values())) != 1:
            return None
        self._encodings = {one for one in self._encodings if one in found} or {next(iter(found))}
        return Place(self, next(iter(found.values())))

    @cached_property
    def _other_encodings(self) -> dict[str, tuple[Names, dict[str, str]]]:
        """Names, and for each the one that it is listed under here, by encoding."""
        readings: dict[str, tuple[Names, dict[str, str]]] = {}
        for encoding, codec in _ENCODINGS.items():
            with contextlib.suppress(UnicodeDecodeError):
                named = {raw.decode(codec): name for name, raw in self._raw.items()}
                if len(named) == len(self._raw) > 0 and not any(map(leaves_its_folder, named)):
                    readings[encoding] = (Names(named), named)
        return readings

    def load(self, name: str, decoder: Decoder) -> Image:
        [entry] = self._entries[name]
        entry_of = f"{excerpt(name)} in {self._called}"
        try:
            if entry.flag_bits & ENCRYPTED_FLAG:
                raise BadImage(f"cannot be unpacked: {entry_of} needs a password")
            with self._zip.open(entry) as file:
                # The size that the archive claims is not to be believed.
                data = file.read(MOST_BYTES + 1)
        except BadImage:
            raise
        except Exception:  # zipfile, zlib, bz2 and lzma each have errors of their own
            raise BadImage(f"cannot be unpacked: {entry_of} is damaged") from None
        return prepare(data, decoder)

    def near(self, name: str) -> str | None:
        return self._names.near(name)

    def notes(self) -> list[str]:
        return [
            f"the archive does not say in which encoding its names are: read as {encoding}"
            for encoding in sorted(self._encodings)
        ]

    def _name_of(self, entry: zipfile.ZipInfo, guess: tuple[str, str] | None) -> str:
        """The entry's name; without the flag for UTF-8, in that or in the encoding that the names
        of the archive seem to have."""
        name = entry.filename
        if entry.flag_bits & UTF_8_FLAG or name.isascii():
            return name
        raw = _of_no_encoding(entry)
        if not raw:
            decoded, encoding = name.encode("cp437").decode(), "UTF-8"
        elif guess is None:
            decoded, encoding = name, "CP437, which may be wrong"
        else:
            decoded, encoding = raw.decode(guess[0]), guess[1]
        if raw:
            self._raw[decoded] = raw
        self._encodings.add(encoding)
        return decoded


def _of_no_encoding(entry: zipfile.ZipInfo) -> bytes:
    """The bytes of a name that neither says to be UTF-8 nor is; empty for any other."""
    if entry.flag_bits & UTF_8_FLAG or entry.filename.isascii():
        return b""
    raw = entry.filename.encode("cp437")  # what the library took it for, as the format says
    try:
        raw.decode()
    except UnicodeDecodeError:
        return raw
    return b""


class Stored(ImageSource):
    """Images that are here already, named by their sha256 (as exports and the API name them).

    Knowing a hash is no right to the picture: ``images`` are those that the one who names them may
    use (``access.images_to_name``); all of them on the command line of the installation.
    """

    _last: Image | None = None

    def __init__(self, images: QuerySet[Image]) -> None:
        self._images = images

    def locate(self, name: str) -> Place | None:
        sha256 = key(name)[-1].split(".")[0] if normal(name) else ""
        if not _SHA256.fullmatch(sha256):
            return None
        self._last = self._images.filter(sha256=sha256).first()
        return None if self._last is None else Place(self, sha256, by_content=True)

    def load(self, name: str, decoder: Decoder) -> Image:
        located = self._last is not None and self._last.sha256 == name  # just now
        image = self._last if located and self._last else self._images.get(sha256=name)
        if not is_whole(image):
            raise BadImage("is here, but its file in storage is damaged: upload it again")
        return image


class Either(ImageSource):
    """The first source that has it."""

    def __init__(self, sources: Iterable[ImageSource]) -> None:
        self._sources = tuple(sources)

    def locate(self, name: str) -> Place | None:
        return next((place for one in self._sources if (place := one.locate(name))), None)

    def load(self, name: str, decoder: Decoder) -> Image:
        raise NotImplementedError("places of an Either are those of its sources")

    def near(self, name: str) -> str | None:
        return next((near for source in self._sources if (near := source.near(name))), None)

    def notes(self) -> list[str]:
        return [note for source in self._sources for note in source.notes()]


def _no_zip(file: IO[bytes] | Path) -> str:
    """What a file is that cannot be opened as a zip."""
    try:
        if isinstance(file, Path):
            with file.open("rb") as opened:
                start = opened.read(512)
        else:
            file.seek(0)
            start = file.read(512)
    except (OSError, ValueError):
        start = b""
    kind = next((name for magic, name in _OTHER_ARCHIVES.items() if start.startswith(magic)), "")
    kind = "a tar" if start[257:262] == b"ustar" else kind
    return f"is {kind}: a zip is expected" if kind else "is not a zip archive, or is cut off"


def absence(name: str, source: ImageSource) -> str:
    """That there is no such image, and which could be meant."""
    near = source.near(name)
    return f"there is no {excerpt(name)}{f' (but there is {excerpt(near)})' if near else ''}"


def _check_name(name: str) -> None:
    if leaves_its_folder(name):
        raise BadImage(f"has an unsafe path: {excerpt(name)!r}")


def _found(source: ImageSource, names: Names, name: str, where: str) -> Place | None:
    try:
        found = names.find(name)
        return None if found is None else Place(source, found)
    except Ambiguous as several:
        raise BadImage(f"fits several files of {where}: {several}") from None


def _is_litter(path: str) -> bool:
    """What systems put beside files: resource forks, thumbnails, settings of folders."""
    parts = path.replace("\\", "/").split("/")
    return parts[0] == "__MACOSX" or parts[-1] in _LITTER or parts[-1].startswith("._")

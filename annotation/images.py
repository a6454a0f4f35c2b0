"""Pictures in: checked and re-encoded by a child process, recognised by content, stored once.

What is stored is never what was sent: the bytes are ours, so no metadata, no second format hidden
behind the first and no script survives. A PNG keeps its pixels exactly.
"""

from __future__ import annotations

import hashlib
import json
import stat
import struct
import subprocess
import sys
import threading
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Protocol, Self

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import Q

from annotation.errors import DomainError
from annotation.models import Image
from annotation.models.items import image_path

MOST_BYTES = 20 * 2**20
DECODE_TIMEOUT_SECONDS = 20
CHILD = Path(__file__).with_name("image_child.py")


class BadImage(DomainError):
    """The file is not taken; the message says why and does not name the file."""

    status = 400
    title = "The image is not taken"


class Decoder:
    """The child process; use as a context manager, for one picture or a hundred thousand."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def reencode(self, data: bytes) -> tuple[bytes, dict[str, int | str]]:
        """Our own bytes and {"width", "height", "format", "bytes"}; raises BadImage."""
        _check_size(len(data))
        child = self._running()
        # Reading and writing block; a child that takes too long is killed, and both then fail.
        timer = threading.Timer(DECODE_TIMEOUT_SECONDS, child.kill)
        timer.start()
        try:
            about, encoded = _ask(child, data)
        except (OSError, EOFError):
            self._end()
            raise BadImage("could not be decoded within limits of time and memory") from None
        finally:
            timer.cancel()
        if "error" in about:
            raise BadImage(str(about["error"]))
        return encoded, about

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._end()
            self._child = subprocess.Popen(
                [sys.executable, "-I", str(CHILD)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
            )
        return self._child

    def _end(self) -> None:
        if self._child is None:
            return
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue
        self._child = None


def _ask(child: subprocess.Popen[bytes], data: bytes) -> tuple[dict[str, int | str], bytes]:
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(struct.pack(">Q", len(data)) + data)
    child.stdin.flush()
    line = child.stdout.readline()
    if not line:
        raise EOFError
    about = json.loads(line)
    encoded = child.stdout.read(about.get("bytes", 0))
    if len(encoded) != about.get("bytes", 0):
        raise EOFError
    return about, encoded


def _check_size(size: int) -> None:
    if size > MOST_BYTES:
        raise BadImage(f"is larger than {MOST_BYTES // 2**20} MiB")
    if not size:
        raise BadImage("is empty")


def prepare(data: bytes, decoder: Decoder) -> Image:
    """The image of these bytes: its row when it is known, else a row that is not saved yet.

    The file itself is in storage afterwards, under its content's name, where an import that is
    then refused leaves no trace that anybody could see. Raises BadImage.
    """
    _check_size(len(data))
    original = hashlib.sha256(data).hexdigest()
    known = Image.objects.filter(Q(sha256=original) | Q(original_sha256=original)).first()
    if known is not None:
        return known
    encoded, about = decoder.reencode(data)
    sha256 = hashlib.sha256(encoded).hexdigest()
    known = Image.objects.filter(sha256=sha256).first()
    if known is not None:
        return known
    image = Image(
        sha256=sha256,
        original_sha256=original,
        width=int(about["width"]),
        height=int(about["height"]),
        format=str(about["format"]),
        bytes=len(encoded),
    )
    path = image_path(image, "")
    if not default_storage.exists(path):
        path = default_storage.save(path, ContentFile(encoded))
    image.file.name = path
    return image


def save(images: Iterable[Image]) -> dict[str, Image]:
    """Saves those rows that are new; all of them by sha256, as the database has them."""
    by_sha256 = {image.sha256: image for image in images}
    fresh = [image for image in by_sha256.values() if image.pk is None]
    # Another import may have stored the same picture since: its row is then the one to use.
    Image.objects.bulk_create(fresh, ignore_conflicts=True, batch_size=1000)
    if fresh:
        stored = Image.objects.filter(sha256__in=[image.sha256 for image in fresh])
        by_sha256.update({image.sha256: image for image in stored})
    return by_sha256


def store(data: bytes) -> Image:
    """The stored image of these bytes. Raises BadImage."""
    with Decoder() as decoder:
        image = prepare(data, decoder)
    return save([image])[image.sha256]


# --------------------------------------------------------------------------------------------
# Where the images of an import come from
# --------------------------------------------------------------------------------------------


class ImageSource(Protocol):
    """Finds the image that a record names."""

    def find(self, name: str, decoder: Decoder) -> Image | None:
        """The image, perhaps not saved yet; None when there is none. Raises BadImage."""
        ...


@dataclass(frozen=True)
class Folder:
    """Images in a folder of this machine; names are paths inside it."""

    root: Path

    def find(self, name: str, decoder: Decoder) -> Image | None:
        safe_name(name)
        root = self.root.resolve()
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise BadImage("points outside the folder of images")
        if not path.is_file():
            return None
        _check_size(path.stat().st_size)
        return prepare(path.read_bytes(), decoder)


class Archive:
    """Images in a zip. A record may leave out the folders that the archive puts around them."""

    def __init__(self, file: IO[bytes] | Path) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
        except zipfile.BadZipFile:
            raise BadImage("is not a zip archive") from None
        self._entries: dict[str, zipfile.ZipInfo] = {}
        self._by_last_part: dict[str, list[str]] = defaultdict(list)
        for entry in self._zip.infolist():
            if entry.is_dir():
                continue
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise BadImage(f"contains a link: {entry.filename}")
            safe_name(entry.filename)
            self._entries[entry.filename] = entry
            self._by_last_part[PurePosixPath(entry.filename).name].append(entry.filename)

    def find(self, name: str, decoder: Decoder) -> Image | None:
        safe_name(name)
        entry = self._entries.get(name)
        if entry is None:
            alike = self._by_last_part.get(PurePosixPath(name).name, [])
            fitting = [path for path in alike if path.endswith("/" + name)] or alike
            if len(fitting) > 1:
                raise BadImage(f"fits several files of the archive: {', '.join(fitting[:3])}")
            if not fitting:
                return None
            entry = self._entries[fitting[0]]
        try:
            with self._zip.open(entry) as file:
                # The size that the archive claims is not to be believed.
                data = file.read(MOST_BYTES + 1)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, OSError):
            raise BadImage("cannot be read from the archive") from None
        return prepare(data, decoder)


class Stored:
    """Images that are here already, named by their sha256 (as exports and the API name them)."""

    def find(self, name: str, decoder: Decoder) -> Image | None:
        return Image.objects.filter(sha256=name.split(".")[0]).first()


@dataclass(frozen=True)
class Either:
    """The first source that has it."""

    sources: tuple[ImageSource, ...]

    def find(self, name: str, decoder: Decoder) -> Image | None:
        found = (source.find(name, decoder) for source in self.sources)
        return next((image for image in found if image is not None), None)


def safe_name(name: str) -> None:
    """Raises BadImage for a path that is absolute, leaves its folder, or is not a plain name."""
    path = PurePosixPath(name.replace("\\", "/"))
    drive = len(name) > 1 and name[1] == ":"
    if not name or path.is_absolute() or drive or ".." in path.parts or "\0" in name:
        raise BadImage(f"has an unsafe path: {name[:100]!r}")

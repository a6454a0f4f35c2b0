"""Pictures in: checked and re-encoded by a child process, recognised by content, stored once.

What is stored is never what was sent: the bytes are ours, so no metadata, no second format hidden
behind the first and no script survives. A PNG keeps its pixels exactly.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from django.core.cache import caches
from django.core.files import File
from django.core.files.base import ContentFile
from django.db.models import Q
from PIL import Image as Picture

from annotation import storage
from annotation.errors import DomainError
from annotation.models import Image
from annotation.models.items import image_path

MOST_BYTES = 20 * 2**20
DECODE_TIMEOUT_SECONDS = 20
THUMBNAIL_SIDE = 224
"""Pixels; lists show 56, and screens have up to four in the place of one."""
SMALL_BYTES = 8_000
THUMBNAIL_KEPT_SECONDS = 3600
CHILD = Path(__file__).with_name("image_child.py")


class BadImage(DomainError):
    """The file is not taken; the message says why and does not name the file."""

    status = 400
    title = "The image is not taken"


class Decoder:
    """The child process; use as a context manager, for one picture or a hundred thousand."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._notes: list[str] = []

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
        check_size(len(data))
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
        self._notes += about.pop("notes", [])  # type: ignore[arg-type]
        return encoded, about

    def taken_notes(self) -> list[str]:
        """What a person should know of the pictures decoded since the last time this was asked."""
        notes, self._notes = self._notes, []
        return notes

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


def check_size(size: int) -> None:
    """Raises BadImage for a file that is empty or larger than MOST_BYTES."""
    if size > MOST_BYTES:
        raise BadImage(f"is larger than {MOST_BYTES // 2**20} MiB")
    if not size:
        raise BadImage("is empty")


def prepare(data: bytes, decoder: Decoder) -> Image:
    """The image of these bytes: its row when it is known, else a row that is not saved yet.

    The file itself is in storage afterwards, whole, under its content's name, where an import that
    is then refused leaves no trace that anybody could see. Raises BadImage and StorageTrouble.
    """
    check_size(len(data))
    original = hashlib.sha256(data).hexdigest()
    known = Image.objects.filter(Q(sha256=original) | Q(original_sha256=original)).first()
    if known is not None and is_whole(known):
        return known
    if known is not None and known.sha256 == original:
        return _keep(known, data)
    encoded, about = decoder.reencode(data)
    sha256 = hashlib.sha256(encoded).hexdigest()
    known = Image.objects.filter(sha256=sha256).first()
    if known is not None:
        return _keep(known, encoded)
    image = Image(
        sha256=sha256,
        original_sha256=original,
        width=int(about["width"]),
        height=int(about["height"]),
        format=str(about["format"]),
        bytes=len(encoded),
    )
    return _keep(image, encoded)


def _keep(image: Image, stored: bytes) -> Image:
    """The image, with these bytes of it in storage, where they may be damaged or missing."""
    image.file.name = image.file.name or image_path(image, "")
    storage.keep(image.file.name, ContentFile(stored), sha256=image.sha256, size=len(stored))
    return image


def is_whole(image: Image) -> bool:
    """Whether storage has what was once stored of it."""
    return storage.holds(str(image.file.name), storage.Fingerprint(image.sha256, image.bytes))


def opened(image: Image) -> File[bytes]:
    """The stored file for reading, once it was seen to be whole. Raises storage.Damaged."""
    return storage.opened(str(image.file.name), sha256=image.sha256, size=image.bytes)


def thumbnail(image: Image) -> bytes | None:
    """A JPEG of at most THUMBNAIL_SIDE pixels a side; None where the picture itself is small.

    Made when it is asked for, of a file that we encoded ourselves, and kept for an hour: a
    photograph takes 5 to 40 ms, since a JPEG is decoded at a fraction of its size, but the largest
    PNG nearly a second, which nobody shall ask for again and again.
    """
    if image.bytes <= SMALL_BYTES:
        return None
    kept = caches["thumbnails"]
    small: bytes | None = kept.get(image.sha256)
    if small is None:
        small = _thumbnail(image)
        kept.set(image.sha256, small, THUMBNAIL_KEPT_SECONDS)
    return small


def _thumbnail(image: Image) -> bytes:
    with opened(image) as file, Picture.open(file, formats=[image.format]) as picture:
        picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        small = io.BytesIO()
        picture.convert("RGB").save(small, "JPEG", quality=80)
    return small.getvalue()


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

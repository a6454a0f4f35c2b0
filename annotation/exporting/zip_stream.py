"""A zip archive as a stream: written while it is sent, nothing kept but the list of its entries.

The same entries give the same bytes: every date is that of the zip format's beginning.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, cast

FIRST_DATE = (1980, 1, 1, 0, 0, 0)
CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True)
class Entry:
    """A file of the archive; ``chunks`` are read when its turn comes.

    ``compress`` is for text; pictures are compressed already, and known by their hash.
    """

    name: str
    chunks: Iterable[bytes]
    compress: bool = True
    sha256: str = ""


class _Sink:
    """What zipfile writes to: it cannot be sought in, so sizes follow after each entry."""

    def __init__(self) -> None:
        self.held = bytearray()

    def write(self, data: bytes) -> int:
        self.held += data
        return len(data)

    def flush(self) -> None:
        """zipfile asks for it."""

    def take(self) -> bytes:
        taken = bytes(self.held)
        self.held.clear()
        return taken


def zip_stream(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The archive in chunks of about CHUNK_BYTES. An entry of more than 4 GiB is allowed."""
    sink = _Sink()
    with zipfile.ZipFile(cast(IO[bytes], sink), "w") as archive:
        for entry in entries:
            info = zipfile.ZipInfo(entry.name, FIRST_DATE)
            info.compress_type = zipfile.ZIP_DEFLATED if entry.compress else zipfile.ZIP_STORED
            info.external_attr = 0o644 << 16
            with archive.open(info, "w", force_zip64=True) as file:
                for chunk in entry.chunks:
                    file.write(chunk)
                    if len(sink.held) >= CHUNK_BYTES:
                        yield sink.take()
            if len(sink.held) >= CHUNK_BYTES:
                yield sink.take()
    yield sink.take()

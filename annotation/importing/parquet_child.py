"""Turns a Parquet file that a stranger sent into JSON lines and a zip of its images.

Started by ``annotation.importing.parquet`` as a script, in a process of its own with little
memory, without the project on its path: SOURCE, LINES and ARCHIVE on the command line. At most one
group of rows, as the file has them, is held at a time, however many there are. On stdout it writes
one JSON object: ``problems`` (line, reason), or ``error`` for the file as a whole.
"""

import hashlib
import json
import math
import os
import resource
import sys
import zipfile
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import IO, Any

# The allocator that gives memory back at once, and reserves none that a limit would count.
os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # each of numpy's threads would reserve memory

MEMORY_BYTES = 2 * 2**30
ROWS_AT_ONCE = 16
MOST_IMAGE_BYTES = 20 * 2**20
MOST_LINE_BYTES = 4 * 2**20
MOST_PROBLEMS = 1000
GROWTH = 10
SPARE_BYTES = 64 * 2**20


class Refused(Exception):
    """Why the file is not taken, for the person who sent it."""


class Images:
    """The zip that is written: each picture once, named by its hash's beginning and by its own."""

    def __init__(self, archive: zipfile.ZipFile, most_bytes: int) -> None:
        self._archive = archive
        self._left = most_bytes
        self._known: set[str] = set()

    def name_of(self, data: bytes, path: Any) -> str:
        """The name by which the archive has this picture. Raises Refused."""
        # One byte too many is enough for the picture to be refused where pictures are checked.
        data = data[: MOST_IMAGE_BYTES + 1]
        sha256 = hashlib.sha256(data).hexdigest()
        own = PurePosixPath(str(path or "").replace("\\", "/")).name[-100:]
        name = f"{sha256[:20]}/{own if own.isprintable() and own.strip('. ') else 'image'}"
        if name not in self._known:
            self._left -= len(data)
            if self._left < 0:
                raise Refused(f"unpacks to more than {GROWTH} times its size")
            self._archive.writestr(name, data)
            self._known.add(name)
        return name


def convert(source: str, lines: IO[bytes], images: Images) -> list[dict[str, Any]]:
    """Writes a line for each row; the faults of rows that have none. Raises Refused."""
    import pyarrow.parquet as parquet

    problems: list[dict[str, Any]] = []
    number = 0
    try:
        # A buffer makes it read page by page; of pictures a page is often a whole group of rows.
        file = parquet.ParquetFile(source, buffer_size=2**20, pre_buffer=False)
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE, use_threads=False):
            for row in batch.to_pylist():
                number += 1
                line = json.dumps(_row(row, images), ensure_ascii=False).encode("utf-8", "replace")
                if len(line) > MOST_LINE_BYTES:
                    reason = f"is longer than {MOST_LINE_BYTES // 2**20} MiB"
                    problems.append({"line": number, "reason": reason})
                lines.write(line + b"\n")
    except (OSError, ValueError, NotImplementedError) as error:
        place = f"after row {number}" if number else "from its beginning"
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise Refused(f"cannot be read as Parquet {place}: {reason}") from None
    return problems[:MOST_PROBLEMS]


def _row(row: dict[str, Any], images: Images) -> dict[str, Any]:
    return {name: _plain(value, images) for name, value in row.items()}


def _plain(value: Any, images: Images) -> Any:
    """As JSON has it, with the names of pictures in place of their bytes, wherever they stand.

    Bytes stand alone, or beside a path. What JSON cannot say is null, which the reader of records
    then names.
    """
    if isinstance(value, bytes):
        return images.name_of(value, "")
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        return images.name_of(value["bytes"], value.get("path"))
    if isinstance(value, dict):
        return {str(name): _plain(one, images) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, images) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    return value if isinstance(value, (str, int, bool)) else None


def main(source: str, lines: str, archive: str) -> dict[str, Any]:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    most_bytes = GROWTH * os.path.getsize(source) + SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * most_bytes, 2 * most_bytes))
    try:
        with open(lines, "wb") as file, zipfile.ZipFile(archive, "w") as zipped:
            return {"problems": convert(source, file, Images(zipped, most_bytes))}
    except Refused as refused:
        return {"error": str(refused)}
    except MemoryError:
        return {"error": "needs too much memory to read: write it with smaller groups of rows"}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))

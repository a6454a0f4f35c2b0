"""Turns a Parquet file that a stranger sent into JSON lines and a zip of its images.

Started by ``annotation.importing.parquet`` as a script, in a process of its own with little
memory, without the project on its path: SOURCE, LINES and ARCHIVE on the command line. At most one
page of a column is held at a time, twice, however many there are; of pictures a page is often a
whole group of rows, and the format lets it have 2 GB. On stdout it writes
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

MEMORY_BYTES = 2**30
"""Beside the pages."""
LARGEST_PAGE = 2**31
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
        # Mapped: what a page is unpacked from takes no memory of its own.
        file = parquet.ParquetFile(source, memory_map=True, pre_buffer=False)
        _make_room(2 * _largest_page(file.metadata))
        # Group by group: a reader of all would keep what it has read of those before.
        batches = (
            batch
            for group in range(file.num_row_groups)
            for batch in file.iter_batches(
                batch_size=ROWS_AT_ONCE, row_groups=[group], use_threads=False
            )
        )
        for batch in batches:
            for row in batch.to_pylist():
                number += 1
                line = json.dumps(_row(row, images), ensure_ascii=False).encode("utf-8", "replace")
                if len(line) > MOST_LINE_BYTES:
                    reason = f"is longer than {MOST_LINE_BYTES // 2**20} MiB"
                    problems.append({"line": number, "reason": reason})
                lines.write(line + b"\n")
    except (OSError, ValueError, NotImplementedError) as error:
        place = f"after row {number}" if number else "from its beginning"
        # What pyarrow says is for programmers, and names parts of the format.
        reason = "it is damaged, or was cut off on its way"
        if isinstance(error, NotImplementedError):
            reason = "it is compressed or nested in a way that is not known here"
        raise Refused(f"cannot be read as Parquet {place}: {reason}") from None
    return problems[:MOST_PROBLEMS]


def _largest_page(about: Any) -> int:
    """Bytes that the largest page of the file can have, by what it says of itself."""
    chunks = (
        about.row_group(group).column(column).total_uncompressed_size
        for group in range(about.num_row_groups)
        for column in range(about.num_columns)
    )
    return min(max(chunks, default=0), LARGEST_PAGE)


def _make_room(more: int) -> None:
    """Raises the limit of memory by so much. Raises Refused where the machine has not got it."""
    free = _free_memory()
    if more > 2**28 and more > free:
        raise Refused(
            f"a group of its rows takes {more / 2**30:.1f} GB of memory to read, and "
            f"{free / 2**30:.1f} are free here: write it with smaller groups (row_group_size=100)"
        )
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES + more,) * 2)


def _free_memory() -> int:
    with open("/proc/meminfo") as lines:
        found = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return found[0] * 1024 if found else 0


def _row(row: dict[str, Any], images: Images) -> dict[str, Any]:
    return {name: _plain(value, images) for name, value in row.items()}


def _plain(value: Any, images: Images) -> Any:
    """As JSON has it, with the names of pictures in place of their bytes, wherever they stand.

    Bytes stand alone, or beside a path. What JSON cannot say is null, which the reader of records
    then names.
    """
    if isinstance(value, bytes):
        text = _text(value)
        return images.name_of(value, "") if text is None else text
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


def _text(value: bytes) -> str | None:
    """What bytes say in a column of texts, as Spark writes them; None for a picture's.

    No picture is text that is read here, and a page or a drawing in its place stays one.
    """
    if value.lstrip()[:1] == b"<" or value.startswith((b"GIF8", b"RIFF")):
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return text if "\0" not in text else None


def main(source: str, lines: str, archive: str) -> dict[str, Any]:
    # The hard limit is what any file may need; of what this one needs it is lowered to, below.
    most = MEMORY_BYTES + 2 * LARGEST_PAGE
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, most))
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

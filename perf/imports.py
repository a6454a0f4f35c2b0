"""How fast a large file of pairs comes in, and in how much memory.

    python -m perf.imports [--records 1000000] [--images 200] [--ratio]

A file of JSON lines is written to a scratch folder beside a few pictures and imported into a new
project, whose rows are deleted again. Printed are records a second, and the most memory this
process has had resident before and after: the difference must not grow with the records.
``--ratio`` imports the file before that with rows inserted as objects of Django, which is how it
was done at first, and says how many times as long that takes.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.test import override_settings  # noqa: E402
from PIL import Image as Picture  # noqa: E402

from annotation.image_sources import Folder  # noqa: E402
from annotation.images import Decoder, prepare, save  # noqa: E402
from annotation.importing import import_files  # noqa: E402
from annotation.importing.bulk import Table  # noqa: E402
from annotation.models import Comparison, Project, Prompt  # noqa: E402
from config import embedded  # noqa: E402

RESPONSE = (
    "The image shows a wooden desk with a laptop, a cup of coffee and two books. A lamp stands in "
    "the corner on the left, and behind it a window through which trees can be seen. "
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--ratio", action="store_true")
    options = parser.parse_args()
    embedded.start_or_say()
    call_command("migrate", verbosity=0)
    with tempfile.TemporaryDirectory() as name, override_settings(MEDIA_ROOT=name):
        folder = Path(name)
        path = _written(folder, options.records, options.images)
        print(f"{options.records:,} records of {path.stat().st_size / options.records:,.0f} bytes")
        if options.ratio:
            _store_pictures(folder)  # so that neither way pays for them
            with mock.patch.object(Table, "write", _inserted):
                before = _measure(folder, path, options.records, "objects inserted")
        after = _measure(folder, path, options.records, "rows copied")
        if options.ratio:
            wall, busy = (one / other for one, other in zip(before, after, strict=True))
            print(f"{wall:.1f} times as long in seconds, {busy:.1f} in processor seconds")


def _written(folder: Path, records: int, images: int) -> Path:
    """The file of pairs, beside its pictures."""
    (folder / "pictures").mkdir()
    for number in range(images):
        data = io.BytesIO()
        Picture.effect_noise((64, 64), 80).save(data, "PNG")
        (folder / "pictures" / f"{number}.png").write_bytes(data.getvalue())
    path = folder / "pairs.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(records):
            file.write(json.dumps(_record(number, images)) + "\n")
    return path


def _store_pictures(folder: Path) -> None:
    with Decoder() as decoder:
        found = (folder / "pictures").iterdir()
        save(prepare(path.read_bytes(), decoder) for path in found)


@contextlib.contextmanager
def _project() -> Iterator[Project]:
    slug = f"perf-{uuid.uuid4().hex[:8]}"
    project = Project.objects.create(slug=slug, name=slug)
    try:
        yield project
    finally:
        Comparison.objects.filter(project=project)._raw_delete(Comparison.objects.db)
        Prompt.objects.filter(project=project)._raw_delete(Prompt.objects.db)
        project.delete()


def _measure(folder: Path, path: Path, records: int, what: str) -> tuple[float, float]:
    """Seconds, and processor seconds of this process."""
    with _project() as project:
        before, started, busy = _resident(), time.perf_counter(), time.process_time()
        done = import_files(project, [path], Folder(folder / "pictures"))
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
    assert done.created == records
    print(
        f"{what}: {records / seconds:,.0f} a second, {seconds:.1f} s "
        f"({records / busy:,.0f} a processor second of this process), "
        f"resident at most {before / 1e6:,.0f} MB before, {_resident() / 1e6:,.0f} MB after",
        flush=True,
    )
    return seconds, busy


def _inserted(table: Table, rows: Iterable[Sequence[Any]]) -> None:
    """What ``Table.write`` does, by Django's objects."""
    names = [field.attname for field in table.fields]
    objects = [table.model(**dict(zip(names, row, strict=True))) for row in rows]
    table.model._default_manager.bulk_create(objects)


def _record(number: int, images: int) -> dict[str, object]:
    return {
        "id": f"r{number}",
        "image": f"{number % images}.png",
        "conversations": [{"from": "human", "value": f"<image>\nWhat is shown? ({number})"}],
        "output_1": {"from": "a", "value": f"{RESPONSE * 2}{number}"},
        "output_2": {"from": "b", "value": f"{RESPONSE}{number}"},
    }


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()

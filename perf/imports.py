"""How fast a large file of pairs comes in, and in how much memory.

    python -m perf.imports [--records 1000000] [--images 200]

A file of JSON lines is written to a scratch folder beside a few pictures and imported into a new
project, whose rows are deleted again. Printed are records a second, and the most memory this
process has had resident before and after: the difference must not grow with the records.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import tempfile
import time
import uuid
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.test import override_settings  # noqa: E402
from PIL import Image as Picture  # noqa: E402

from annotation.image_sources import Folder  # noqa: E402
from annotation.importing import import_files  # noqa: E402
from annotation.models import Comparison, Project, Prompt  # noqa: E402

RESPONSE = (
    "The image shows a wooden desk with a laptop, a cup of coffee and two books. A lamp stands in "
    "the corner on the left, and behind it a window through which trees can be seen. "
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--images", type=int, default=200)
    options = parser.parse_args()
    slug = f"perf-{uuid.uuid4().hex[:8]}"
    project = Project.objects.create(slug=slug, name=slug)
    try:
        with tempfile.TemporaryDirectory() as folder, override_settings(MEDIA_ROOT=folder):
            _measure(project, Path(folder), options.records, options.images)
    finally:
        Comparison.objects.filter(project=project)._raw_delete(Comparison.objects.db)
        Prompt.objects.filter(project=project)._raw_delete(Prompt.objects.db)
        project.delete()


def _measure(project: Project, folder: Path, records: int, images: int) -> None:
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(images):
        data = io.BytesIO()
        Picture.effect_noise((64, 64), 80).save(data, "PNG")
        (pictures / f"{number}.png").write_bytes(data.getvalue())
    path = folder / "pairs.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(records):
            file.write(json.dumps(_record(number, images)) + "\n")
    before, started, busy = _resident(), time.perf_counter(), time.process_time()
    done = import_files(project, [path], Folder(pictures))
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    assert done.created == records
    print(
        f"{records:,} records of {path.stat().st_size / records:,.0f} bytes: "
        f"{records / seconds:,.0f} a second, {seconds:.1f} s "
        f"({records / busy:,.0f} a processor second of this process), "
        f"resident at most {before / 1e6:,.0f} MB before, {_resident() / 1e6:,.0f} MB after",
        flush=True,
    )


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

"""How fast a large release streams out in each format, and in how much memory.

    python -m perf.export [--records 1000000] [--formats llava_rlhf,csv]

A ready release is written to a scratch folder as ``annotation.releases.freezing`` would freeze
it, three judgments a comparison; nothing touches the database. Printed are records a second,
megabytes a second, and the most memory this process has had resident so far.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from django.test import override_settings  # noqa: E402

from annotation import exporting  # noqa: E402
from annotation.models import Project, Release  # noqa: E402
from annotation.releases.artefact import canonical, sha256_of  # noqa: E402
from config import embedded  # noqa: E402

RECORDS_PER_IMAGE = 10
RESPONSE = (
    "The image shows a wooden desk with a laptop, a cup of coffee and two books. A lamp stands in "
    "the corner on the left, and behind it a window through which trees can be seen. "
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--formats", default=",".join(exporting.FORMATS))
    options = parser.parse_args()
    embedded.start_or_say()
    call_command("migrate", verbosity=0)
    with tempfile.TemporaryDirectory() as folder, override_settings(MEDIA_ROOT=folder):
        release = _release(Path(folder), options.records)
        size = Path(folder, str(release.artefact.name)).stat().st_size
        print(f"{options.records:,} records, artefact of {size / 1e6:,.0f} MB", flush=True)
        for name in options.formats.split(","):
            _measure(release, name, options.records)


def _measure(release: Release, name: str, records: int) -> None:
    digest = hashlib.sha256()
    size = 0
    started, busy = time.perf_counter(), time.process_time()
    for chunk in exporting.stream(release, name):
        digest.update(chunk)
        size += len(chunk)
    seconds, busy = time.perf_counter() - started, time.process_time() - busy
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"{name:12} {records / seconds:9,.0f} records/s {size / seconds / 1e6:6,.0f} MB/s "
        f"{seconds:6.1f} s ({records / busy:,.0f} a processor second) "
        f"at most {resident / 1e6:4,.0f} MB resident  "
        f"sha256 {digest.hexdigest()[:12]}",
        flush=True,
    )


def _release(folder: Path, records: int) -> Release:
    path = folder / "artefact.jsonl"
    with path.open("wb") as file:
        file.write(canonical({"artefact": 1}))
        for row in _rows(records):
            file.write(canonical(row))
    project = Project(slug="large", name="Large")
    release = Release(project=project, number=1, state=Release.State.READY)
    release.artefact.name = path.name
    release.sha256 = sha256_of(path)
    return release


def _rows(records: int) -> Iterator[dict[str, Any]]:
    for number in range(records):
        sha256 = hashlib.sha256(str(number // RECORDS_PER_IMAGE).encode()).hexdigest()
        yield {
            "external_id": f"{number:09}",
            "prompt_external_id": f"prompt-{number}",
            "image": {"sha256": sha256, "name": f"{sha256}.jpg"},
            "conversation": [{"from": "human", "value": "<image>\nWhat is on the desk?"}],
            "captions": ["A desk with a laptop and a cup.", "Two books beside a computer."],
            "caption_type": 1,
            "length_bonus": 1.0,
            "response_1": RESPONSE + str(number),
            "response_2": RESPONSE * 2 + str(number),
            "model_1": "one",
            "model_2": "two",
            "source": "import 1",
            "outcome": "decided",
            "preference": 1 + number % 2,
            "hallucination": True,
            "margin": 1 / 3,
            "votes": {"1": 2, "2": 1, "tie": 0, "helpful_1": 0, "helpful_2": 0, "helpful_tie": 0},
            "imported": False,
            "adjudication": None,
            "exported": True,
            "split": "held_out" if sha256.startswith("0") else "train",
            "judgments": [_judgment(number, voter) for voter in range(3)],
        }


def _judgment(number: int, voter: int) -> dict[str, Any]:
    return {
        "annotator": str(uuid.UUID(int=voter)),
        "shown_first": 1 + (number + voter) % 2,
        "leased_at": "2026-01-01T10:00:00.000000+00:00",
        "created_at": "2026-01-01T10:00:14.250000+00:00",
        "more_hallucinated": "1" if voter == number % 3 else "2",
        "more_helpful": "",
        "spans": [],
        "confidence": None,
        "note": "",
        "active_seconds": 12.5,
        "surplus": False,
        "version": 1,
    }


if __name__ == "__main__":
    main()

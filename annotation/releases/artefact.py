"""The one frozen file of a release, that everything else is read from.

It is JSON lines: first what the release is, then one comparison a line with its votes (people by
pseudonym), ordered by id.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from annotation.models import Release
from annotation.releases.findings import corrections_of, is_counted, marks_of
from annotation.releases.policy import Policy
from annotation.releases.reliable_votes import reliable_votes
from annotation.releases.snapshot import OPTIONAL, snapshot

VERSION, WITH_OPTIONAL_MEMBERS = 1, 2
"""The second where any row has members that an older reader knows nothing of: ``corrections`` of a
judgment, ``imported_marks``, ``imported_corrections``, ``machine``. One without them is as it ever
was."""


@dataclass
class Summary:
    """What the rows say together."""

    exported_images: set[str]
    answers: Counter[tuple[str, ...]]
    """How many comparisons got which answers: few kinds, however many comparisons."""
    machines: set[int]
    """Numbers of the labellings whose votes are preferences in it."""
    version: int = VERSION


def write_rows(release: Release, policy: Policy, file: Any) -> Summary:
    """Writes the rows before it is known which images are held out; what ``assemble`` needs."""
    summary = Summary(exported_images=set(), answers=Counter(), machines=set())
    rows = snapshot(release.project)
    if policy.minimum_reliability > 0:
        rows = reliable_votes(rows, policy.minimum_reliability)
    for row in rows:
        row["exported"] = policy.takes(row)
        if row["exported"]:
            summary.exported_images.add(row["image"]["sha256"])
            if "machine" in row:
                summary.machines.add(row["machine"]["labelling"])
        counted = [vote["more_hallucinated"] for vote in row["judgments"] if is_counted(vote)]
        if len(counted) > 1:
            summary.answers[tuple(sorted(counted))] += 1
        members = (*OPTIONAL, "machine")
        if any(one in row for one in members) or any("corrections" in v for v in row["judgments"]):
            summary.version = WITH_OPTIONAL_MEMBERS
        file.write(canonical(row))
    return summary


def assemble(
    release: Release, rows: Path, artefact: Path, held_out: set[str], *, version: int = VERSION
) -> dict[str, int]:
    """Writes the header and the rows with their split; the counts of what was written."""
    counts: Counter[str] = Counter()
    images: dict[str, set[str]] = {"train": set(), "held_out": set()}
    with artefact.open("wb") as file, rows.open("rb") as lines:
        file.write(canonical(_header(release, version)))
        for line in lines:
            row = orjson.loads(line)
            sha256 = row["image"]["sha256"]
            row["split"] = "held_out" if sha256 in held_out else "train"
            if row["exported"]:
                counts[row["split"]] += 1
                counts["preferences"] += 1
                counts["with_facts"] += bool(row["captions"])
                counts["with_marks"] += bool(marks_of(row))
                counts["with_corrections"] += bool(corrections_of(row))
                counts["by_machine"] += "machine" in row
                images[row["split"]].add(sha256)
            counts["comparisons"] += 1
            counts["judgments"] += len(row["judgments"])
            file.write(canonical(row))
    for split, found in images.items():
        counts[f"{split}_images"] = len(found)
    names = ("preferences", "train", "held_out", "train_images", "held_out_images")
    joined = ("with_facts", "with_marks", "with_corrections", "by_machine")
    return {name: counts[name] for name in (*names, "comparisons", "judgments", *joined)}


def _header(release: Release, version: int) -> dict[str, Any]:
    return {
        "artefact": version,
        "project": release.project.slug,
        "question": release.project.question,
        "policy": release.policy,
        "seed": release.seed,
        "held_out_share": release.held_out_share,
        "guidelines_version": release.guidelines_version,
        **({"machine_labels": release.machine_labels} if release.machine_labels else {}),
    }


def held_out_images(images: set[str], *, seed: int, share: float) -> set[str]:
    """The images that training never sees, by a hash of seed and image.

    The same seed keeps an image on its side in every release, however much is added, so that no
    model is tested on what its ancestor was trained on. The one exception: where the hash would
    hold out none of several images, the nearest one is held out.
    """

    def place(sha256: str) -> float:
        return int(hashlib.sha256(f"{seed}:{sha256}".encode()).hexdigest()[:13], 16) / 16**13

    if share <= 0 or len(images) < 2:
        return set()
    first, *others = sorted(images, key=place)
    return {first, *(sha256 for sha256 in others[:-1] if place(sha256) < share)}


def canonical(value: Any) -> bytes:
    """One line of JSON, the same bytes for the same value."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

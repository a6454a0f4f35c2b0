"""Records in: a file is taken whole, or refused whole with every fault named.

Repeating an import changes nothing: a record whose id and content are here already counts as
unchanged. The same id with other content is a fault, because a judgment must never end up under a
text that the judge did not see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.db import connection, transaction

from annotation.image_sources import ImageSource, absence
from annotation.images import BadImage, Decoder, save
from annotation.importing import parquet
from annotation.importing.formats import read_files
from annotation.importing.record_files import ImportRefused, Problem
from annotation.importing.record_writer import BATCH, RecordWriter
from annotation.importing.records import PairIn, PromptIn, Records, prompt_of
from annotation.models import Comparison, Image, ImportJob, Project, Prompt
from annotation.reading.names import OneNameEach, excerpt
from config.outside import storable

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Imported:
    """What an import did. ``left_out`` are records skipped on request, for want of an image."""

    created: int
    unchanged: int
    left_out: int = 0
    warnings: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Options:
    source: str = ""
    """Written on every comparison: where it is from."""
    skip_missing_images: bool = False
    keep_labels: bool = True


def nobody(done: int, total: int) -> None:
    """The default of ``report``."""


def import_files(
    project: Project,
    files: Sequence[Path],
    images: ImageSource,
    *,
    format: str = ImportJob.Format.LLAVA_RLHF,
    names: Sequence[str] = (),
    captions: Path | None = None,
    options: Options | None = None,
    report: Report = nobody,
) -> Imported:
    """Imports a file, or two side by side. ``names`` are what people call them (default: theirs).

    ``captions`` is a file of captions by image, for the records that bring no facts of their own.
    A Parquet file brings its images (annotation.importing.parquet).
    """
    stems = [storable(Path(name).stem) for name in names or files]
    try:
        with parquet.unpacked(files, images) as (paths, sources):
            records = read_files(paths, stems, format=format, captions=captions)
            return import_records(project, records, sources, options, report)
    except parquet.NotConverted as error:
        raise ImportRefused(error.problems) from None


def import_records(
    project: Project,
    records: Records,
    images: ImageSource,
    options: Options | None = None,
    report: Report = nobody,
) -> Imported:
    """Adds parsed records to ``project``. Raises ImportRefused; then nothing was added.

    ``report`` is told how many of the images are done, which is what takes the time.
    """
    options = options or Options()
    problems = _repeated_ids(records)
    found, missing = _find_images(records, images, report, problems)
    if missing and not options.skip_missing_images:
        problems += [Problem(line, "image", absence(name, images)) for name, line in missing]
    if problems:
        raise ImportRefused(problems)
    absent = {name for name, _ in missing}
    kept: Records = [record for record in records if prompt_of(record).image not in absent]
    warnings = [Problem(0, "images", note) for note in images.notes()]
    warnings += [
        Problem(line, "image", f"left out: {absence(name, images)}") for name, line in missing
    ]
    for record in kept:
        warnings += record.warnings() if isinstance(record, PairIn) else []
    with transaction.atomic():
        # One import of a project at a time: each then sees what the one before it has added.
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        stored = save(found.values())
        by_name = {name: stored[image.sha256] for name, image in found.items()}
        writer = RecordWriter(
            project, by_name, source=options.source, keep_labels=options.keep_labels
        )
        created, unchanged = writer.write(kept)
    if created >= BATCH:
        refresh_statistics()
    left_out = len(records) - len(kept)
    return Imported(created, unchanged, left_out=left_out, warnings=warnings)


def refresh_statistics() -> None:
    """Tells Postgres of many new rows at once; by itself it would notice a minute later."""
    with connection.cursor() as cursor:
        for model in (Image, Prompt, Comparison):
            cursor.execute(f"ANALYZE {connection.ops.quote_name(model._meta.db_table)}")


def _repeated_ids(records: Iterable[PairIn | PromptIn]) -> list[Problem]:
    seen: dict[str, int] = {}
    problems = []
    for record in records:
        if record.id in seen:
            reason = f"{record.id!r} is the id of line {seen[record.id]} too"
            problems.append(Problem(record.line, "id", reason))
        seen.setdefault(record.id, record.line)
    return problems


def _find_images(
    records: Iterable[PairIn | PromptIn],
    source: ImageSource,
    report: Report,
    problems: list[Problem],
) -> tuple[dict[str, Image], list[tuple[str, int]]]:
    """Images by name, saved or not, and (name, first line) of those that are not there."""
    wanted: dict[str, int] = {}
    for record in records:
        wanted.setdefault(prompt_of(record).image, record.line)
    found: dict[str, Image] = {}
    missing = []
    alone = OneNameEach()
    with Decoder() as decoder:
        for done, (name, line) in enumerate(wanted.items()):
            report(done, len(wanted))
            try:
                place = source.locate(name)
                if place is None:
                    missing.append((name, line))
                    continue
                other = None if place.by_content else alone.other(name, place)
                if other is not None:
                    said = f"{excerpt(name)} and {excerpt(other)} (line {wanted[other]})"
                    reason = f"{said} both fit one file, {excerpt(place.name)}"
                    problems.append(Problem(line, "image", reason))
                found[name] = place.load(decoder)
            except BadImage as error:
                problems.append(Problem(line, "image", f"{excerpt(name)} {error}"))
    report(len(wanted), len(wanted))
    return found, missing

"""Records in: a file is taken whole, or refused whole with every fault named.

On request what cannot be used is left out instead, and each record of it is named. Repeating an
import changes nothing: a record whose id and content are here already counts as unchanged. The
same id with other content is a fault, because a judgment must never end up under a text that the
judge did not see.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from django.db import connection, transaction

from annotation.image_sources import Either, ImageSource, absence
from annotation.images import BadImage, Decoder, save
from annotation.importing import parquet
from annotation.importing.asked_before import AskedBefore
from annotation.importing.captions import Captions
from annotation.importing.corrected_pairs import with_corrections
from annotation.importing.formats import read_files
from annotation.importing.inline_pictures import Inlined
from annotation.importing.record_files import BadField, Faults, ImportRefused, Problem
from annotation.importing.record_writer import CORRECTED, MARKED, RecordWriter
from annotation.importing.records import A_TIE, LONGEST_ID, PairIn, PromptIn
from annotation.importing.spool import BATCH, Spool
from annotation.models import Comparison, Image, ImportJob, Project, Prompt
from annotation.reading.names import OneNameEach, excerpt
from config.sanitising import storable

Report = Callable[[int, int], None]
_MADE = re.compile(r"[ -][0-9a-f]{8}(?:[0-9a-f]{8})?\Z")
"""The end of an id that a record got by its content, bringing none, or one of its question."""
Record = PairIn | PromptIn


@dataclass(frozen=True)
class Join:
    """What a file had to be joined with, and for how many of how many it was found."""

    what: str
    found: int
    of: int

    def __str__(self) -> str:
        return f"{self.what} for {self.found:,} of {self.of:,}"


@dataclass(frozen=True)
class Imported:
    """What an import did. ``left_out`` are records skipped on request; each is a warning."""

    created: int
    unchanged: int
    left_out: int = 0
    warnings: list[Problem] = field(default_factory=list)
    joins: list[Join] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Options:
    source: str = ""
    """Written on every comparison: where it is from."""
    skip_missing_images: bool = False
    leave_out_unusable: bool = False
    """Also records that cannot be read, and those whose image cannot be taken."""
    left_out_to: TextIO | None = None
    """Gets what is left out as CSV, every record of it."""
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
    A Parquet file brings its images (annotation.importing.parquet). Raises ImportRefused; then
    nothing was added. ``report`` is told how many of the images are done.
    """
    stems = [storable(Path(name).stem)[:LONGEST_ID] for name in names or files]
    alone = format == ImportJob.Format.LLAVA and len(files) == 1
    with contextlib.ExitStack() as stack:
        try:
            paths, sources = stack.enter_context(parquet.unpacked(files, images))
        except parquet.NotConverted as error:
            raise ImportRefused(error.problems) from None
        inlined = Inlined(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        spool = stack.enter_context(Spool(tell_apart=alone))
        one = _Import(spool, Either((inlined, sources)), options or Options())
        found = read_files(
            paths,
            stems,
            format=format,
            before=_before(project, format, inlined),
            faults=one.faults,
            unusable=one.unusable,
        )
        one.take(found)
        if captions is not None:
            with captions.open("rb") as file:
                one.join_captions(Captions(file, one.faults))
        return one.carry_out(project, report)


def _before(project: Project, format: str, inlined: Inlined) -> Callable[[Any], Any]:
    """What is done to each value of a file before it is read as a record."""
    if format != ImportJob.Format.MMHAL:
        return inlined.taken_out
    asked = AskedBefore(project)
    return lambda value: asked.with_image(inlined.taken_out(value))


def import_values(
    project: Project,
    values: Iterable[Any],
    parse: Callable[[int, Any], Record],
    images: ImageSource,
    options: Options | None = None,
) -> Imported:
    """Adds records that are here as JSON values already; "line" is the place of each, from 1.

    They may hold their pictures. Raises ImportRefused; then nothing was added.
    """
    with Spool() as spool, tempfile.TemporaryDirectory() as folder:
        inlined = Inlined(Path(folder))
        one = _Import(spool, Either((inlined, images)), options or Options())
        parsed = _parsed(
            values, lambda line, value: parse(line, inlined.taken_out(value)), one.unusable
        )
        one.take(parsed)
        return one.carry_out(project, nobody)


def _parsed(
    values: Iterable[Any], parse: Callable[[int, Any], Record], unusable: Faults
) -> Iterator[Record | None]:
    for line, value in enumerate(values, start=1):
        try:
            record = parse(line, value)
        except BadField as error:
            unusable.add(Problem(line, error.field, error.reason))
            yield None
        else:
            yield record


class _Import:
    """One import on its way: what was read, and what is wrong with it or worth a look."""

    def __init__(self, spool: Spool, images: ImageSource, options: Options) -> None:
        self._spool = spool
        self._images = images
        self._options = options
        self._lines = 0
        self._joins: list[Join] = []
        self._refused = False
        """Whether records at fault refuse the file; its pictures are looked at all the same, so
        that all faults are said in one go."""
        self._warnings = Faults()
        self.faults = Faults()
        """Refuse the file."""
        self.unusable = Faults(options.left_out_to)
        """Refuse the file, unless they may be left out."""

    def take(self, records: Iterable[Record | None]) -> None:
        """Reads all records; None stands for one that cannot be used."""
        apart = 0
        for record in with_corrections(records):
            self._lines += 1
            if record is not None:
                apart += isinstance(record, PairIn) and bool(record.corrects)
                self._spool.add(record)
                for warning in record.warnings():
                    self._warnings.add(warning)
        if apart:
            reason = f"{apart:,} corrections do not stand right behind their pair: each became a "
            self._warnings.add(Problem(0, "", f"{reason}pair, the corrected answer the better one"))
        if not (self._lines or self.faults or self.unusable):
            self.faults.add(Problem(0, "", "holds no records"))
        self._spool.settle()
        for line, id, first in self._spool.repeated_ids():
            made = " (made of what both records say)" if _MADE.search(id) else ""
            reason = f"{excerpt(id)!r} is the id of line {first} too{made}"
            self.faults.add(Problem(line, "id", reason))
        if self._spool.counted_together:
            pairs = f"{self._spool.counted_together:,} rows are further answers of people to a pair"
            self._warnings.add(
                Problem(0, "", f"{pairs} that another row has: counted as its votes")
            )
        for line in self._spool.ties_of_people():
            self._warnings.add(Problem(line, "preference", A_TIE))
        self._refused = bool(self.unusable) and not self._options.leave_out_unusable

    def join_captions(self, captions: Captions) -> None:
        """Gives the images their captions. Those of no image at all are a fault."""
        wanted = matched = 0
        without: list[tuple[int, str]] = []
        for name, line, has_facts in self._spool.images():
            if has_facts:
                continue
            wanted += 1
            found = captions.of(name, line)
            if found:
                matched += 1
                self._spool.keep_captions(name, found)
            elif len(without) < 3:
                without.append((line, name))
        if self.faults:
            return
        if wanted and not matched:
            reason = f"for 0 of {wanted:,} images: it names {captions.example()}, the records"
            line, name = without[0]
            reason = f"{reason} {excerpt(name)}{captions.near(name)}"
            self.faults.add(Problem(0, "captions", reason))
        elif matched < wanted:
            said = ", ".join(
                f"{excerpt(name)} (line {line}{captions.near(name)})" for line, name in without
            )
            reason = f"for {matched:,} of {wanted:,} images; there is none for {said}"
            self._warnings.add(Problem(0, "captions", reason))

    def carry_out(self, project: Project, report: Report) -> Imported:
        """Finds the images and writes all rows."""
        wanted = self._spool.count_images()
        absent = self._find_images(wanted, report)
        self._joins.append(Join("images", wanted - len(absent), wanted))
        if self.faults or self._refused:
            if absent:  # a wrong guess at how names are written may be why
                for note in self._images.notes():
                    self.faults.add(Problem(0, "images", note))
            self._refuse()
        self._spool.leave_out(absent)
        if not len(self._spool):
            self._refuse()
        for note in self._images.notes():
            self._warnings.add(Problem(0, "images", note))
        with transaction.atomic():
            # One import of a project at a time: each then sees what the one before it has added.
            Project.objects.select_for_update(no_key=True).get(pk=project.pk)
            for kept in self._spool.kept_images():
                save(Image(**about) for about in kept if len(about) > 1)
            options = self._options
            writer = RecordWriter(project, source=options.source, keep_labels=options.keep_labels)
            facts = _Counter(self._batches())
            created, unchanged = writer.write(facts)
            for warning in writer.warnings.said(self._lines):
                self._warnings.add(warning)
        if created >= BATCH:
            refresh_statistics()
        return Imported(
            created,
            unchanged,
            left_out=self._lines - self._spool.counted_together - created - unchanged,
            warnings=[*self._left_out_warnings(), *self._warnings.said(self._lines)],
            joins=[*self._joins, *facts.joins(writer.not_taken)],
        )

    def _batches(self) -> Iterator[list[tuple[Record, str]]]:
        for batch in self._spool.batches():
            yield [(record, about["sha256"]) for record, about in batch]

    def _refuse(self) -> None:
        """Raises ImportRefused with all faults that there are."""
        problems = self.faults.said(self._lines) + self.unusable.said(self._lines)
        if self._options.leave_out_unusable and not self.faults:
            problems.insert(0, Problem(0, "", "holds no record that can be used"))
        raise ImportRefused(problems)

    def _left_out_warnings(self) -> list[Problem]:
        return [
            Problem(one.line, one.field, f"left out: {one.reason}", one.file)
            for one in self.unusable.said(self._lines)
        ]

    def _find_images(self, wanted: int, report: Report) -> list[str]:
        """Remembers the images that there are; the names of those that cannot be used."""
        absent: list[str] = []
        alone = OneNameEach()
        with Decoder() as decoder:
            for done, (name, line, _) in enumerate(self._spool.images()):
                report(done, wanted)
                try:
                    missing = self._find_image(name, line, alone, decoder)
                except BadImage as error:
                    missing = f"{excerpt(name)} {error}"
                    leave_out = self._options.leave_out_unusable
                else:
                    leave_out = (
                        self._options.leave_out_unusable or self._options.skip_missing_images
                    )
                if missing is not None:
                    absent.append(name)
                    if leave_out and self._refused:
                        continue  # it would be no fault
                    lines = self._spool.lines_of(name) if leave_out else [line]
                    for number in lines:
                        into = self.unusable if leave_out else self.faults
                        into.add(Problem(number, "image", missing))
        report(wanted, wanted)
        return absent

    def _find_image(self, name: str, line: int, alone: OneNameEach, decoder: Decoder) -> str | None:
        """Remembers one image; why not where it is not there. Raises BadImage."""
        place = self._images.locate(name)
        if place is None:
            return absence(name, self._images)
        other = None if place.by_content else alone.other(name, place)
        if other is not None:
            reason = (
                f"{excerpt(name)} and {excerpt(other)} both fit one file: {excerpt(place.name)}"
            )
            self.faults.add(Problem(line, "image", reason))
        image = place.load(decoder)
        self._spool.keep_image(name, _about(image))
        for note in decoder.taken_notes():
            self._warnings.add(Problem(line, "image", f"{excerpt(name)} {note}"))
        return None


class _Counter:
    """Batches as they pass, with how many of their records bring facts."""

    def __init__(self, batches: Iterator[list[tuple[Record, str]]]) -> None:
        self._batches = batches
        self.count = self.with_facts = self.with_marks = self.with_corrections = 0

    def __iter__(self) -> Iterator[list[tuple[Record, str]]]:
        for batch in self._batches:
            self.count += len(batch)
            prompts = (r.prompt if isinstance(r, PairIn) else r for r, _ in batch)
            self.with_facts += sum(bool(prompt.captions) for prompt in prompts)
            pairs = [record for record, _ in batch if isinstance(record, PairIn)]
            self.with_marks += sum(bool(pair.marks) for pair in pairs)
            self.with_corrections += sum(bool(pair.corrections) for pair in pairs)
            yield batch

    def joins(self, not_taken: Mapping[str, int]) -> list[Join]:
        """Facts always: they are what a release needs. The others where the file has any.

        ``not_taken`` is of how many records they were not kept.
        """
        others = {MARKED: self.with_marks, CORRECTED: self.with_corrections}
        found = [
            Join(what, count - not_taken.get(what, 0), self.count)
            for what, count in others.items()
            if count
        ]
        return [Join("facts", self.with_facts, self.count), *found]


def _about(image: Image) -> dict[str, Any]:
    """What makes the row of a new image; of one that has a row, its hash."""
    if image.pk is not None:
        return {"sha256": image.sha256}
    names = ("sha256", "original_sha256", "width", "height", "format", "bytes")
    return {**{name: getattr(image, name) for name in names}, "file": str(image.file.name)}


def refresh_statistics() -> None:
    """Tells Postgres of many new rows at once; by itself it would notice a minute later."""
    with connection.cursor() as cursor:
        for model in (Image, Prompt, Comparison):
            cursor.execute(f"ANALYZE {connection.ops.quote_name(model._meta.db_table)}")

"""Records in: a file is taken whole, or refused whole with every fault named.

Repeating an import changes nothing: a record whose id and content are here already counts as
unchanged. The same id with other content is a fault, because a judgment must never end up under a
text that the judge did not see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from django.db import connection, transaction

from annotation import parquet
from annotation.errors import DomainError
from annotation.foreign_records import (
    pair_conversations,
    parse_conversation,
    parse_rlhf_v,
    read_captions,
    with_captions,
)
from annotation.images import BadImage, Decoder, ImageSource, save
from annotation.models import Comparison, Image, ImportJob, Project, Prompt
from annotation.record_files import Problem, parse_all
from annotation.records import (
    PairIn,
    PromptIn,
    digest,
    pair_answers,
    parse_answer,
    parse_pair,
    parse_prompt,
)

BATCH = 1000
Report = Callable[[int, int], None]
Records = Sequence[PairIn | PromptIn]


class ImportRefused(DomainError):
    """Nothing was imported; ``problems`` says why, line by line."""

    status = 422
    title = "Nothing was imported"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.file, problem.line))
        first = self.problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{first}{more}", errors=[p.to_json() for p in self.problems])


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


def read(
    format: str, file: IO[bytes], second: IO[bytes] | None = None, *, names: tuple[str, str]
) -> Records:
    """The records of a file, or of two side by side; raises ImportRefused with every fault of them.

    ``names`` are the file names without suffix: the models, where the records name none.
    """
    problems: list[Problem] = []
    records: Records = ()
    if format == ImportJob.Format.PROMPTS:
        records = parse_all(file, parse_prompt, problems)
    elif format == ImportJob.Format.LLAVA_RLHF:
        records = parse_all(file, parse_pair, problems)
    elif format == ImportJob.Format.RLHF_V:
        records = parse_all(file, parse_rlhf_v, problems)
    elif format == ImportJob.Format.LLAVA and second is None:
        records = parse_all(file, parse_prompt, problems)
    elif format in ImportJob.TWO_FILES:
        if second is None:
            raise ImportRefused([Problem(0, "", "the second answer file is missing")])
        records = _side_by_side(format, (file, second), names, problems)
    else:
        raise ValueError(f"{format!r} is not one of {', '.join(ImportJob.Format.values)}")
    if problems:
        raise ImportRefused(problems)
    return records


def _side_by_side(
    format: str, files: tuple[IO[bytes], IO[bytes]], names: tuple[str, str], problems: list[Problem]
) -> Records:
    """Pairs of two files, unless one of them has a fault, which then names its file."""
    mmhal = format == ImportJob.Format.MMHAL
    parsed: list[list[Any]] = []
    for name, file in zip(names, files, strict=True):
        found: list[Problem] = []
        parse: Callable[[int, Any], Any] = parse_answer if mmhal else parse_conversation
        parsed.append(parse_all(file, parse, found))
        problems += [Problem(p.line, p.field, p.reason, file=name) for p in found]
    if problems:
        return ()
    pair = pair_answers if mmhal else pair_conversations
    return pair(*parsed, models=names, problems=problems)


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
        problems += [Problem(line, "image", f"there is no {name}") for name, line in missing]
    if problems:
        raise ImportRefused(problems)
    absent = {name for name, _ in missing}
    kept: Records = [record for record in records if _prompt(record).image not in absent]
    warnings = [Problem(line, "image", f"left out: there is no {name}") for name, line in missing]
    for record in kept:
        warnings += record.warnings() if isinstance(record, PairIn) else []
    with transaction.atomic():
        # One import of a project at a time: each then sees what the one before it has added.
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        stored = save(found.values())
        by_name = {name: stored[image.sha256] for name, image in found.items()}
        created, unchanged = _Writer(project, by_name, options).write(kept)
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
        wanted.setdefault(_prompt(record).image, record.line)
    found: dict[str, Image] = {}
    missing = []
    with Decoder() as decoder:
        for done, (name, line) in enumerate(wanted.items()):
            report(done, len(wanted))
            try:
                image = source.find(name, decoder)
            except BadImage as error:
                problems.append(Problem(line, "image", f"{name} {error}"))
                continue
            if image is None:
                missing.append((name, line))
            else:
                found[name] = image
    report(len(wanted), len(wanted))
    return found, missing


class _Writer:
    """Adds records to a project whose row is locked; collects faults and raises once."""

    def __init__(self, project: Project, images: dict[str, Image], options: Options) -> None:
        self.project = project
        self.images = images
        self.options = options
        self.problems: list[Problem] = []

    def write(self, records: Records) -> tuple[int, int]:
        created = unchanged = 0
        for start in range(0, len(records), BATCH):
            batch = records[start : start + BATCH]
            pairs = [record for record in batch if isinstance(record, PairIn)]
            prompts, fresh_prompts = self._prompts([_prompt(r) for r in batch], reuse=bool(pairs))
            fresh = self._comparisons(pairs, prompts) if pairs else fresh_prompts
            created += fresh
            unchanged += len(batch) - fresh
        if self.problems:
            raise ImportRefused(self.problems)
        return created, unchanged

    def _prompts(self, wanted: list[PromptIn], *, reuse: bool) -> tuple[dict[str, Prompt], int]:
        """Prompts by record id, and how many are new.

        ``reuse`` takes a prompt of equal content under another id, so that pairs about the same
        question share one prompt.
        """
        contents = {p.id: p.content_sha256(self.images[p.image].sha256) for p in wanted}
        mine = Prompt.objects.filter(project=self.project)
        by_id = {p.external_id: p for p in mine.filter(external_id__in=list(contents))}
        by_content: dict[str, Prompt] = {}
        if reuse:
            alike = mine.filter(content_sha256__in=list(contents.values())).order_by("-pk")
            by_content = {p.content_sha256: p for p in alike}
        result: dict[str, Prompt] = {}
        fresh: list[Prompt] = []
        for record in wanted:
            content = contents[record.id]
            known = by_id.get(record.id) or by_content.get(content)
            if known is None:
                known = self._new_prompt(record, content)
                fresh.append(known)
                by_content.update({content: known} if reuse else {})
            elif known.content_sha256 != content:
                reason = f"{record.id!r} is here already with another prompt, image or captions"
                self.problems.append(Problem(record.line, "id", reason))
            result[record.id] = known
        if not self.problems:
            Prompt.objects.bulk_create(fresh)
        return result, len(fresh)

    def _new_prompt(self, record: PromptIn, content: str) -> Prompt:
        return Prompt(
            project=self.project,
            external_id=record.id,
            image=self.images[record.image],
            conversation=record.conversation,
            captions=record.captions,
            caption_type=record.caption_type,
            length_bonus=record.length_bonus,
            content_sha256=content,
        )

    def _comparisons(self, pairs: list[PairIn], prompts: dict[str, Prompt]) -> int:
        mine = Comparison.objects.filter(project=self.project)
        known = dict(
            mine.filter(external_id__in=[pair.id for pair in pairs]).values_list(
                "external_id", "content_sha256"
            )
        )
        fresh = []
        for pair in pairs:
            prompt = prompts[pair.prompt.id]
            content = comparison_sha256(prompt, pair.response_1, pair.response_2)
            if pair.id not in known:
                fresh.append(self._new_comparison(pair, prompt, content))
            elif known[pair.id] != content:
                reason = f"{pair.id!r} is here already with other responses"
                self.problems.append(Problem(pair.line, "id", reason))
        if not self.problems:
            Comparison.objects.bulk_create(fresh)
        return len(fresh)

    def _new_comparison(self, pair: PairIn, prompt: Prompt, content: str) -> Comparison:
        comparison = Comparison(
            project=self.project,
            prompt=prompt,
            external_id=pair.id,
            response_1=pair.response_1,
            response_2=pair.response_2,
            model_1=pair.model_1,
            model_2=pair.model_2,
            source=self.options.source[:200],
            content_sha256=content,
            wanted_judgments=self.project.judgments_per_comparison,
            open_slots=self.project.judgments_per_comparison,
        )
        if pair.label is not None and self.options.keep_labels:
            comparison.wanted_judgments = comparison.open_slots = 0
            comparison.outcome = Comparison.Outcome.DECIDED
            comparison.preference = pair.label.preference
            comparison.hallucination = pair.label.hallucination
            comparison.margin = pair.label.margin
            comparison.imported_votes = pair.label.votes
        return comparison


def comparison_sha256(prompt: Prompt, response_1: str, response_2: str) -> str:
    """Equal for comparisons that show the same."""
    return digest(prompt.content_sha256, response_1, response_2)


def _prompt(record: PairIn | PromptIn) -> PromptIn:
    return record.prompt if isinstance(record, PairIn) else record


# --------------------------------------------------------------------------------------------
# Whole files, and pairs that a run has sampled
# --------------------------------------------------------------------------------------------


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
    A Parquet file brings its images (annotation.parquet).
    """
    stems = [Path(name).stem for name in names] or [path.stem for path in files]
    try:
        with parquet.unpacked(files, images) as (paths, sources):
            records = _read_files(paths, stems, format=format, captions=captions)
            return import_records(project, records, sources, options, report)
    except parquet.NotConverted as error:
        raise ImportRefused(error.problems) from None


def _read_files(
    files: Sequence[Path], stems: Sequence[str], *, format: str, captions: Path | None
) -> Records:
    with files[0].open("rb") as first:
        if len(files) > 1:
            with files[1].open("rb") as second:
                records = read(format, first, second, names=(stems[0], stems[1]))
        else:
            records = read(format, first, names=(stems[0], ""))
    if captions is not None:
        problems: list[Problem] = []
        with captions.open("rb") as file:
            known = read_captions(file, problems)
        if problems:
            raise ImportRefused(problems)
        records = with_captions(records, known)
    return records


def create_pairs(
    project: Project, pairs: Iterable[tuple[Prompt, str, str, str, str]], *, source: str
) -> Imported:
    """Adds comparisons of (prompt, response_1, response_2, model_1, model_2) for existing prompts.

    Two equal responses leave nothing to compare and are left out. Safe to repeat: the id of a
    comparison follows from its prompt, source and responses.
    """
    fresh: dict[str, Comparison] = {}
    equal = total = 0
    for prompt, response_1, response_2, model_1, model_2 in pairs:
        total += 1
        if prompt.project_id != project.pk:
            raise ValueError(f"prompt {prompt.external_id} belongs to another project")
        if response_1.strip() == response_2.strip():
            equal += 1
            continue
        content = comparison_sha256(prompt, response_1, response_2)
        external_id = f"{prompt.external_id[:150]} {digest(source, content)[:16]}"
        fresh[external_id] = Comparison(
            project=project,
            prompt=prompt,
            external_id=external_id,
            response_1=response_1,
            response_2=response_2,
            model_1=model_1,
            model_2=model_2,
            source=source,
            content_sha256=content,
            wanted_judgments=project.judgments_per_comparison,
            open_slots=project.judgments_per_comparison,
        )
    with transaction.atomic():
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        mine = Comparison.objects.filter(project=project, external_id__in=list(fresh))
        for external_id in mine.values_list("external_id", flat=True):
            del fresh[external_id]
        Comparison.objects.bulk_create(fresh.values(), batch_size=BATCH)
    created = len(fresh)
    if created >= BATCH:
        refresh_statistics()
    return Imported(created, total - equal - created, left_out=equal)


def job_report(job: ImportJob) -> Report:
    """Writes progress into the job's row, at most a hundred times."""

    def report(done: int, total: int) -> None:
        if done == total or done % max(1, total // 100) == 0:
            ImportJob.objects.filter(pk=job.pk).update(done=done, total=total)

    return report

"""Making a release: asked for as a row, then built and frozen as one artefact in storage.

One SELECT reads all of it, so it shows one moment even while people answer; nothing that follows
looks at the tables again.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.core.files import File
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from annotation import storage
from annotation.errors import DomainError
from annotation.models import Comparison, Project, Release, User
from annotation.quality import concerns
from annotation.quality.agreement import agreement
from annotation.releases.artefact import assemble, held_out_images, sha256_of, write_rows
from annotation.releases.policy import BadPolicy, Policy
from annotation.storage import in_words
from config import poison_jobs


class NotAboveChance(DomainError):
    """Nothing shows that the votes are more than noise, and nobody said to freeze them anyway."""

    status = 409
    title = "Annotators do not agree beyond chance"


class NothingToRelease(DomainError):
    """No comparison is decided, or none that the policy takes."""

    status = 409
    title = "There is nothing to release"


def make_release(
    project: Project,
    *,
    policy: dict[str, Any] | None = None,
    seed: int = 0,
    held_out_share: float = 0.1,
    created_by: User | None = None,
) -> Release:
    """A release, built and frozen before this returns.

    Raises NothingToRelease, NotAboveChance and BadPolicy; then no release was made.
    """
    with transaction.atomic():
        release = request_release(
            project,
            policy=policy,
            seed=seed,
            held_out_share=held_out_share,
            created_by=created_by,
        )
        _freeze(release)
    return release


def request_release(
    project: Project,
    *,
    policy: dict[str, Any] | None = None,
    seed: int = 0,
    held_out_share: float = 0.1,
    created_by: User | None = None,
) -> Release:
    """The row of a release that ``build`` then fills. Raises NothingToRelease and BadPolicy."""
    Policy.from_json(policy or {})
    if not 0 <= held_out_share <= 0.9:
        raise BadPolicy("the held-out share must be from 0 to 0.9", field="held_out_share")
    decided = project.comparisons.filter(outcome=Comparison.Outcome.DECIDED)
    if not decided.exists():
        raise NothingToRelease(f"No comparison of {project.name} is decided yet.")
    with transaction.atomic():
        locked = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        last = locked.releases.aggregate(last=Max("number"))["last"] or 0
        return Release.objects.create(
            project=project,
            number=last + 1,
            policy=asdict(Policy.from_json(policy or {})),
            seed=seed,
            held_out_share=held_out_share,
            guidelines_version=locked.guidelines_version,
            created_by=created_by,
        )


def archive(release: Release, archived: bool) -> None:
    """Puts a release away from lists and from what can be trained on, or back. Nothing of it is
    deleted: runs, cards and links that name it go on."""
    if archived == (release.archived_at is not None):
        return
    release.archived_at = timezone.now() if archived else None
    release.save(update_fields=["archived_at"])


def build(release: Release) -> None:
    """Freezes a requested release; a failure is written on it. Nothing happens to a ready one."""
    waiting = Release.objects.filter(pk=release.pk, state=Release.State.BUILDING)
    # Whoever builds it holds its row: nobody waits to find it built.
    mine = waiting.select_for_update(no_key=True, skip_locked=True)

    def fail(why: str) -> None:
        waiting.update(state=Release.State.FAILED, error=why)

    try:
        with transaction.atomic():
            if mine.first() is not None:
                poison_jobs.take(waiting)
        with transaction.atomic():
            locked = mine.first()
            if locked is not None:
                _freeze(locked)
    except DomainError as error:
        poison_jobs.note_failure(fail, error)
    except Exception:
        # It would be the same next time; a worker that is killed leaves it to the next one.
        poison_jobs.note_failure(fail, poison_jobs.FAULT)
        raise
    release.refresh_from_db()


def freeze_again(release: Release) -> bool:
    """Have a frozen release's artefact made and stored again; whether it came out the same.

    It does until somebody answers, or changes what was answered, in what it was made from.
    """
    try:
        with _built(release) as built:
            same = sha256_of(built.artefact) == release.sha256
            if same:
                _store(release, built.artefact, str(release.artefact.name))
    except (NothingToRelease, BadPolicy):
        return False
    return same


def _freeze(release: Release) -> None:
    with _built(release) as built:
        release.counts = built.counts
        release.agreement = agreement(built.answers)
        release.machine_labels = built.certificates
        release.warnings = _warnings(release)
        release.sha256 = sha256_of(built.artefact)
        name = f"releases/{release.project_id}/{release.sha256}.jsonl"
        release.artefact.name = _store(release, built.artefact, name)
    release.state = Release.State.READY
    release.frozen_at = timezone.now()
    release.save()


@dataclass(frozen=True)
class _Built:
    artefact: Path
    counts: dict[str, int]
    answers: Counter[tuple[str, ...]]
    certificates: list[dict[str, Any]]


@contextmanager
def _built(release: Release) -> Iterator[_Built]:
    """The artefact as a file of this machine, for a while. Raises NothingToRelease, BadPolicy."""
    policy = Policy.from_json(release.policy)
    with tempfile.TemporaryDirectory() as folder, in_words("the temporary folder", "TMPDIR"):
        rows, artefact = Path(folder) / "rows", Path(folder) / "artefact"
        with rows.open("wb") as file:
            summary = write_rows(release, policy, file)
        if not summary.exported_images:
            raise NothingToRelease("No decided comparison is left under this policy.")
        held_out = held_out_images(
            summary.exported_images, seed=release.seed, share=release.held_out_share
        )
        release.machine_labels = _certificates(release.project, summary.machines)
        counts = assemble(release, rows, artefact, held_out, version=summary.version)
        yield _Built(artefact, counts, summary.answers, release.machine_labels)


def _certificates(project: Project, machines: set[int]) -> list[dict[str, Any]]:
    """What the certificates of labellings say, which never changes, by their numbers."""
    rows = project.machine_labellings.filter(number__in=machines).order_by("number")
    return list(rows.values_list("certificate", flat=True))


def _store(release: Release, artefact: Path, name: str) -> str:
    """The artefact in storage, read back there and whole; its name. Raises StorageTrouble."""
    with artefact.open("rb") as built:
        size = artefact.stat().st_size
        return storage.keep(name, File(built), sha256=release.sha256, size=size)


def _warnings(release: Release) -> list[dict[str, Any]]:
    """What the release will always say of its votes. Raises NotAboveChance."""
    accepted = Policy.from_json(release.policy).accept_chance_agreement
    found = concerns.of_release(release)
    grave = [one.text for one in found if one.grave]
    if grave and not accepted:
        text = f"{' '.join(grave)} Look at the quality page, or say that you accept it."
        raise NotAboveChance(text, field="accept_chance_agreement")
    return [one.to_json() for one in found]

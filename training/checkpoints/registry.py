"""Checkpoints by their rows: taking bases in, promoting, deleting, and what each was made from.

Their files are the business of ``training.checkpoints.checkpoint_files``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models import ProtectedError

from annotation.errors import DomainError
from annotation.models import Project
from training.checkpoints import checkpoint_files
from training.checkpoints.checkpoint_files import RegistryError, Report
from training.models import ENDED, Checkpoint, Run


def register_base(
    name: str,
    *,
    source: str = "",
    folder: Path | None = None,
    report: Report = checkpoint_files.nobody,
    mark: str = "",
) -> Checkpoint:
    """A base model under ``name``: a hub id or absolute folder to be opened in place (``source``),
    or a ``folder`` whose files are copied to storage.

    The same name with the same content is the same checkpoint again; with other content it is a
    RegistryError, because runs refer to it. ``mark`` begins the name of the files' folder in
    storage, so that it is known whose they are also when no row was written.
    """
    if bool(source) == (folder is not None):
        raise RegistryError("a base model is either a source or a folder")
    existing = Checkpoint.objects.filter(run=None, name=name).first()
    if source:
        if existing is not None:
            return _same(existing, source=source)
        return Checkpoint.objects.create(kind=Checkpoint.Kind.BASE, name=name, source=source)
    assert folder is not None
    if not (folder / "config.json").is_file():
        raise RegistryError(f"{folder.name} has no config.json: it is not a model folder")
    if existing is not None:
        return _same(existing, sha256=checkpoint_files.digest_of(folder))
    stored = checkpoint_files.store(
        folder, prefix=f"{checkpoint_files.BASES}/{mark}{uuid.uuid4().hex}", report=report
    )
    return Checkpoint.objects.create(kind=Checkpoint.Kind.BASE, name=name, **stored)


def _same(existing: Checkpoint, **expected: str) -> Checkpoint:
    if any(getattr(existing, field) != value for field, value in expected.items()):
        raise RegistryError(f"a different base model is registered as {existing.name}")
    return existing


def newest(project: Project, kind: str) -> Checkpoint | None:
    """The checkpoint of ``kind`` that a run of the project finished last."""
    made = Checkpoint.objects.usable().filter(run__project=project, kind=kind)
    return made.with_lineage().order_by("-created_at", "-pk").first()


def require_newest(project: Project, kind: Checkpoint.Kind) -> Checkpoint:
    """As ``newest``. Raises NoneYet."""
    found = newest(project, kind)
    if found is None:
        raise NoneYet(f"{project.name} has no {kind.label.lower()} yet.")
    return found


def promote(checkpoint: Checkpoint) -> None:
    """Make it the one of its kind that its project recommends; forms offer it first."""
    assert checkpoint.run is not None, "a base belongs to no project"
    rivals = Checkpoint.objects.filter(
        kind=checkpoint.kind, run__project=checkpoint.run.project_id, promoted=True
    )
    with transaction.atomic():
        # Whoever promotes in the same project waits here, so that one of them stands.
        Project.objects.select_for_update().get(pk=checkpoint.run.project_id)
        rivals.exclude(pk=checkpoint.pk).update(promoted=False)
        Checkpoint.objects.filter(pk=checkpoint.pk).update(promoted=True)


def demote(checkpoint: Checkpoint) -> None:
    Checkpoint.objects.filter(pk=checkpoint.pk).update(promoted=False)


class NoneYet(DomainError):
    """No run of the project has made a model of that kind."""

    status = 409
    title = "There is no such model yet"


class StillNeeded(DomainError):
    """The checkpoint cannot be deleted; the message names what depends on it."""

    status = 409
    title = "The checkpoint is still needed"


def delete(checkpoint: Checkpoint) -> None:
    """Delete a checkpoint at a person's request. Raises StillNeeded while it is promoted, while
    something was made from it, or while a run waits that will take it from its chain."""
    with transaction.atomic():
        locked = Checkpoint.objects.select_for_update().get(pk=checkpoint.pk)
        if locked.promoted:
            raise StillNeeded("It is promoted. Take that back first.")
        waiting = _waiting_for(locked)
        if waiting is not None:
            raise StillNeeded(f"“{waiting}” waits for it.")
        try:
            discard(locked)
        except ProtectedError as error:
            needed_by = sorted(str(one) for one in error.protected_objects)
            more = f" and {len(needed_by) - 3} more" if len(needed_by) > 3 else ""
            named = ", ".join(f"“{name}”" for name in needed_by[:3])
            raise StillNeeded(f"{named}{more} depend on it.") from error


def _waiting_for(checkpoint: Checkpoint) -> Run | None:
    """A run that comes after the one that made it and has not ended."""
    followers = (
        Run.objects.filter(after=checkpoint.run_id) if checkpoint.run_id else Run.objects.none()
    )
    while followers:
        unfinished = followers.exclude(state__in=ENDED).first()
        if unfinished is not None:
            return unfinished
        followers = Run.objects.filter(after__in=[run.pk for run in followers])
    return None


def discard(checkpoint: Checkpoint) -> None:
    """Delete the row, then its files once that is durable.

    Raises ProtectedError while a run or another checkpoint depends on it.
    """
    checkpoint.delete()

    def discarding() -> None:  # Django logs a robust function that fails by its name: no partial
        checkpoint_files.discard_files(checkpoint)

    transaction.on_commit(discarding, robust=True)


def discard_orphan(unsaved: Checkpoint) -> None:
    """Delete the files of a row that could not be saved.

    A commit whose answer was lost may have saved it all the same, so the row is looked for; files
    that nobody can look up are left alone.
    """
    try:
        saved = Checkpoint.objects.filter(path=unsaved.path).exists()
    except DatabaseError:
        return
    if not saved:
        checkpoint_files.discard_files(unsaved)


# --------------------------------------------------------------------------------------------
# Lineage
# --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ancestor:
    """One step of where a checkpoint comes from: how deep, what role it played, and what it is."""

    depth: int
    role: str
    item: Any
    """A Checkpoint, or the Release that the run read."""


def lineage(checkpoint: Checkpoint) -> list[Ancestor]:
    """Everything ``checkpoint`` was made from, nearest first, each once: releases, reward model,
    the policy begun from, the base."""
    seen: set[tuple[type, int]] = set()
    found: list[Ancestor] = []
    queue: list[Ancestor] = [Ancestor(0, "this", checkpoint)]
    while queue:
        current = queue.pop(0)
        key = (type(current.item), current.item.pk)
        if key in seen:
            continue
        seen.add(key)
        if current.depth:
            found.append(current)
        if isinstance(current.item, Checkpoint):
            queue += parents(current.item, current.depth + 1)
    return found


def parents(checkpoint: Checkpoint, depth: int = 1) -> Iterator[Ancestor]:
    """What ``checkpoint`` was made from directly."""
    run = checkpoint.run
    if run is not None:
        inputs: list[tuple[str, Any]] = [
            ("release", run.release),
            ("reward model", run.reward_model),
            ("policy begun from", run.policy),
        ]
        yield from (Ancestor(depth, role, item) for role, item in inputs if item is not None)
    if checkpoint.base is not None:
        yield Ancestor(depth, "base", checkpoint.base)


def final_checkpoint(run: Run) -> Checkpoint | None:
    """What the run produced, or None while it has not succeeded or when its kind saves none."""
    return run.checkpoints.filter(final=True).first()

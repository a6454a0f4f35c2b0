"""Checkpoints: what other apps may ask for, and how their files come and go.

Files lie in Django's default storage under a prefix of their own per checkpoint, with a digest
each, so that a worker on another host can fetch and verify them. Nothing is ever unpickled: a
folder that holds a format other than those in ``ALLOWED_SUFFIXES`` is refused on the way in.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from django.core.files import File
from django.core.files.storage import default_storage
from django.db import DatabaseError, transaction
from django.db.models import ProtectedError

from annotation.errors import DomainError
from annotation.models import Project
from training.models import ENDED, Attempt, Checkpoint, Run

CHUNK = 1 << 20
WEIGHTS = ".safetensors"
TEXTS = {".json", ".jsonl", ".jinja", ".model", ".txt", ".md"}
PICTURES = {".png", ".jpg"}  # Golden inputs, with which a reward model is checked on loading.
CHECKPOINTS, BASES = "checkpoints", "bases"  # Folders of storage.
ALLOWED_SUFFIXES = {WEIGHTS} | TEXTS | PICTURES


Report = Callable[[int, int], None]
"""Told how many bytes of how many are stored."""


def nobody(done: int, total: int) -> None:
    """A Report that tells nobody."""


class RegistryError(ValueError):
    """A checkpoint that cannot be taken in or handed out, with a reason for people."""


class StorageAway(Exception):
    """Storage did not take a file for a reason that may pass: full, not reached, too slow."""


# --------------------------------------------------------------------------------------------
# In
# --------------------------------------------------------------------------------------------


def register_base(
    name: str,
    *,
    source: str = "",
    folder: Path | None = None,
    report: Report = nobody,
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
        return _same(existing, sha256=_digest(_manifest(folder)))
    stored = store(folder, prefix=f"{BASES}/{mark}{uuid.uuid4().hex}", report=report)
    return Checkpoint.objects.create(kind=Checkpoint.Kind.BASE, name=name, **stored)


def _same(existing: Checkpoint, **expected: str) -> Checkpoint:
    if any(getattr(existing, field) != value for field, value in expected.items()):
        raise RegistryError(f"a different base model is registered as {existing.name}")
    return existing


def store(folder: Path, *, prefix: str, report: Report = nobody) -> dict[str, Any]:
    """Copy a folder to storage file by file; returns the fields that a Checkpoint keeps of it.

    The row is made afterwards: until then nobody can see files that are not all there. Raises
    StorageAway when storage does not take them; then nothing is left there.
    """
    files = _manifest(folder)
    done, total = 0, sum(file["size"] for file in files)
    for number, file in enumerate(files):
        report(done, total)
        with (folder / file["name"]).open("rb") as handle:
            try:
                default_storage.save(f"{prefix}/{file['name']}", File(handle))
            except Exception as error:  # Each kind of storage has types of its own.
                _take_back(prefix, files[: number + 1])
                raise StorageAway(f"storage did not take {file['name']}: {error}") from error
        done += file["size"]
    return {
        "path": prefix,
        "files": files,
        "size": total,
        "sha256": _digest(files),
    }


def attempt_prefix(attempt: Attempt, name: str) -> str:
    """Where an attempt stores what it calls ``name``; two attempts never write the same file."""
    return f"{CHECKPOINTS}/run-{attempt.run_id}/{name}-{attempt_mark(attempt.token)}"


def attempt_mark(token: uuid.UUID) -> str:
    """What ends the name of all that the attempt with this token stores."""
    return token.hex[:12]


def name_base(folder: Path, base: Checkpoint) -> None:
    """Write into an adapter's configuration which base it belongs to, as others know it.

    The engine knows the base only as a folder of its run, which means nothing elsewhere. A folder
    without an adapter stays as it is.
    """
    path = folder / "adapter_config.json"
    if not path.is_file():
        return
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base.source or base.name
    part = path.with_suffix(".part")
    part.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
    part.replace(path)


def _take_back(prefix: str, files: list[dict[str, Any]]) -> None:
    # Half a file on a full disk would keep it full.
    for file in files:
        with suppress(Exception):
            default_storage.delete(f"{prefix}/{file['name']}")


def _manifest(folder: Path) -> list[dict[str, Any]]:
    files = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        if path.suffix not in ALLOWED_SUFFIXES:
            raise RegistryError(
                f"{path.name} is not taken: files end in {', '.join(sorted(ALLOWED_SUFFIXES))}"
            )
        name = path.relative_to(folder).as_posix()
        files.append({"name": name, "size": path.stat().st_size, "sha256": _file_digest(path)})
    if not files:
        raise RegistryError(f"{folder.name} holds no files")
    return files


def _file_digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _digest(files: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


# --------------------------------------------------------------------------------------------
# Out
# --------------------------------------------------------------------------------------------


def engine_name(checkpoint: Checkpoint, directory: Path, name: str) -> str:
    """Make a base or adapter available to a run and return what its spec must call it.

    An imported base with a ``source`` is named as it is; everything else is fetched to
    ``directory / name``.
    """
    if checkpoint.source:
        return checkpoint.source
    fetch(checkpoint, directory / name)
    return name


def fetch(checkpoint: Checkpoint, directory: Path, *, link: bool = True) -> None:
    """Put the checkpoint's files into ``directory``, verified.

    Where storage is a local folder the weights are symbolic links, unless ``link`` is off: a
    trainer only reads what it starts from, but it owns the checkpoints that it resumes.
    Raises RegistryError when storage does not hold what was stored.
    """
    if checkpoint.source:
        raise RegistryError(f"{checkpoint.name} is opened at its source, not fetched")
    if directory.exists():
        shutil.rmtree(directory)
    for file in checkpoint.files:
        target = _inside(directory, file["name"])
        target.parent.mkdir(parents=True, exist_ok=True)
        stored = f"{checkpoint.path}/{file['name']}"
        local = _local(stored) if link and target.suffix == WEIGHTS else None
        if local is not None:
            target.symlink_to(local)
        else:
            _copy(stored, target)
        if target.stat().st_size != file["size"] or _file_digest(target) != file["sha256"]:
            raise RegistryError(f"{checkpoint.name}: {file['name']} differs from what was stored")


def _inside(directory: Path, name: str) -> Path:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise RegistryError(f"{name} would leave the checkpoint's folder")
    return directory / name


def _local(stored: str) -> Path | None:
    """The file itself where storage is a folder; None where it lies elsewhere, such as on S3."""
    try:
        path = Path(default_storage.path(stored))
    except NotImplementedError:
        return None
    return path if path.is_file() else None


def _copy(stored: str, target: Path) -> None:
    with default_storage.open(stored) as source, target.open("wb") as handle:
        for chunk in iter(lambda: source.read(CHUNK), b""):
            handle.write(chunk)


def open_file(checkpoint: Checkpoint, name: str) -> File[bytes]:
    """One file of a checkpoint for reading; RegistryError when it has none of that name."""
    if name not in {file["name"] for file in checkpoint.files}:
        raise RegistryError(f"{checkpoint.name} has no file {name}")
    return default_storage.open(f"{checkpoint.path}/{name}")


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
    transaction.on_commit(partial(discard_files, checkpoint), robust=True)


def discard_files(checkpoint: Checkpoint) -> None:
    """Delete the files of a checkpoint that has no row any more."""
    for file in checkpoint.files:
        default_storage.delete(f"{checkpoint.path}/{file['name']}")


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
        discard_files(unsaved)


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

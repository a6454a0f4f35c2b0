"""Files of checkpoints on their way into storage and out of it.

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
from pathlib import Path, PurePosixPath
from typing import Any

from django.core.files import File

import durable
from annotation import storage
from annotation.storage.checking import Held
from training.models import Attempt, Checkpoint

CHUNK = storage.CHUNK_BYTES
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
                storage.keep(
                    f"{prefix}/{file['name']}",
                    File(handle),
                    sha256=file["sha256"],
                    size=file["size"],
                )
            except storage.StorageTrouble as error:
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
    durable.write(path, json.dumps(config, indent=2, sort_keys=True))


def _take_back(prefix: str, files: list[dict[str, Any]]) -> None:
    # Half a file on a full disk would keep it full.
    for file in files:
        with suppress(Exception):
            storage.delete(f"{prefix}/{file['name']}")


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


def digest_of(folder: Path) -> str:
    """What ``store`` would note as the folder's ``sha256``."""
    return _digest(_manifest(folder))


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
        local = storage.local_path(stored) if link and target.suffix == WEIGHTS else None
        try:
            if local is None:
                storage.write_whole(target, file_chunks(checkpoint, file["name"]))
            elif storage.holds(stored, storage.Fingerprint(file["sha256"], file["size"])):
                target.symlink_to(local)
            else:
                raise differs(checkpoint, file["name"])
        except storage.Damaged as error:
            raise differs(checkpoint, file["name"]) from error


def differs(checkpoint: Checkpoint, name: str) -> RegistryError:
    return RegistryError(f"{checkpoint.name}: {name} differs from what was stored")


def _inside(directory: Path, name: str) -> Path:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise RegistryError(f"{name} would leave the checkpoint's folder")
    return directory / name


def file_chunks(checkpoint: Checkpoint, name: str) -> Iterator[bytes]:
    """One file of a checkpoint; RegistryError when it has none of that name. As storage.chunks."""
    file = file_of(checkpoint, name)
    stored = f"{checkpoint.path}/{name}"
    return storage.chunks(stored, sha256=file.get("sha256", ""), size=file["size"])


def open_file(checkpoint: Checkpoint, name: str) -> File[bytes]:
    """The same, open for reading; for files that are small enough to be read twice."""
    file = file_of(checkpoint, name)
    return storage.opened(f"{checkpoint.path}/{name}", sha256=file["sha256"])


def file_of(checkpoint: Checkpoint, name: str) -> dict[str, Any]:
    """Its name, size and hash; RegistryError when the checkpoint has none of that name."""
    for file in checkpoint.files:
        if file["name"] == name:
            return dict(file)
    raise RegistryError(f"{checkpoint.name} has no file {name}")


def held_files() -> Iterator[Held]:
    """Every file of a checkpoint whose hash was noted, to be checked."""
    stored = Checkpoint.objects.exclude(path="").order_by("pk")
    for checkpoint in stored.iterator(chunk_size=100):
        for file in checkpoint.files:
            if not file.get("sha256"):
                continue
            yield Held(
                what=f"checkpoint {checkpoint.pk}, {file['name']}",
                name=f"{checkpoint.path}/{file['name']}",
                sha256=file["sha256"],
                size=file["size"],
                advice="put the file back from a backup (--from), or train that run again"
                if checkpoint.run_id
                else "put the file back from a backup (--from), or import that base again",
            )


def discard_files(checkpoint: Checkpoint) -> None:
    """Delete the files of a checkpoint that has no row any more."""
    for file in checkpoint.files:
        storage.delete(f"{checkpoint.path}/{file['name']}")

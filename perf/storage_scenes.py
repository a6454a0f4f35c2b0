"""What writes to storage, each as a scene: it is acted in a process that dies, then looked at.

A scene has ``begin`` (what is asked for, in the database), ``act`` (the work; it may end anywhere),
``look`` (what anybody could reach now that is not whole) and ``finish`` (the work is done again, as
after a restart; what is wrong in the end). Both return faults as texts.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import Max
from django.test import override_settings

from annotation import exporting, images, jobs
from annotation.models import Comparison, Image, ImportJob, Project, Prompt, Release, User
from training.checkpoints import checkpoint_files, registry
from training.models import Checkpoint, Run
from training.runs import execution

RECORDS = 12
LETS_GO_SECONDS = 30
_numbers = itertools.count(1)


class Refused(Exception):
    """The work was refused, and its row says why."""


class Scene(Protocol):
    """``arguments`` are JSON, made by ``begin``."""

    def begin(self, folder: Path) -> dict[str, Any]: ...
    def act(self, arguments: dict[str, Any]) -> None: ...
    def look(self, arguments: dict[str, Any]) -> list[str]: ...
    def finish(self, arguments: dict[str, Any]) -> list[str]: ...


def stored_files() -> Iterator[PurePosixPath]:
    """Everything in storage that has its final name; asked of the disk or bucket itself."""
    bucket = _bucket()
    if bucket is not None:
        found = [PurePosixPath(one.key) for one in bucket.objects.all()]
    else:
        root = Path(settings.MEDIA_ROOT)
        found = [
            PurePosixPath(path.relative_to(root)) for path in root.rglob("*") if path.is_file()
        ]
    yield from (name for name in found if ".unfinished" not in name.parts)


def content(name: object) -> bytes:
    """What lies in storage under a name; nothing where nothing does."""
    bucket = _bucket()
    if bucket is not None:
        try:
            found: bytes = bucket.Object(str(name)).get()["Body"].read()
        except bucket.meta.client.exceptions.NoSuchKey:
            return b""
        return found
    path = Path(settings.MEDIA_ROOT, str(name))
    return path.read_bytes() if path.is_file() else b""


def take_away(name: object) -> None:
    bucket = _bucket()
    if bucket is not None:
        bucket.Object(str(name)).delete()
    else:
        Path(settings.MEDIA_ROOT, str(name)).unlink(missing_ok=True)


def _bucket() -> Any:
    """boto3's own view of it where storage is one; None where it is a folder."""
    return getattr(default_storage, "bucket", None)


def named_by_their_hash() -> list[str]:
    """Images and artefacts of releases that are not what their names say."""
    return [
        f"{name.name} has other content"
        for name in stored_files()
        if name.parts[-3] in ("images", "releases")
        and hashlib.sha256(content(name)).hexdigest() != name.stem
    ]


def photograph(number: int) -> bytes:
    """A picture of noise, which no format makes small: several chunks to write."""
    from PIL import Image as Picture

    noise = hashlib.shake_256(str(number).encode()).digest(64 * 64 * 3)
    buffer = io.BytesIO()
    Picture.frombytes("RGB", (64, 64), noise).save(buffer, "PNG")
    return buffer.getvalue()


def _common() -> tuple[Project, User]:
    """A project with decided comparisons, made once."""
    from tests.factories import judge, make_admin, make_comparison, make_project

    project = Project.objects.filter(name="Storage faults").first()
    if project is None:
        project = make_project(k=1, name="Storage faults")
        for _ in range(RECORDS):
            judge(make_comparison(project, response_1=f"A {'very ' * 2000}long answer."))
        make_admin("storage-faults")
    return project, User.objects.get(username="storage-faults")


def _forget(image: Image) -> None:
    """So that it is not looked at again after each later death."""
    image.delete()
    take_away(image.file.name)


class FreezeRelease:
    def begin(self, folder: Path) -> dict[str, Any]:
        project, _ = _common()
        # Another seed makes another artefact.
        return {"pk": exporting.request_release(project, seed=next(_numbers)).pk}

    def act(self, arguments: dict[str, Any]) -> None:
        jobs.build_release(arguments["pk"])
        for failed in Release.objects.filter(pk=arguments["pk"], state=Release.State.FAILED):
            raise Refused(failed.error)

    def look(self, arguments: dict[str, Any]) -> list[str]:
        release = Release.objects.get(pk=arguments["pk"])
        faults = named_by_their_hash()
        if release.state == Release.State.READY:
            faults += self._unequal(release)
        return faults

    def finish(self, arguments: dict[str, Any]) -> list[str]:
        failed = Release.objects.filter(pk=arguments["pk"], state=Release.State.FAILED)
        failed.update(state=Release.State.BUILDING)  # A person asks for it again.
        release = self._built(arguments["pk"])
        if release.state != Release.State.READY:
            return [f"the release is {release.state}: {release.error}"]
        faults = self._unequal(release) + named_by_their_hash()
        take_away(release.artefact.name)
        release.delete()
        return faults

    def _built(self, pk: int) -> Release:
        """Whoever was killed holds the row until Postgres hears of it; workers come again, too."""
        deadline = time.monotonic() + LETS_GO_SECONDS
        while True:
            jobs.build_release(pk)
            release = Release.objects.get(pk=pk)
            if release.state != Release.State.BUILDING or time.monotonic() > deadline:
                return release
            time.sleep(0.05)

    def _unequal(self, release: Release) -> list[str]:
        data = content(release.artefact.name)
        if hashlib.sha256(data).hexdigest() != release.sha256:
            lines = len(data.splitlines())
            return [f"a ready release has {lines} lines and another hash"]
        count = len(b"".join(exporting.stream(release, "votes")).splitlines())
        return [] if count == RECORDS else [f"a ready release has {count} of {RECORDS} votes"]


class StoreImage:
    def begin(self, folder: Path) -> dict[str, Any]:
        # Earlier rows may be of another storage: a folder, where this is a bucket.
        before = Image.objects.aggregate(last=Max("pk"))["last"] or 0
        return {"number": next(_numbers), "before": before}

    def act(self, arguments: dict[str, Any]) -> None:
        images.store(photograph(arguments["number"]))

    def look(self, arguments: dict[str, Any]) -> list[str]:
        made = Image.objects.filter(pk__gt=arguments["before"])
        faults = ["an image is not whole" for image in made if not images.is_whole(image)]
        return named_by_their_hash() + faults

    def finish(self, arguments: dict[str, Any]) -> list[str]:
        image = images.store(photograph(arguments["number"]))
        faults = self.look(arguments)
        _forget(image)
        return faults


class ImportRecords:
    """The uploads are stored, and carried out by a worker."""

    PICTURES = 2

    def begin(self, folder: Path) -> dict[str, Any]:
        project, user = _common()
        return {"project": project.pk, "user": user.pk, "number": next(_numbers)}

    def act(self, arguments: dict[str, Any]) -> None:
        files = {
            name: ContentFile(data, name=name) for name, data in self._uploads(arguments).items()
        }
        job = jobs.request_import(
            Project.objects.get(pk=arguments["project"]),
            User.objects.get(pk=arguments["user"]),
            name=f"faults-{arguments['number']}.jsonl",
            leave_out_unusable=True,
            **files,
        )
        jobs.run_import(job.pk)
        job.refresh_from_db()
        if job.state == ImportJob.State.FAILED:
            raise Refused(job.problems)

    def look(self, arguments: dict[str, Any]) -> list[str]:
        faults = named_by_their_hash()
        uploads = self._uploads(arguments)
        for job in self._jobs(arguments):
            for name, data in uploads.items():
                if not job.ended and content(getattr(job, name).name) != data:
                    faults.append(f"an import waits for an upload that is not whole: {name}")
            if job.state == ImportJob.State.SUCCEEDED:
                faults += self._left_out(job)
        return faults

    def _left_out(self, job: ImportJob) -> list[str]:
        """The list of what an import left out is that which its row tells of."""
        held = content(job.left_out_list.name) if job.left_out_list else b""
        if hashlib.sha256(held).hexdigest() != job.left_out_sha256 or len(held.splitlines()) != 2:
            return [f"the list of what was left out has {len(held)} bytes"]
        return []

    def finish(self, arguments: dict[str, Any]) -> list[str]:
        lost = self._jobs(arguments).exclude(state=ImportJob.State.SUCCEEDED)
        lost = lost.exclude(state=ImportJob.State.FAILED)
        lost.update(state=ImportJob.State.QUEUED)  # As beat does it.
        for job in lost:
            jobs.run_import(job.pk)
        if not self._jobs(arguments).filter(state=ImportJob.State.SUCCEEDED).exists():
            self.act(arguments)  # A person uploads it again.
        found = Comparison.objects.filter(external_id__startswith=f"f{arguments['number']}-")
        faults = self.look(arguments)
        if found.count() != self.PICTURES:
            faults.append(f"{found.count()} of {self.PICTURES} records were imported")
        imported = list(Image.objects.filter(prompts__comparisons__in=found))
        for image in imported:
            faults += [] if images.is_whole(image) else ["an imported image is not whole"]
        Prompt.objects.filter(comparisons__in=found).delete()
        for image in imported:
            _forget(image)
        return faults

    def _jobs(self, arguments: dict[str, Any]) -> Any:
        return ImportJob.objects.filter(name=f"faults-{arguments['number']}.jsonl")

    def _uploads(self, arguments: dict[str, Any]) -> dict[str, bytes]:
        number = arguments["number"]
        lines, packed = [], io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for one in range(self.PICTURES):
                entry = zipfile.ZipInfo(f"{one}.png")
                archive.writestr(entry, photograph(1000 * number + one))
                lines.append(json.dumps(self._record(number, one)))
        lines.append(json.dumps(self._record(number, self.PICTURES)))  # Its picture is not there.
        return {"records": "\n".join(lines).encode(), "images": packed.getvalue()}

    def _record(self, number: int, one: int) -> dict[str, Any]:
        return {
            "id": f"f{number}-{one}",
            "image": f"{one}.png",
            "conversations": [{"from": "human", "value": "<image>\nWhat is shown?"}],
            "output_1": {"from": "gpt", "value": f"One. {number}"},
            "output_2": {"from": "gpt", "value": f"Two. {number}"},
            "captions": ["noise"],
        }


class WriteFolder:
    """A release on a disk of its own, as ``manage.py export_release`` and runs write it."""

    def begin(self, folder: Path) -> dict[str, Any]:
        project, _ = _common()
        release = project.releases.filter(state=Release.State.READY).first()
        release = release or exporting.make_release(project)
        whole = folder / "whole"
        if not whole.exists():
            exporting.write_folder(release, whole, "llava_rlhf")
        target = Path(settings.MEDIA_ROOT).parent / f"export-{next(_numbers)}"
        return {"pk": release.pk, "whole": str(whole), "target": str(target)}

    def act(self, arguments: dict[str, Any]) -> None:
        release = Release.objects.select_related("project").get(pk=arguments["pk"])
        exporting.write_folder(release, Path(arguments["target"]), "llava_rlhf")

    def look(self, arguments: dict[str, Any]) -> list[str]:
        whole, target = Path(arguments["whole"]), Path(arguments["target"])
        return [
            f"{path.name} is not whole in an export"
            for path in target.rglob("*")
            if path.is_file() and not path.name.startswith(".")
            if path.read_bytes() != (whole / path.relative_to(target)).read_bytes()
        ]

    def finish(self, arguments: dict[str, Any]) -> list[str]:
        self.act(arguments)
        whole, target = Path(arguments["whole"]), Path(arguments["target"])
        names = [path.relative_to(whole) for path in whole.rglob("*")]
        missing = [f"{name} is missing" for name in names if not (target / name).exists()]
        return self.look(arguments) + missing


class PrepareRun:
    """The directory that a trainer reads, marked as whole when all of it is there."""

    def begin(self, folder: Path) -> dict[str, Any]:
        release = self._release(folder)
        if not (folder / "prepared").exists():
            with self._runs(folder / "prepared"):
                execution._prepare(self._asked(release))
        run = self._asked(release)
        return {"pk": run.pk, "whole": str(folder / "prepared")}

    def act(self, arguments: dict[str, Any]) -> None:
        with self._runs():
            execution._prepare(self._run(arguments))

    def look(self, arguments: dict[str, Any]) -> list[str]:
        run = self._run(arguments)
        with self._runs():
            directory = execution.run_directory(run)
            if execution.prepared_for(directory) != execution.identity(run):
                return []
        [whole] = Path(arguments["whole"]).iterdir()
        wanted = [path.relative_to(whole) for path in whole.rglob("*") if path.is_file()]
        return [
            f"{name} of a run that is marked as prepared is not whole"
            for name in wanted
            if name.name != execution.PREPARED
            and (
                not (directory / name).is_file()
                or (directory / name).read_bytes() != (whole / name).read_bytes()
            )
        ]

    def finish(self, arguments: dict[str, Any]) -> list[str]:
        self.act(arguments)
        run = self._run(arguments)
        with self._runs():
            directory = execution.run_directory(run)
            marked = execution.prepared_for(directory) == execution.identity(run)
        faults = self.look(arguments) + ([] if marked else ["a run is not prepared"])
        shutil.rmtree(directory)
        return faults

    def _runs(self, root: Path | None = None) -> override_settings:
        return override_settings(RUNS_ROOT=root or Path(settings.MEDIA_ROOT).parent / "runs")

    def _release(self, folder: Path) -> Release:
        project, _ = _common()
        release = project.releases.filter(state=Release.State.READY).first()
        return release or exporting.make_release(project)

    def _asked(self, release: Release) -> Run:
        from training.runs import requests

        base = Checkpoint.objects.filter(name="faults-of-runs").first()
        base = base or Checkpoint.objects.create(
            kind=Checkpoint.Kind.BASE, name="faults-of-runs", source="/models/tiny"
        )
        user = User.objects.get(username="storage-faults")
        common = requests.Common(
            project=release.project, requested_by=user, base=base, release=release
        )
        return requests.request_run(common, requests.Step("reward"))

    def _run(self, arguments: dict[str, Any]) -> Run:
        related = ("base", "policy", "reward_model", "release", "project", "after")
        return Run.objects.select_related(*related).get(pk=arguments["pk"])


class StoreCheckpoint:
    """A base model, taken in as checkpoints of runs are."""

    def begin(self, folder: Path) -> dict[str, Any]:
        number = next(_numbers)
        model = folder / f"model-{number}"
        model.mkdir()
        (model / "config.json").write_text(json.dumps({"number": number}))
        (model / "model.safetensors").write_bytes(
            hashlib.shake_256(str(number).encode()).digest(3_000_000)
        )
        return {"name": f"faults-{number}", "folder": str(model)}

    def act(self, arguments: dict[str, Any]) -> None:
        registry.register_base(arguments["name"], folder=Path(arguments["folder"]))

    def look(self, arguments: dict[str, Any]) -> list[str]:
        folder = Path(arguments["folder"])
        faults = [
            f"{name.name} of a checkpoint is not whole"
            for name in stored_files()
            if name.parts[-3] == "bases" and content(name) != (folder / name.name).read_bytes()
        ]
        for checkpoint in Checkpoint.objects.filter(name=arguments["name"]):
            faults += self._unequal(checkpoint, folder)
        return faults

    def finish(self, arguments: dict[str, Any]) -> list[str]:
        self.act(arguments)
        faults = self.look(arguments)
        Checkpoint.objects.filter(name=arguments["name"]).delete()
        for name in stored_files():
            if name.parts[0] == "bases":
                take_away(name)
        return faults

    def _unequal(self, checkpoint: Checkpoint, folder: Path) -> list[str]:
        return [
            f"{file['name']} of a checkpoint that has a row is not whole"
            for file in checkpoint.files
            if b"".join(checkpoint_files.file_chunks(checkpoint, file["name"]))
            != (folder / file["name"]).read_bytes()
        ]


SCENES: dict[str, Scene] = {
    "release": FreezeRelease(),
    "image": StoreImage(),
    "import": ImportRecords(),
    "export": WriteFolder(),
    "run directory": PrepareRun(),
    "checkpoint": StoreCheckpoint(),
}

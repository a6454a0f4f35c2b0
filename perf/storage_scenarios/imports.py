"""Pictures and imports that are taken in."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

from django.core.files.base import ContentFile
from django.db.models import Max

from annotation import images, jobs
from annotation.models import Comparison, Image, ImportJob, Project, Prompt, User
from perf.storage_scenarios.common import Refused, forget, numbers, photograph, project_and_user
from perf.storage_scenarios.stored import content, named_by_their_hash


class StoreImage:
    def begin(self, folder: Path) -> dict[str, Any]:
        # Earlier rows may be of another storage: a folder, where this is a bucket.
        before = Image.objects.aggregate(last=Max("pk"))["last"] or 0
        return {"number": next(numbers), "before": before}

    def act(self, arguments: dict[str, Any]) -> None:
        images.store(photograph(arguments["number"]))

    def look(self, arguments: dict[str, Any]) -> list[str]:
        made = Image.objects.filter(pk__gt=arguments["before"])
        faults = ["an image is not whole" for image in made if not images.is_whole(image)]
        return named_by_their_hash() + faults

    def finish(self, arguments: dict[str, Any]) -> list[str]:
        image = images.store(photograph(arguments["number"]))
        faults = self.look(arguments)
        forget(image)
        return faults


class ImportRecords:
    """The uploads are stored, and carried out by a worker."""

    PICTURES = 2

    def begin(self, folder: Path) -> dict[str, Any]:
        project, user = project_and_user()
        return {"project": project.pk, "user": user.pk, "number": next(numbers)}

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
            forget(image)
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

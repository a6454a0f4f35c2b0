"""Releases: frozen, and written into a folder."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

from django.conf import settings

from annotation import exporting, jobs
from annotation.models import Release
from perf.storage_scenarios.common import RECORDS, Refused, numbers, project_and_user
from perf.storage_scenarios.stored import content, named_by_their_hash, take_away

LETS_GO_SECONDS = 30


class FreezeRelease:
    def begin(self, folder: Path) -> dict[str, Any]:
        project, _ = project_and_user()
        # Another seed makes another artefact.
        return {"pk": exporting.request_release(project, seed=next(numbers)).pk}

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


class WriteFolder:
    """A release on a disk of its own, as ``manage.py export_release`` and runs write it."""

    def begin(self, folder: Path) -> dict[str, Any]:
        project, _ = project_and_user()
        release = project.releases.filter(state=Release.State.READY).first()
        release = release or exporting.make_release(project)
        whole = folder / "whole"
        if not whole.exists():
            exporting.write_folder(release, whole, "llava_rlhf")
        target = Path(settings.MEDIA_ROOT).parent / f"export-{next(numbers)}"
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

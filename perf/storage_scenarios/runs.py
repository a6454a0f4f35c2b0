"""Directories and checkpoints of runs."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import override_settings

from annotation import exporting
from annotation.models import Release, User
from perf.storage_scenarios.common import numbers, project_and_user
from perf.storage_scenarios.stored import content, stored_files, take_away
from training.checkpoints import checkpoint_files, registry
from training.models import Checkpoint, Run
from training.runs import execution


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
        project, _ = project_and_user()
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
        number = next(numbers)
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

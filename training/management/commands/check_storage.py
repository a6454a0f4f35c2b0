"""Compares every file in storage with its hash, and repairs what can be repaired."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from annotation import storage
from annotation.storage import checking
from annotation.storage.checking import Held
from annotation.stored_files import held_images, held_releases, mark_release
from training.checkpoints.checkpoint_files import held_files

KINDS = ("images", "releases", "files")


class Command(BaseCommand):
    help = (
        "Compares each image, release and file of a checkpoint in storage with the hash that the "
        "database has. A release that is damaged and cannot be repaired is no longer ready."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--repair", action="store_true", help="put right what can be")
        parser.add_argument(
            "--from", type=Path, dest="backup", help="a folder with a copy of storage to take from"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["backup"] is not None and not (options["repair"] and options["backup"].is_dir()):
            raise CommandError("--from needs --repair, and a folder that there is")
        self.told: Counter[str] = Counter()
        try:
            for kind, held in _everything():
                self.told[kind] += 1
                self._look_at(kind, held, repair=options["repair"], backup=options["backup"])
            begun = storage.forget_unfinished(
                timezone.now() - timedelta(days=settings.ORPHAN_DAYS), remove=options["repair"]
            )
        except storage.StorageTrouble as error:
            raise CommandError(str(error)) from None
        self._sum_up(begun, repair=options["repair"])

    def _look_at(self, kind: str, held: Held, *, repair: bool, backup: Path | None) -> None:
        fault = checking.fault_of(held)
        if fault:
            self.told["damaged"] += 1
            self.stdout.write(f"{held.what} ({held.name}) {fault}")
            if repair:
                fault = self._repair(held, fault, backup)
        if repair and kind == "releases":
            mark_release(held.name, whole=not fault)

    def _repair(self, held: Held, fault: str, backup: Path | None) -> str:
        how = checking.repair(held, backup)
        if how and not checking.fault_of(held):
            self.told["repaired"] += 1
            self.stdout.write(f"  repaired {how}")
            return ""
        self.stdout.write(f"  not repaired: {held.advice}")
        return fault

    def _sum_up(self, begun: int, *, repair: bool) -> None:
        looked = ", ".join(f"{self.told[kind]:,} {kind}" for kind in KINDS)
        self.stdout.write(f"{looked} of checkpoints were compared with their hashes.")
        if begun:
            was = "were deleted" if repair else "lie there, which --repair deletes"
            self.stdout.write(f"{begun:,} unfinished files {was}.")
        told = f"{self.told['damaged']:,} damaged, {self.told['repaired']:,} repaired"
        if self.told["damaged"] > self.told["repaired"]:
            raise CommandError(told)
        self.stdout.write(told)


def _everything() -> Iterator[tuple[str, Held]]:
    for kind, held in zip(KINDS, (held_images(), held_releases(), held_files()), strict=True):
        yield from ((kind, one) for one in held)

"""Writes a release as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation import exporting
from annotation.errors import DomainError
from annotation.models import Release


class Command(BaseCommand):
    help = "Writes the release with this id into a folder: a file per split, images and captions."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", type=int)
        parser.add_argument(
            "--format", choices=list(exporting.FOLDER_FORMATS), default="llava_rlhf"
        )
        parser.add_argument("--output", type=Path, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        release = Release.objects.select_related("project").filter(pk=options["id"]).first()
        if release is None:
            raise CommandError(f"there is no release {options['id']}")
        try:
            exporting.write_folder(release, options["output"], options["format"])
        except (DomainError, OSError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(str(options["output"]))

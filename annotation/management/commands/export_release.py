"""Writes a release as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation import exporting
from annotation.errors import DomainError
from annotation.models import Release


class Command(BaseCommand):
    help = "Writes a release into a folder: a file per split, images and captions."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "release", metavar="PROJECT/NUMBER", help="Such as cats/3; or the id that REST gives."
        )
        parser.add_argument(
            "--format", choices=list(exporting.FOLDER_FORMATS), default="llava_rlhf"
        )
        parser.add_argument("--output", type=Path, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        slug, _, number = str(options["release"]).rpartition("/")
        named = {"project__slug": slug, "number": number} if slug else {"pk": number}
        rows = Release.objects.select_related("project")
        release = rows.filter(**named).first() if number.isdecimal() else None
        if release is None:
            raise CommandError(f"there is no release {options['release']}")
        try:
            exporting.write_folder(release, options["output"], options["format"])
        except (DomainError, OSError) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(str(options["output"]))

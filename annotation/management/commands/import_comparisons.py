"""Imports a file of comparisons or prompts, or two answer files side by side."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.errors import DomainError
from annotation.image_sources import Archive, Either, Folder, ImageSource, Stored
from annotation.importing import Imported, Options, import_files
from annotation.importing.formats import format_by_content
from annotation.importing.record_files import ImportRefused
from annotation.models import Image, ImportJob, Project

MOST_LINES_SHOWN = 50
SIDE_BY_SIDE = (
    "answers of two models are compared side by side, each two files in an import of their own "
    "(formats mmhal and llava)"
)


class Command(BaseCommand):
    help = (
        "Imports FILE into PROJECT: all of it, or nothing and every bad line is named. "
        "With --format mmhal or llava two answer files are compared question by question."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="slug of the project")
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
        parser.add_argument("--images", type=Path, help="folder or zip with the images")
        parser.add_argument("--format", choices=ImportJob.Format.values, help="default: by content")
        parser.add_argument("--captions", type=Path, help="JSON file of captions by image")
        parser.add_argument("--skip-missing-images", action="store_true")
        parser.add_argument(
            "--leave-out-unusable",
            action="store_true",
            help="leave out records that cannot be used (broken images, empty answers, broken "
            "lines) and name each, instead of refusing the file",
        )
        parser.add_argument(
            "--left-out", type=Path, metavar="CSV", help="write what is left out to this file"
        )
        parser.add_argument("--drop-labels", action="store_true", help="judge labelled pairs anew")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(
                f"there is no project {options['project']!r}: make it on the site first; "
                "its short name is the last part of its address"
            )
        files: list[Path] = options["files"]
        for path in files:
            if not path.is_file():
                raise CommandError(f"there is no file {path}")
        format = options["format"] or format_by_content(files)
        allowed = {"mmhal": (2,), "llava": (1, 2)}.get(format, (1,))
        if len(files) not in allowed:
            numbers = " or ".join(map(str, allowed))
            more = f"; {SIDE_BY_SIDE}" if len(files) > 1 else ""
            given = f"the format {format} takes {numbers} file(s), and {len(files)} are given"
            raise CommandError(f"{given}{more}")
        captions: Path | None = options["captions"]
        if captions is not None and not captions.is_file():
            raise CommandError(f"there is no file {captions}")
        with contextlib.ExitStack() as stack:
            listed: Path | None = options["left_out"]
            to = None
            if listed is not None:
                to = stack.enter_context(listed.open("w", encoding="utf-8", newline=""))
            self._say(self._import(project, files, format, captions, to, options))

    def _import(
        self,
        project: Project,
        files: list[Path],
        format: str,
        captions: Path | None,
        left_out_to: TextIO | None,
        options: dict[str, Any],
    ) -> Imported:
        try:
            return import_files(
                project,
                files,
                _images(options["images"]),
                format=format,
                captions=captions,
                options=Options(
                    source=", ".join(path.name for path in files),
                    skip_missing_images=options["skip_missing_images"],
                    leave_out_unusable=options["leave_out_unusable"],
                    left_out_to=left_out_to,
                    keep_labels=not options["drop_labels"],
                ),
                report=self._report,
            )
        except ImportRefused as refused:
            shown = [str(problem) for problem in refused.problems[:MOST_LINES_SHOWN]]
            more = len(refused.problems) - len(shown)
            shown += [f"and {more} more"] if more else []
            raise CommandError("nothing was imported:\n" + "\n".join(shown)) from None
        except DomainError as error:
            raise CommandError(f"nothing was imported: {error}") from None

    def _say(self, imported: Imported) -> None:
        for warning in imported.warnings[:MOST_LINES_SHOWN]:
            self.stderr.write(f"warning: {warning}")
        hidden = len(imported.warnings) - MOST_LINES_SHOWN
        if hidden > 0:
            self.stderr.write(f"and {hidden} more warnings")
        self.stdout.write(
            f"{imported.created} created, {imported.unchanged} unchanged, "
            f"{imported.left_out} left out"
        )
        for join in imported.joins:
            self.stdout.write(str(join))

    def _report(self, done: int, total: int) -> None:
        if sys.stderr.isatty() and (done == total or done % 10 == 0):
            self.stderr.write(f"\rimages {done}/{total}", ending="\n" if done == total else "")


def _images(path: Path | None) -> ImageSource:
    stored = Stored(Image.objects.all())
    if path is None:
        return stored
    if path.is_dir():
        return Either((Folder(path), stored))
    if path.is_file():
        return Either((Archive(path, path.name), stored))
    raise CommandError(f"there is no folder or archive {path}")

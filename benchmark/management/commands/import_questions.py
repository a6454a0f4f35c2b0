"""Takes in a benchmark's questions with their images."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.image_sources import Folder
from benchmark import protocols, sources
from benchmark.importing import NotTaken, import_questions
from benchmark.models import QuestionSet

MOST_NAMED = 20


class Command(BaseCommand):
    help = "Import a benchmark's published questions, or its pairs of responses."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("protocol", choices=list(protocols.TABLE))
        parser.add_argument(
            "source",
            help="A file such as response_template.json, a folder with files under their "
            "published names, or a data set's id on the hub.",
        )
        parser.add_argument(
            "--images", type=Path, help="Folder of the images; of a folder, its own images/."
        )
        parser.add_argument("--name", default="", help="How pages call it.")
        parser.add_argument(
            "--allow-missing",
            action="store_true",
            help="Take questions whose image is absent; they can be judged, but not asked.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            path = sources.located(options["source"])
            images = Folder(_images(path, options["images"]))
            for file in sources.question_files(options["protocol"], path):
                question_set = import_questions(
                    options["protocol"],
                    file,
                    images_from=images,
                    allow_missing=options["allow_missing"],
                    name=options["name"],
                )
                self._report(question_set)
        except NotTaken as error:
            raise CommandError(str(error)) from error

    def _report(self, question_set: QuestionSet) -> None:
        self.stdout.write(question_set.told)
        missing = question_set.missing_images
        for name in missing[:MOST_NAMED]:
            self.stdout.write(f"  missing: {name}")
        if len(missing) > MOST_NAMED:
            self.stdout.write(f"  and {len(missing) - MOST_NAMED:,} more")


def _images(path: Path, given: Path | None) -> Path:
    if given is None:
        if path.is_dir():
            return path / "images" if (path / "images").is_dir() else path
        raise CommandError("--images is needed where the questions are given as a file")
    if not given.is_dir():
        raise CommandError(f"{given} is not a folder")
    return given

"""Takes in a benchmark's questions with their images."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.images import Folder
from benchmark.importing import NotTaken, import_questions
from benchmark.models import QuestionSet


class Command(BaseCommand):
    help = "Import a published question file: MMHal-Bench's form, or a split of POPE."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("protocol", choices=QuestionSet.Protocol.values)
        parser.add_argument(
            "file", type=Path, help="Such as response_template.json or coco_pope_random.json."
        )
        parser.add_argument("--images", type=Path, required=True, help="Folder of the images.")
        parser.add_argument("--name", default="", help="How pages call it.")
        parser.add_argument(
            "--allow-missing",
            action="store_true",
            help="Take questions whose image is absent; they can be judged, but not asked.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["images"].is_dir():
            raise CommandError(f"{options['images']} is not a folder")
        try:
            question_set = import_questions(
                options["protocol"],
                options["file"],
                images_from=Folder(options["images"]),
                allow_missing=options["allow_missing"],
                name=options["name"],
            )
        except NotTaken as error:
            raise CommandError(str(error)) from error
        total = question_set.questions.count()
        without = question_set.questions.filter(image=None).count()
        self.stdout.write(
            f"{question_set.name}, version {question_set.short_version}: {total} questions, "
            f"{total - without} of them with an image"
        )
        for name in question_set.missing_images:
            self.stdout.write(f"  missing: {name}")

"""manage.py register_base NAME SOURCE: make a base model known, so that runs can start from it."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from training.checkpoints import checkpoint_files, registry


class Command(BaseCommand):
    help = "Register a base model: a folder, whose files go to storage, or a hub id."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="what the base is called in lists and forms")
        parser.add_argument("source", help="a folder with a model, or a hub id such as org/name")
        parser.add_argument(
            "--in-place",
            action="store_true",
            help="open the folder where it is; every worker must see it at the same path",
        )

    def handle(self, *args: Any, name: str, source: str, in_place: bool, **options: Any) -> None:
        folder = Path(source)
        try:
            if folder.is_dir() and not in_place:
                made = registry.register_base(name, folder=folder)
            elif folder.is_dir():
                made = registry.register_base(name, source=str(folder.resolve()))
            elif in_place or source.count("/") != 1 or source.startswith((".", "/", "~")):
                raise CommandError(f"{source} is neither a folder nor a hub id")
            else:
                made = registry.register_base(name, source=source)
        except checkpoint_files.RegistryError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"base {made.pk}: {made.name}")

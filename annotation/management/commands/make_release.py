"""Freezes what a project has decided so far."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.errors import DomainError
from annotation.exporting import make_release
from annotation.models import Project


class Command(BaseCommand):
    help = "Makes a release of PROJECT and prints its id, counts and SHA-256."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="slug of the project")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--held-out-share", type=float, default=0.1, help="share of the images")
        parser.add_argument("--minimum-margin", type=float, default=0.0)
        parser.add_argument("--minimum-reliability", type=float, default=0.0)
        parser.add_argument("--honesty-only", action="store_true")
        parser.add_argument(
            "--without-machine-votes",
            action="store_true",
            help="leave out what a certified machine decided",
        )
        parser.add_argument(
            "--accept-chance-agreement",
            action="store_true",
            help="freeze it although annotators do not agree beyond chance",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"there is no project {options['project']!r}")
        policy = {
            "minimum_margin": options["minimum_margin"],
            "minimum_reliability": options["minimum_reliability"],
            "honesty_only": options["honesty_only"],
            "machine_votes": not options["without_machine_votes"],
            "accept_chance_agreement": options["accept_chance_agreement"],
        }
        try:
            release = make_release(
                project,
                policy=policy,
                seed=options["seed"],
                held_out_share=options["held_out_share"],
            )
        except DomainError as error:
            raise CommandError(str(error)) from None
        counts = ", ".join(f"{count} {name}" for name, count in release.counts.items())
        self.stdout.write(f"release {release.pk} (number {release.number}): {counts}")
        for warning in release.warnings:
            self.stderr.write(f"warning: {warning['text']}")
        self.stdout.write(f"sha256 {release.sha256}")

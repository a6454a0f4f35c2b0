"""Changes any number of comparisons: priority, out and back in, further answers."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation import bulk_actions, searching
from annotation.bulk_actions import MOST_AT_ONCE, Action, Change
from annotation.errors import DomainError
from annotation.models import Comparison, Project


class Command(BaseCommand):
    help = (
        f"Changes the comparisons of PROJECT that the options find, {MOST_AT_ONCE:,} at a time. "
        "Broken off, it has changed the first of them by number."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("project", help="slug of the project")
        parser.add_argument("action", choices=Action.values)
        parser.add_argument(
            "--amount",
            type=int,
            default=0,
            help="points for priority, further answers for hand_out_again",
        )
        parser.add_argument("--outcome", choices=Comparison.Outcome.values)
        parser.add_argument("--source", help="the import or run they came from")
        parser.add_argument("--model", help="made one of the responses, or both")
        parser.add_argument("--search", help="words of the question, the responses or the id")
        parser.add_argument("--dry-run", action="store_true", help="say what would be changed")

    def handle(self, *args: Any, **options: Any) -> None:
        project = Project.objects.filter(slug=options["project"]).first()
        if project is None:
            raise CommandError(f"there is no project {options['project']!r}")
        try:
            change = Change(action=Action(options["action"]), amount=options["amount"])
        except DomainError as error:
            raise CommandError(f"--amount: {error.detail}") from None
        names = ("outcome", "source", "model", "search")
        asked = {name: options[name] for name in names if options[name] is not None}
        rows = searching.found(project, **asked).order_by("pk")
        total = rows.count()
        do = bulk_actions.foreseen if options["dry_run"] else bulk_actions.carry_out
        changed, seen, last, left = 0, 0, 0, Counter[str]()
        # By number, since what is changed may not be found by the options any more.
        while ids := list(rows.filter(pk__gt=last).values_list("pk", flat=True)[:MOST_AT_ONCE]):
            done = do(project, ids, change)
            changed, seen, last = changed + done.changed, seen + len(ids), ids[-1]
            left.update(done.left)
            self.stderr.write(f"{min(seen, total):,} of {total:,}")
        would = "would be " if options["dry_run"] else ""
        self.stdout.write(f"{changed:,} {would}changed")
        for why, number in left.most_common():
            self.stdout.write(f"{number:,} as before: {why}")

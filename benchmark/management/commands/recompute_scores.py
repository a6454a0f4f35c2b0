"""Computes stored figures anew, for instance those that were 0 where nothing could be divided."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from benchmark import evaluating
from benchmark.models import Evaluation


class Command(BaseCommand):
    help = (
        "Compute the figures of ended evaluations anew from their verdicts, and say what changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("evaluation", nargs="*", type=int, help="Numbers; all without any.")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = Evaluation.objects.filter(
            state__in=[Evaluation.State.COMPLETE, Evaluation.State.INCOMPLETE]
        )
        if options["evaluation"]:
            rows = rows.filter(pk__in=options["evaluation"])
        count = changes = 0
        for evaluation in rows.select_related("question_set").order_by("pk").iterator(100):
            count += 1
            if changed := evaluating.recompute(evaluation):
                changes += 1
                self.stdout.write(f"evaluation {evaluation.pk}: {', '.join(changed)}")
        self.stdout.write(f"{count} computed anew, {changes} changed")

"""Computes stored figures anew, for instance intervals that were made by another rule."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from benchmark import evaluating
from benchmark.models import Evaluation, ReportCard
from benchmark.report_cards import figures


class Command(BaseCommand):
    help = (
        "Compute the figures of ended evaluations anew from their verdicts, and the intervals of "
        "report cards from their counts; say what changed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        told = "Numbers; without any, all of them and all report cards."
        parser.add_argument("evaluation", nargs="*", type=int, help=told)

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
        if not options["evaluation"]:
            self._report_cards()

    def _report_cards(self) -> None:
        for report in ReportCard.objects.order_by("pk").iterator(100):
            found = figures.renewed(report.figures)
            if found != report.figures:
                # Not by save(), which would make the report look newly measured.
                ReportCard.objects.filter(pk=report.pk).update(figures=found)
                self.stdout.write(f"{report}: intervals")

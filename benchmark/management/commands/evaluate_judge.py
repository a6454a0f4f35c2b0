"""Measures a judge behind an endpoint on pairs of responses, in both orders."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.errors import DomainError
from annotation.models import Project
from benchmark.evaluation_requests import judge_evaluation
from benchmark.judging import work
from benchmark.management.commands.import_answers import named
from benchmark.models import Evaluation, Judge, QuestionSet


class Command(BaseCommand):
    help = "Ask a judge which of two responses is better, and hold it against people."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("question_set", help="The name of an imported set of pairs.")
        parser.add_argument("--judge", required=True, help="The name of a judge.")
        parser.add_argument(
            "--project", default="", help="Slug; without one every reviewer may see the result."
        )
        parser.add_argument(
            "--wait", action="store_true", help="Ask here instead of leaving it to a worker."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["project"]
        try:
            evaluation = judge_evaluation(
                named(QuestionSet, name=options["question_set"]),
                named(Judge, name=options["judge"]),
                project=named(Project, slug=slug) if slug else None,
            )
        except DomainError as error:
            raise CommandError(str(error)) from error
        if options["wait"]:
            work.judge(evaluation.pk)
            evaluation = Evaluation.objects.get(pk=evaluation.pk)
        self.stdout.write(f"evaluation {evaluation.pk}: {evaluation.get_state_display().lower()}")
        if evaluation.state == Evaluation.State.FAILED:
            raise CommandError(evaluation.error)

"""Takes in the answers that a model gave elsewhere and hands them to a judge."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from annotation.errors import DomainError
from annotation.models import Project
from benchmark.importing import import_answers
from benchmark.judging import work
from benchmark.models import Evaluation, Judge, QuestionSet, Verdict


class Command(BaseCommand):
    help = "Evaluate a file of answers, or of rewards, in the form of its benchmark."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("question_set", help="The name of an imported question set.")
        parser.add_argument("file", type=Path)
        parser.add_argument("--model", required=True, help="The model's name on the dashboard.")
        parser.add_argument("--judge", required=True, help="The name of a judge.")
        parser.add_argument(
            "--project", default="", help="Slug; without one every reviewer may see the result."
        )
        parser.add_argument(
            "--leave-out-others",
            action="store_true",
            help="Leave out answers to questions that the set does not have, and say how many.",
        )
        parser.add_argument(
            "--wait", action="store_true", help="Judge here instead of leaving it to a worker."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["project"]
        try:
            evaluation = import_answers(
                named(QuestionSet, name=options["question_set"]),
                options["file"],
                judge=named(Judge, name=options["judge"]),
                model_name=options["model"],
                leave_out_others=options["leave_out_others"],
                project=named(Project, slug=slug) if slug else None,
            )
        except DomainError as error:
            raise CommandError(str(error)) from error
        self._report(evaluation)
        if options["wait"]:
            work.judge(evaluation.pk)
            evaluation = Evaluation.objects.get(pk=evaluation.pk)
        self.stdout.write(f"evaluation {evaluation.pk}: {evaluation.get_state_display().lower()}")
        if evaluation.state == Evaluation.State.INCOMPLETE:
            unclear = evaluation.answers.filter(
                verdicts__judge=evaluation.judge,
                verdicts__prompt_hash=evaluation.prompt_hash,
                verdicts__state__in=Verdict.OPEN,
            ).distinct()
            self.stdout.write(
                f"{unclear.count()} of {evaluation.answers.count()} answers have no clear verdict: "
                "the page of the evaluation shows them, and bounds for its figures"
            )
        if evaluation.state == Evaluation.State.FAILED:
            raise CommandError(evaluation.error)

    def _report(self, evaluation: Evaluation) -> None:
        total = evaluation.question_set.questions.count()
        without = total - evaluation.answers.count()
        if without:
            self.stdout.write(f"{without} of {total} questions without an answer")
        if evaluation.answers_left_out:
            others = evaluation.answers_left_out
            self.stdout.write(f"{others} answers to other questions are left out")


def named(model: Any, **key: str) -> Any:
    found = model.objects.filter(**key).first()
    if found is None:
        what = model._meta.verbose_name
        known = ", ".join(model.objects.values_list(*key, flat=True)) or "none"
        raise CommandError(f"there is no {what} {next(iter(key.values()))!r}; there are: {known}")
    return found

"""What pages ask: filters, two evaluations to compare, a new evaluation, a settled rating."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.formats import date_format

from annotation import access as projects_access
from annotation.access import Permission
from annotation.errors import DomainError
from annotation.models import Project
from benchmark import evaluation_queries, protocols, scoring
from benchmark.evaluation_requests import Wanted, evaluable, judge_evaluation, request_evaluation
from benchmark.evaluation_runs import EvaluationOptions
from benchmark.models import Answer, Evaluation, EvaluationQuerySet, QuestionSet, SharedLink
from benchmark.protocols.mmhal.ratings import HIGHEST_RATING
from training.models import Checkpoint, Run
from training.rlhf.presets import PRESETS
from training.runs import requests


class QueryForm(forms.Form):
    """A filter: what it does not understand is ignored, as in an address typed by hand."""

    @property
    def query(self) -> str:
        """The parameters that it does understand, for the links of a pagination."""
        self.is_valid()
        chosen = {name: value for name, value in self.cleaned_data.items() if value}
        return urlencode({name: getattr(value, "pk", value) for name, value in chosen.items()})


def _type_choices(question_set: QuestionSet) -> list[tuple[str, str]]:
    rules = question_set.rules
    named = [(name, protocols.type_title(name)) for name in rules.answer_types or rules.types]
    return [("", "All types"), *named]


class EvaluationFilter(QueryForm):
    question_set = forms.ModelChoiceField(
        QuestionSet.objects.all(), required=False, empty_label="All benchmarks", label="Benchmark"
    )
    state = forms.ChoiceField(
        choices=[("", "Any state"), *Evaluation.State.choices], required=False
    )

    def apply(self, rows: EvaluationQuerySet) -> EvaluationQuerySet:
        self.is_valid()
        chosen = {name: value for name, value in self.cleaned_data.items() if value}
        return rows.filter(**chosen)


class AnswerFilter(QueryForm):
    type = forms.ChoiceField(required=False)
    show = forms.ChoiceField(
        required=False,
        choices=[
            ("", "All answers"),
            ("hallucinated", "Hallucinated"),
            ("honest", "Without hallucination"),
            ("open", "Without a rating"),
            ("addressing", "Speaking to the judge"),
        ],
    )

    def __init__(self, *args: Any, evaluation: Evaluation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.evaluation = evaluation
        question_set = evaluation.question_set
        self.fields["type"].choices = _type_choices(question_set)  # type: ignore[attr-defined]
        names = dict(self.fields["show"].choices)  # type: ignore[attr-defined]
        names |= question_set.rules.shows
        if not evaluation.can_be_talked_to:
            del names["addressing"]
        self.fields["show"].choices = list(names.items())  # type: ignore[attr-defined]

    def answers(self) -> QuerySet[Answer]:
        """The chosen answers with question, image and the evaluation's own verdict."""
        self.is_valid()
        evaluation = self.evaluation
        rows = evaluation.answers.select_related("question__image").order_by("question__index")
        if kind := self.cleaned_data.get("type"):
            rows = rows.filter(question__type=kind)
        show = self.cleaned_data.get("show")
        if show == "addressing":
            rows = rows.filter(pk__in=evaluation_queries.addressing_judge(evaluation))
        elif show:
            rows = rows.filter(pk__in=evaluation_queries.answers_that(show, evaluation))
        return rows.judged_by(evaluation)


class ExplorerFilter(QueryForm):
    """Which questions of a ranking, and in which order."""

    type = forms.ChoiceField(required=False)
    order = forms.ChoiceField(
        required=False, choices=[("", "In their order"), ("spread", "Where models differ most")]
    )

    def __init__(self, *args: Any, question_set: QuestionSet, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["type"].choices = _type_choices(question_set)  # type: ignore[attr-defined]


class EvaluationChoice(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        date = date_format(timezone.localtime(obj.finished_at), "j M Y")
        return f"{obj.full_name} · {obj.question_set} · {obj.judge} · {date}"


class CheckpointChoice(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        return str(obj.distinct_name)


class CompareForm(forms.Form):
    """Two complete evaluations that may be compared; ``result`` holds the comparison."""

    first = EvaluationChoice(Evaluation.objects.none(), label="From")
    second = EvaluationChoice(Evaluation.objects.none(), label="To")

    def __init__(self, *args: Any, evaluations: EvaluationQuerySet, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.queryset = evaluations  # type: ignore[attr-defined]
        self.result: dict[str, Any] = {}

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        first, second = cleaned.get("first"), cleaned.get("second")
        if first and first == second:
            raise forms.ValidationError("Choose two different evaluations.")
        if first and second:
            try:
                self.result = scoring.compare(first, second)
            except ValueError as error:
                raise forms.ValidationError(str(error)) from error
        return cleaned


class ShareForm(forms.ModelForm):
    """A public link: what it shows beside the figures, and for how long."""

    days = forms.TypedChoiceField(
        label="Opens for",
        choices=[(7, "a week"), (30, "a month"), (90, "three months"), (365, "a year")],
        coerce=int,
        initial=30,
    )

    class Meta:
        model = SharedLink
        fields = ["title", "with_answers", "with_photographs"]


class RateForm(forms.Form):
    """A rating by a person; ``task`` names the answer that was on screen."""

    rating = forms.TypedChoiceField(
        choices=[(str(n), str(n)) for n in range(HIGHEST_RATING + 1)], coerce=int, empty_value=None
    )
    task = forms.CharField(max_length=64)


class StartForm(EvaluationOptions):
    """An evaluation of a base, a policy or a reward model, as a run of a project; without a model,
    of the judge itself."""

    takes_pairs = True

    project_choice = forms.ModelChoiceField(Project.objects.none(), label="Project")
    model = CheckpointChoice(
        Checkpoint.objects.none(),
        required=False,
        empty_label="None: the judge itself",
        help_text="A base, or a policy or reward model that a run has trained. Pairs of responses "
        "measure reward models, and judges themselves.",
    )
    preset = forms.ChoiceField(
        choices=[(name, name) for name in PRESETS],
        help_text="Settings of the engine, such as how long an answer may be.",
    )
    gpus = forms.IntegerField(
        label="GPUs", min_value=0, max_value=64, initial=0, help_text="0 answers on the CPU."
    )
    seed = forms.IntegerField(min_value=0, max_value=2**31 - 1, initial=0)

    field_order = ["project_choice", "model", "question_set", "judge", "temperature"]

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, project=None, user=user, **kwargs)
        projects = projects_access.projects_where(user, Permission.MANAGE)
        self.fields["project_choice"].queryset = projects  # type: ignore[attr-defined]
        self.fields["model"].queryset = evaluable(projects)  # type: ignore[attr-defined]
        for field in self.fields.values():
            choices = getattr(field, "queryset", None)
            if choices is not None and choices.count() == 1:
                field.initial = choices.first()

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        question_set = cleaned.get("question_set")
        pairs = bool(question_set and question_set.rules.ranks_judges)
        if "model" in cleaned and cleaned["model"] is None and not pairs:
            self.add_error("model", "This field is required.")
        return cleaned

    def start(self) -> Run | Evaluation | None:
        """The queued run, or the evaluation of a judge that needs none; None, with the error on
        the form, where it is refused."""
        chosen = dict(self.cleaned_data)
        if chosen["model"] is None:
            return self._start_judge()
        project, checkpoint = chosen.pop("project_choice"), chosen.pop("model")
        wanted = Wanted(project=project, checkpoint=checkpoint, requested_by=self.user, **chosen)
        try:
            return request_evaluation(wanted)
        except requests.Refused as error:
            self.add_error(None, str(error))
            return None

    def _start_judge(self) -> Evaluation | None:
        chosen = self.cleaned_data
        try:
            return judge_evaluation(
                chosen["question_set"],
                chosen["judge"],
                project=chosen["project_choice"],
                created_by=self.user,
            )
        except DomainError as error:
            self.add_error("judge", str(error))
            return None

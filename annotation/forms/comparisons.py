"""Looking through comparisons."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.db.models import Q, QuerySet

from annotation import searching
from annotation.models import Assignment, Comparison, Project, User, WorkDay


class ComparisonFilterForm(forms.Form):
    """The only parameters by which comparisons can be filtered."""

    outcome = forms.ChoiceField(
        choices=[("", "Any outcome"), *Comparison.Outcome.choices],
        required=False,
        widget=forms.Select(attrs={"aria-label": "Outcome"}),
    )
    text = forms.CharField(
        max_length=200,
        required=False,
        widget=forms.TextInput(
            attrs={
                "type": "search",
                "placeholder": "Words of question, answers or id…",
                "aria-label": "Words of question, answers or id",
            }
        ),
    )
    model = forms.CharField(
        max_length=200,
        required=False,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": "Model…", "aria-label": "Model that answered"}
        ),
    )
    person = forms.ModelChoiceField(
        User.objects.none(),
        required=False,
        empty_label="Answered by anybody",
        widget=forms.Select(attrs={"aria-label": "Answered by"}),
    )

    def __init__(self, *args: Any, project: Project, manages: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not manages:
            # Reviewers rule on votes without knowing whose they are.
            del self.fields["person"]
            return
        worked = WorkDay.objects.filter(project=project).values("annotator")
        people = cast("forms.ModelChoiceField[User]", self.fields["person"])
        people.queryset = User.objects.filter(pk__in=worked).order_by("username")

    def chosen(self, rows: QuerySet[Comparison], project: Project) -> QuerySet[Comparison]:
        """Of ``rows``, those that are asked for; all where what is asked for cannot be read."""
        if not self.is_valid():
            return rows
        said = self.cleaned_data
        if said["outcome"]:
            rows = rows.filter(outcome=said["outcome"])
        if said["model"]:
            rows = rows.filter(Q(model_1=said["model"]) | Q(model_2=said["model"]))
        if said.get("person"):
            done = Assignment.objects.filter(
                annotator=said["person"], project=project, state=Assignment.State.JUDGED
            )
            rows = rows.filter(pk__in=done.values("comparison"))
        return searching.matching(rows, project, said["text"]) if said["text"] else rows

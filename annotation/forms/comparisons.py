"""Looking through comparisons."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.db.models import Exists, OuterRef, QuerySet

from annotation import searching
from annotation.models import Assignment, Comparison, Project, User


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
        done = self._judged(project).filter(annotator=OuterRef("pk"))
        people = cast("forms.ModelChoiceField[User]", self.fields["person"])
        people.queryset = User.objects.filter(Exists(done)).order_by("username")

    @staticmethod
    def _judged(project: Project) -> QuerySet[Assignment]:
        return Assignment.objects.filter(project=project, state=Assignment.State.JUDGED)

    def chosen(self, rows: QuerySet[Comparison], project: Project) -> QuerySet[Comparison]:
        """Of ``rows``, those that are asked for; all where what is asked for cannot be read."""
        if not self.is_valid():
            return rows
        said = self.cleaned_data
        if said["outcome"]:
            rows = rows.filter(outcome=said["outcome"])
        if said["model"]:
            rows = rows.filter(searching.answered_by(said["model"]))
        if said.get("person"):
            done = self._judged(project).filter(annotator=said["person"])
            rows = rows.filter(pk__in=done.values("comparison"))
        return searching.matching(rows, project, said["text"]) if said["text"] else rows

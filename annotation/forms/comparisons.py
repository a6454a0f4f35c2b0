"""Looking through comparisons, and changing many at once."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.db.models import Exists, OuterRef, QuerySet

from annotation import searching
from annotation.bulk_actions import Action, Change
from annotation.models import Comparison, Project, User

MOST_DIGITS = 18
"""So that a number fits a signed 64-bit integer."""


def _search(placeholder: str, *, label: str) -> forms.CharField:
    attributes = {"type": "search", "placeholder": placeholder, "aria-label": label}
    widget = forms.TextInput(attrs=attributes)
    return forms.CharField(max_length=200, required=False, widget=widget)


class ComparisonFilterForm(forms.Form):
    """The only parameters by which comparisons can be filtered."""

    outcome = forms.ChoiceField(
        choices=[("", "Any outcome"), *Comparison.Outcome.choices],
        required=False,
        widget=forms.Select(attrs={"aria-label": "Outcome"}),
    )
    text = _search("Words of question, answers or id…", label="Words of question, answers or id")
    model = _search("Model…", label="Model that answered")
    source = _search("Import or run…", label="Import or run that it came from")
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
        done = searching.judged_in(project).filter(annotator=OuterRef("pk"))
        people = cast("forms.ModelChoiceField[User]", self.fields["person"])
        people.queryset = User.objects.filter(Exists(done)).order_by("username")

    def chosen(self, project: Project) -> QuerySet[Comparison]:
        """Those that are asked for; all where what is asked for cannot be read."""
        if not self.is_valid():
            return searching.found(project)
        asked = self.cleaned_data
        return searching.found(
            project,
            outcome=asked["outcome"],
            model=asked["model"],
            source=asked["source"],
            search=asked["text"] or None,
            person=asked.get("person"),
        )


class Ids(forms.TypedMultipleChoiceField):
    """Any numbers that a primary key can be; whose they are is for the query to find."""

    def __init__(self, **options: Any) -> None:
        super().__init__(coerce=int, **options)

    def valid_value(self, value: Any) -> bool:
        return value.isdecimal() and value.isascii() and len(value) <= MOST_DIGITS


class ComparisonChangeForm(forms.Form):
    """One change of many comparisons: the ticked ones, or all that the filter finds."""

    action = forms.ChoiceField(
        choices=Action.choices, widget=forms.Select(attrs={"aria-label": "Change"})
    )
    amount = forms.IntegerField(
        required=False,
        widget=forms.NumberInput(
            attrs={"aria-label": "By how much", "placeholder": "10", "inputmode": "numeric"}
        ),
    )
    comparison = Ids(required=False)
    all = forms.BooleanField(required=False)
    sure = forms.BooleanField(required=False, widget=forms.HiddenInput)

    TAKES_AMOUNT = (Action.PRIORITY, Action.HAND_OUT_AGAIN)

    def change(self) -> Change:
        """What a valid form asks for. Raises NoSuchChange."""
        action = Action(self.cleaned_data["action"])
        # The page has one field of it, which stands there for every action.
        amount = self.cleaned_data["amount"] if action in self.TAKES_AMOUNT else 0
        return Change(action=action, amount=amount or 0)

"""Rulings on disputed comparisons."""

from __future__ import annotations

from typing import Any

from django import forms

from annotation.answers import LONGEST_NOTE, Answer
from annotation.models.work import Choice


class DisputeFilterForm(forms.Form):
    after = forms.IntegerField(required=False, min_value=1)


class RulingForm(forms.Form):
    """A reviewer's answer to the annotators' two questions."""

    more_hallucinated = forms.ChoiceField(
        choices=Choice.choices, widget=forms.RadioSelect, label="Which hallucinates more?"
    )
    more_helpful = forms.ChoiceField(
        choices=[("", "Not asked"), *Choice.choices],
        required=False,
        label="Which is more helpful?",
        help_text="Only after “about the same”.",
    )
    note = forms.CharField(
        max_length=LONGEST_NOTE,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Why; other reviewers see it.",
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        tie = given.get("more_hallucinated") == Choice.TIE
        if tie and not given.get("more_helpful"):
            self.add_error("more_helpful", "Needed after “about the same”.")
        if not tie and given.get("more_helpful"):
            self.add_error("more_helpful", "Asked only after “about the same”.")
        return given

    def answer(self) -> Answer:
        return Answer(**self.cleaned_data)

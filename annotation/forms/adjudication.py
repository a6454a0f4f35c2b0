"""Rulings on disputed comparisons."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.html import format_html
from django.utils.safestring import mark_safe

from annotation.answers import LONGEST_NOTE, Answer
from annotation.models.work import Choice

KEYS = {"1": "1", "2": "2", "tie": "0"}
"""By choice, those of the labelling page (static/js/ruling.js)."""


def _with_keys() -> list[tuple[str, str]]:
    return [
        (value, format_html("{} <kbd>{}</kbd>", label, KEYS[value]))
        for value, label in Choice.choices
    ]


class DisputeFilterForm(forms.Form):
    after = forms.IntegerField(required=False, min_value=1)


class RulingForm(forms.Form):
    """A reviewer's answer to the annotators' two questions."""

    more_hallucinated = forms.ChoiceField(
        choices=_with_keys, widget=forms.RadioSelect, label="Which hallucinates more?"
    )
    more_helpful = forms.ChoiceField(
        choices=lambda: [("", "Not asked"), *_with_keys()],
        required=False,
        widget=forms.RadioSelect,
        label="Which is more helpful?",
        help_text="Only after “about the same”.",
    )
    note = forms.CharField(
        max_length=LONGEST_NOTE,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        label=mark_safe("Note <kbd>N</kbd>"),
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

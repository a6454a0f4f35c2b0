"""Versions of the guidelines and their worked examples."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from annotation.answers import LONGEST_NOTE
from annotation.models.work import Choice
from config.json_fields import JSONField


class VersionForm(forms.Form):
    version = forms.IntegerField(required=False, min_value=1)


class AcknowledgementForm(forms.Form):
    version = forms.IntegerField(min_value=1)


class ExampleForm(forms.Form):
    """A comparison's answer, explained to annotators."""

    more_hallucinated = forms.ChoiceField(
        choices=Choice.choices, widget=forms.RadioSelect, label="Which hallucinates more?"
    )
    why = forms.CharField(
        max_length=LONGEST_NOTE,
        label="Why",
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="What to look at, and how the rule applies here.",
    )
    spans = JSONField(required=False, widget=forms.HiddenInput)

    def clean_spans(self) -> list[Any]:
        spans = self.cleaned_data["spans"]
        if spans is not None and not isinstance(spans, list):
            raise ValidationError("Must be a list.")
        return spans or []

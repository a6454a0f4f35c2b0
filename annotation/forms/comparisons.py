"""Looking through comparisons."""

from __future__ import annotations

from django import forms

from annotation.models import Comparison


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
            attrs={"type": "search", "placeholder": "Id contains…", "aria-label": "Id contains"}
        ),
    )

"""Gold comparisons: stated by hand, promoted, or made by corrupting a response."""

from __future__ import annotations

from django import forms

from annotation.answers import LONGEST_NOTE
from annotation.models.work import Choice
from annotation.quality.corruption import Kind
from annotation.texts import LONGEST_TEXT


class PromoteForm(forms.Form):
    most = forms.IntegerField(min_value=1, max_value=1000, initial=20, label="At most")


class DraftFilterForm(forms.Form):
    after = forms.IntegerField(required=False, min_value=0)
    kind = forms.ChoiceField(
        choices=[("", "Any kind"), *((kind.value, kind.value) for kind in Kind)], required=False
    )


class CorruptedForm(forms.Form):
    """A draft as the manager edited it."""

    text = forms.CharField(
        max_length=LONGEST_TEXT,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 9}),
        label="The response made wrong",
        help_text="Edit it until one thing is clearly wrong and it still reads naturally.",
    )
    explanation = forms.CharField(max_length=LONGEST_NOTE, required=False, label="Why it is wrong")
    kind = forms.ChoiceField(
        choices=[(kind.value, kind.value) for kind in Kind],
        required=False,
        widget=forms.HiddenInput,
    )

    def clean_text(self) -> str:
        # A form has other line ends than what was stored.
        return self.cleaned_data["text"].replace("\r\n", "\n")


class GoldForm(forms.Form):
    more_hallucinated = forms.ChoiceField(
        choices=[("", "Not gold"), *Choice.choices], required=False
    )
    explanation = forms.CharField(max_length=LONGEST_NOTE, required=False)

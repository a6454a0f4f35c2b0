"""What annotators send."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from annotation.answers import Answer
from annotation.leases import MOST_BESIDE
from annotation.models import Assignment
from annotation.models.work import Choice
from annotation.texts import LONGEST_TEXT
from config.json_fields import JSONField

NO_CORRECTION = "none"
CORRECTION = [("made", "Made, or nothing is false"), (NO_CORRECTION, "Not made")]


class LabelForm(forms.Form):
    change = forms.IntegerField(required=False, min_value=1)
    answered = forms.IntegerField(required=False, min_value=1)


class UUIDsField(forms.Field):
    """Any number of UUIDs under one name, up to ``most``."""

    widget = forms.MultipleHiddenInput

    def __init__(self, *, most: int, **options: Any) -> None:
        super().__init__(**options)
        self.most = most

    def to_python(self, value: Any) -> list[uuid.UUID]:
        one = forms.UUIDField()
        return [one.clean(text) for text in value or []]

    def validate(self, value: list[uuid.UUID]) -> None:
        if len(value) > self.most:
            raise ValidationError(gettext("At most %(most)s.") % {"most": self.most})


class AheadForm(forms.Form):
    beside = UUIDsField(most=MOST_BESIDE, required=False)


class PreviousForm(forms.Form):
    before = forms.IntegerField(required=False)


class AnswerForm(forms.Form):
    """An answer as the labelling page sends it; the domain checks it against the project."""

    client_uuid = forms.UUIDField()
    version = forms.IntegerField(required=False, min_value=1)
    more_hallucinated = forms.ChoiceField(choices=Choice.choices)
    more_helpful = forms.ChoiceField(choices=Choice.choices, required=False)
    active_seconds = forms.FloatField(required=False, min_value=0)
    spans = JSONField(required=False)
    corrects = forms.IntegerField(required=False, min_value=1, max_value=2)
    corrected = forms.CharField(required=False, strip=False, max_length=LONGEST_TEXT)
    correction = forms.ChoiceField(choices=CORRECTION, required=False)
    confidence = forms.IntegerField(required=False)
    note = forms.CharField(required=False)

    def clean_spans(self) -> list[Any]:
        spans = self.cleaned_data["spans"]
        if spans is not None and not isinstance(spans, list):
            raise ValidationError(gettext("Must be a list."))
        return spans or []

    def clean_corrected(self) -> str:
        # As the note; and an answer's own carriage returns are no words.
        return self.cleaned_data["corrected"].replace("\r\n", "\n")

    def clean_note(self) -> str:
        # A form sent without a script has other line ends; the same note must be the same answer.
        return self.cleaned_data["note"].replace("\r\n", "\n")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("more_hallucinated") == Choice.TIE and not given.get("more_helpful"):
            self.add_error(
                "more_helpful", ValidationError(gettext("Asked after a tie."), code="after_tie")
            )
        return given

    def lacks_only_helpfulness(self) -> bool:
        return set(self.errors) == {"more_helpful"} and self.has_error("more_helpful", "after_tie")

    def answer(self) -> Answer:
        given = self.cleaned_data
        return Answer(
            more_hallucinated=given["more_hallucinated"],
            more_helpful=given["more_helpful"],
            spans=given["spans"],
            corrections=self._corrections(),
            confidence=given["confidence"],
            note=given["note"],
            active_seconds=given["active_seconds"],
        )

    def _corrections(self) -> list[dict[str, Any]]:
        given = self.cleaned_data
        if not given["corrects"] or given["correction"] == NO_CORRECTION:
            return []
        return [{"response": given["corrects"], "text": given["corrected"]}]


class SkipForm(forms.Form):
    reason = forms.ChoiceField(choices=Assignment.SkipReason.choices)

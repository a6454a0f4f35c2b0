"""The entry quiz: its questions, and a newcomer's answer."""

from __future__ import annotations

from typing import Any

from django import forms

from annotation.models.work import Choice


class QuizForm(forms.Form):
    """Which of a project's gold comparisons newcomers are asked."""

    questions = forms.TypedMultipleChoiceField(coerce=int, required=False)

    def __init__(self, *arguments: Any, candidates: list[int], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fields["questions"].choices = [(pk, pk) for pk in candidates]  # type: ignore[attr-defined]


class QuizAnswerForm(forms.Form):
    more_hallucinated = forms.ChoiceField(choices=Choice.choices)

"""A study as managers fill it in."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.core.validators import RegexValidator

from annotation.crowd import studies
from annotation.models import Study

PARAMETER = RegexValidator(r"^[A-Za-z0-9_.-]+\Z", "Letters, digits, and the signs _ . - only.")


def _parameter(label: str) -> forms.CharField:
    return forms.CharField(
        max_length=60,
        required=False,
        validators=[PARAMETER],
        label=label,
        help_text="Empty: as the platform calls it.",
    )


class StudyForm(forms.ModelForm):
    """A new study; the names of parameters are those of the platform unless they are given."""

    participant_parameter = _parameter("The participant's id")
    study_parameter = _parameter("The study's id")
    session_parameter = _parameter("The session's id")

    class Meta:
        model = Study
        fields: ClassVar = [
            *("name", "platform", "answers", "places", "completion_code", "return_url"),
            *("failed_code", "session_hours"),
            *("participant_parameter", "study_parameter", "session_parameter"),
        ]
        labels: ClassVar = {
            "answers": "Answers of each participant",
            "places": "Participants",
            "session_hours": "Hours that a place is kept",
            "return_url": "Address to lead back to",
            "failed_code": "Code for who fails the quiz",
        }
        help_texts: ClassVar = {
            "name": "For you; participants do not see it.",
            "answers": "Known comparisons and repeats are among them.",
            "places": "Then the study is full.",
            "return_url": "The completion address that the platform shows.",
            "failed_code": "Only where the platform has one for people who are screened out.",
        }

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        fixed = {} if self.instance.pk is None else {"platform": self.instance.platform}
        if "platform" in given or fixed:
            for name, reason in studies.faults({**given, **fixed}).items():
                self.add_error(name if name in self.fields else None, reason)
        return given

    def main(self) -> list[forms.BoundField]:
        """What everybody fills in."""
        return [field for field in self if not field.name.endswith("_parameter")]

    def parameters(self) -> list[forms.BoundField]:
        return [field for field in self if field.name.endswith("_parameter")]

    def given(self) -> dict[str, Any]:
        """What ``studies.create`` takes: parameters that were left empty are not named."""
        return {
            name: value
            for name, value in self.cleaned_data.items()
            if value or not name.endswith("_parameter")
        }


class StudyChangeForm(StudyForm):
    """What may be changed while people come."""

    class Meta(StudyForm.Meta):
        fields: ClassVar = [*studies.CHANGEABLE]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in set(self.fields) - set(studies.CHANGEABLE):
            del self.fields[name]


class ActionForm(forms.Form):
    action = forms.ChoiceField(
        choices=[(one, one) for one in ("end", "reopen", "renew-link", "withdraw-link")]
    )

"""A machine labelling as managers ask for it."""

from __future__ import annotations

from typing import Any

from django import forms

from annotation.machine import labellers
from annotation.models import Project
from annotation.models.machine import MOST_COMPARISONS

ACTIONS = ("cancel", "resume", "decide", "withdraw")


class LabellingForm(forms.Form):
    machine = forms.ChoiceField(help_text="A judge that sees the image, or a reward model.")
    level_percent = forms.FloatField(
        initial=5,
        min_value=0.1,
        max_value=30,
        label="May be wrong, % of its votes",
        help_text="Wrong is what people would settle otherwise. 0.1 to 30.",
    )
    confidence_percent = forms.FloatField(
        initial=95,
        min_value=80,
        max_value=99.9,
        label="How sure that must be, %",
        help_text="80 to 99.9. Of promises made at 95 %, at most one in twenty is broken.",
    )
    sample_size = forms.IntegerField(
        initial=200,
        min_value=1,
        max_value=MOST_COMPARISONS - 1,
        label="Random sample for people",
        help_text="People answer these as any others. The larger, the more the machine may decide.",
    )
    audit_percent = forms.FloatField(
        initial=5,
        min_value=0,
        max_value=50,
        label="Others that stay with people, %",
        help_text="They show whether the machine is worse than certified.",
    )
    comparisons = forms.IntegerField(
        initial=2000,
        min_value=2,
        max_value=MOST_COMPARISONS,
        label="Comparisons at most",
        help_text="Drawn at random from those that wait and that nobody has begun.",
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.machines = labellers.choices(project)
        groups: dict[str, list[tuple[str, str]]] = {}
        for value, (kind, choice) in self.machines.items():
            groups.setdefault(kind.title, []).append((value, choice.name))
        field = self.fields["machine"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = list(groups.items())

    def options(self) -> dict[str, Any]:
        """The arguments of ``labelling.request``."""
        given = self.cleaned_data
        return {
            "machine": given["machine"],
            "level": given["level_percent"] / 100,
            "confidence": given["confidence_percent"] / 100,
            "audit_share": given["audit_percent"] / 100,
            "sample_size": given["sample_size"],
            "comparisons": given["comparisons"],
        }


class ActionForm(forms.Form):
    action = forms.ChoiceField(choices=[(one, one) for one in ACTIONS])

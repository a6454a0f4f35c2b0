"""Forms of the training pages, but for the one that starts runs (``training.chain_form``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms

from annotation.models import Project
from training.checkpoints import base_imports, bases
from training.models import State
from training.runs import kinds


class RunFilterForm(forms.Form):
    """What a list of runs can be narrowed by; nothing else is looked at."""

    state = forms.ChoiceField(choices=[("", "Any state"), *State.choices], required=False)
    kind = forms.ChoiceField(required=False)
    project = forms.ModelChoiceField(
        Project.objects.none(), required=False, empty_label="All projects", to_field_name="slug"
    )

    def __init__(self, data: Any, *, projects: Any) -> None:
        super().__init__(data)
        known = [(kind.name, kind.title) for kind in kinds.all_kinds()]
        choice = self.fields["kind"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = [("", "Any kind"), *known]
        offer(self, "project", projects)
        for name, label in (("state", "State"), ("kind", "Kind"), ("project", "Project")):
            self.fields[name].widget.attrs["aria-label"] = label


class BaseImportForm(forms.Form):
    """A base model to import; what it is, a worker finds out."""

    name = forms.CharField(max_length=200, help_text="How it is called in lists and forms.")
    source = forms.CharField(
        max_length=500,
        label="Hub id or folder",
        help_text="Such as llava-hf/llava-1.5-7b-hf, or the path of a folder that every worker "
        "sees.",
    )
    copy = forms.BooleanField(
        required=False,
        initial=True,
        label="Copy into storage",
        help_text="Otherwise each run opens it where it is: every worker must reach it, and what "
        "changes there changes the model.",
    )

    def clean_name(self) -> str:
        return self._checked("name", base_imports.check_name)

    def clean_source(self) -> str:
        return self._checked("source", base_imports.check_source)

    def _checked(self, name: str, check: Callable[[str], str]) -> str:
        try:
            return check(self.cleaned_data[name])
        except bases.BaseRefused as error:
            raise forms.ValidationError(str(error)) from error


class DisagreementFilterForm(forms.Form):
    """Which scored comparisons are shown; without an answer those that are not agreed about."""

    show = forms.ChoiceField(
        choices=[
            ("disagree", "They disagree"),
            ("agree", "They agree"),
            ("waiting", "Waiting, most needed"),
            ("contradicted", "Waiting, votes against it"),
        ],
        required=False,
    )
    decided_by = forms.ChoiceField(
        choices=[
            ("", "Decided by anything"),
            ("honesty", "Decided by honesty"),
            ("helpfulness", "Decided by helpfulness"),
        ],
        required=False,
    )
    seen = forms.ChoiceField(
        choices=[("", "Not trained on"), ("trained", "Trained on"), ("any", "Trained on or not")],
        required=False,
    )

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        labels = {"show": "Show", "decided_by": "Decided by", "seen": "Trained on"}
        for name, label in labels.items():
            self.fields[name].widget.attrs["aria-label"] = label

    def chosen(self) -> dict[str, str]:
        """The arguments of ``disagreement.examples``."""
        given = self.cleaned_data if self.is_valid() else {}
        return {
            "show": given.get("show") or "disagree",
            "decided_by": given.get("decided_by") or "",
            "seen": {"": "fresh", "any": ""}.get(given.get("seen", ""), "trained"),
        }


def offer(form: forms.Form, name: str, rows: Any, *, or_nothing: bool = True) -> None:
    """Let ``name`` choose among ``rows``."""
    field = form.fields[name]
    assert isinstance(field, forms.ModelChoiceField)
    field.queryset = rows
    if not or_nothing:
        field.empty_label = None

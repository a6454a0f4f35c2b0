"""Forms of the training pages, but for the one that starts runs (``training.chain_form``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django import forms

from annotation.models import Project
from training.checkpoints import base_imports, bases
from training.figures import run_table
from training.models import LONGEST_TAG, Run, RunQuerySet, State
from training.runs import kinds, organising


class RunFilterForm(forms.Form):
    """What a list of runs can be narrowed by; nothing else is looked at."""

    q = forms.CharField(
        required=False,
        max_length=200,
        widget=forms.TextInput(
            attrs={"type": "search", "placeholder": "Name, note, tag or #number"}
        ),
    )
    state = forms.ChoiceField(choices=[("", "Any state"), *State.choices], required=False)
    kind = forms.ChoiceField(required=False)
    project = forms.ModelChoiceField(
        Project.objects.none(), required=False, empty_label="All projects", to_field_name="slug"
    )
    tag = forms.ChoiceField(required=False)
    archived = forms.ChoiceField(
        choices=[("", "Not archived"), ("only", "Archived"), ("too", "Archived too")],
        required=False,
    )

    def __init__(self, data: Any, *, projects: Any, tags: Iterable[str]) -> None:
        super().__init__(data)
        known = [(kind.name, kind.title) for kind in kinds.all_kinds()]
        choice = self.fields["kind"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = [("", "Any kind"), *known]
        tagged = self.fields["tag"]
        assert isinstance(tagged, forms.ChoiceField)
        tagged.choices = [("", "Any tag"), *((tag, tag) for tag in tags)]
        offer(self, "project", projects)
        labels = {"q": "Search", "archived": "Archive"}
        for name, field in self.fields.items():
            field.widget.attrs["aria-label"] = labels.get(name, name.capitalize())

    @property
    def chosen(self) -> dict[str, Any]:
        """What is asked for; a field that cannot be read asks for nothing."""
        self.is_valid()
        return {name: value for name, value in self.cleaned_data.items() if value}

    @property
    def archived_too(self) -> bool | None:
        """As ``RunQuerySet.listed`` takes it."""
        return {"only": True, "too": None}.get(self.chosen.get("archived", ""), False)

    def narrowed(self, rows: RunQuerySet) -> RunQuerySet:
        """All but the archive."""
        asked = self.chosen
        for name in ("state", "kind", "project"):
            if name in asked:
                rows = rows.filter(**{name: asked[name]})
        if "tag" in asked:
            rows = rows.filter(tags__contains=[asked["tag"]])
        return run_table.search(rows, asked["q"]) if "q" in asked else rows


class RunForm(forms.ModelForm):
    """What people call a run and say of it."""

    tags = forms.CharField(
        required=False,
        max_length=organising.MOST_TAGS * (LONGEST_TAG + 2),
        help_text="Separated by commas, such as baseline, paper.",
    )
    notes = forms.CharField(
        required=False,
        max_length=organising.LONGEST_NOTES,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text="Why it was run, what came of it. Found by the search.",
    )

    class Meta:
        model = Run
        fields = ("name", "tags", "notes")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["tags"] = ", ".join(self.instance.tags)

    def clean_tags(self) -> list[str]:
        try:
            return organising.read_tags(self.cleaned_data["tags"].split(","))
        except organising.BadTag as error:
            raise forms.ValidationError(str(error)) from error

    def save(self, commit: bool = True) -> Run:
        organising.change(self.instance, **self.cleaned_data)
        return self.instance


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

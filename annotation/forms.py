"""What people may send to the pages of annotation."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django import forms
from django.contrib.auth.forms import UserCreationForm
from django.core.exceptions import ValidationError
from django.utils.text import slugify

from annotation import projects
from annotation.answers import LONGEST_NOTE, Answer
from annotation.corruption import Kind
from annotation.models import ApiToken, Comparison, ImportJob, Project, User
from annotation.models.projects import Role
from annotation.models.work import Choice
from annotation.records import LONGEST_TEXT

# --- Projects and people ----------------------------------------------------------------------


class ProjectForm(forms.ModelForm):
    """A project's settings; the short name in its address is made from the name."""

    class Meta:
        model = Project
        fields = projects.SETTINGS
        labels = {
            "gold_rate": "Share of gold comparisons",
            "repeat_rate": "Share of repeats",
            "pause_below": "Pause below this share of right gold answers",
            "pause_after": "Gold answers before a pause",
            "quiz_pass_mark": "Pass mark of the entry quiz",
            "quiz_attempts": "Attempts at the entry quiz",
            "judgments_per_comparison": "People per comparison",
            "max_judgments": "At most, while votes are split",
            "allow_tie": "Allow “about the same”",
            "mark_spans": "Mark hallucinated words",
            "ask_confidence": "Ask how sure people are",
            "lease_minutes": "Minutes a comparison is held",
        }
        help_texts = {
            "description": "What the images are and what the labels are for.",
            "mark_spans": "Annotators may select words and say what is wrong with them.",
            "ask_confidence": "From 1, a guess, to 5, certain; asked after each answer.",
            "quiz_pass_mark": "Share of right answers, 0 to 1, before a newcomer gets work; 0 "
            "for no quiz. Its questions are chosen on the guidelines page.",
            "guidelines": "Markdown. Annotators are asked to read every new version.",
        }
        widgets = {
            "description": forms.Textarea(attrs={"rows": 3}),
            "guidelines": forms.Textarea(attrs={"rows": 14}),
        }

    SECTIONS: ClassVar = {
        "The project": ["name", "description", "question", "guidelines"],
        "Handing out": ["state", "judgments_per_comparison", "max_judgments", "lease_minutes"],
        "What annotators say": ["allow_tie", "mark_spans", "ask_confidence"],
        "Watching quality": ["gold_rate", "repeat_rate", "pause_below", "pause_after"],
        "Entry quiz": ["quiz_pass_mark", "quiz_attempts"],
    }

    def sections(self) -> list[tuple[str, list[forms.BoundField], bool]]:
        """Title, fields, and whether one of them has an error: as the page groups them."""
        return [
            (title, fields, any(field.errors for field in fields))
            for title, names in self.SECTIONS.items()
            for fields in [[self[name] for name in names]]
        ]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        for name, reason in projects.conflicts(given).items():
            self.add_error(name, reason)
        if self.instance.pk is None and given.get("name"):
            self.instance.slug = free_slug(given["name"])
        return given


def free_slug(name: str) -> str:
    """A short name for addresses that no project has yet."""
    wanted = slugify(name)[:50] or "project"
    taken = set(Project.objects.filter(slug__startswith=wanted).values_list("slug", flat=True))
    numbered = (f"{wanted}-{number}" for number in range(2, len(taken) + 3))
    return next(slug for slug in [wanted, *numbered] if slug not in taken)


class MemberForm(forms.Form):
    """Adds somebody who has an account already."""

    username = forms.CharField(max_length=150, label="Username")
    role = forms.ChoiceField(choices=Role.choices)

    def clean_username(self) -> User:
        user = User.objects.filter(username=self.cleaned_data["username"], is_active=True).first()
        if user is None:
            raise ValidationError("Nobody has this username. Send an invitation link instead.")
        return user


class InvitationForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)
    note = forms.CharField(max_length=120, required=False, label="For whom")
    count = forms.IntegerField(
        min_value=1,
        max_value=100,
        required=False,
        initial=1,
        label="How many links",
        help_text="Each lets one person join.",
    )


class MembershipForm(forms.Form):
    """One change of a member; the buttons of the list send one field at a time."""

    role = forms.ChoiceField(choices=Role.choices, required=False)
    action = forms.ChoiceField(
        choices=[(one, one) for one in ("pause", "resume", "remove")], required=False
    )


class SignUpForm(UserCreationForm):
    class Meta:
        model = User
        fields = ["username"]


class CodeForm(forms.Form):
    """A code of an authenticator app, or a recovery code in its place."""

    code = forms.CharField(
        max_length=40,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "one-time-code",
                "autocapitalize": "none",
                "spellcheck": "false",
            }
        ),
    )


class OwnPasswordForm(forms.Form):
    """Shows that it is still the same person who sits there."""

    password = forms.CharField(
        max_length=4096,
        strip=False,
        label="Your password",
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class TokenForm(forms.Form):
    name = forms.CharField(max_length=100, help_text="What uses it, such as “export script”.")
    scopes = forms.MultipleChoiceField(
        choices=ApiToken.Scope.choices,
        widget=forms.CheckboxSelectMultiple,
        label="It may",
    )
    days = forms.TypedChoiceField(
        coerce=int,
        choices=[(7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "1 year")],
        initial=90,
        label="Expires after",
    )


# --- Adjudication ------------------------------------------------------------------------------


class DisputeFilterForm(forms.Form):
    after = forms.IntegerField(required=False, min_value=1)


class RulingForm(forms.Form):
    """A reviewer's answer to the annotators' two questions."""

    more_hallucinated = forms.ChoiceField(
        choices=Choice.choices, widget=forms.RadioSelect, label="Which hallucinates more?"
    )
    more_helpful = forms.ChoiceField(
        choices=[("", "Not asked"), *Choice.choices],
        required=False,
        label="Which is more helpful?",
        help_text="Only after “about the same”.",
    )
    note = forms.CharField(
        max_length=LONGEST_NOTE,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
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


# --- Quality -----------------------------------------------------------------------------------


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


# --- Data in and out --------------------------------------------------------------------------


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


class ImportForm(forms.ModelForm):
    class Meta:
        model = ImportJob
        fields = [
            "format",
            "records",
            "second_records",
            "images",
            "captions",
            "keep_labels",
            "skip_missing_images",
        ]
        labels = {
            "records": "File of records",
            "second_records": "Second answer file",
            "images": "Zip of images",
            "captions": "File of captions",
            "keep_labels": "Keep the labels that the file brings",
            "skip_missing_images": "Leave out records whose image is missing",
        }
        help_texts = {
            "records": "JSON lines, a JSON list, or Parquet with images.",
            "second_records": "The other model's answers, where two files are compared.",
            "captions": "JSON: image to caption or captions, for records without facts.",
            "images": "Not needed for images uploaded before, or inside a Parquet file.",
            "skip_missing_images": "Otherwise one missing image refuses the whole file.",
        }

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        format, second = given.get("format"), given.get("second_records")
        if format == ImportJob.Format.MMHAL and not second:
            self.add_error("second_records", "The second model's answer file is needed.")
        if format not in ImportJob.TWO_FILES and second:
            self.add_error("second_records", "This format takes one file.")
        return given

    def uploads(self) -> dict[str, Any]:
        """The fields of an ImportJob; its name is that of the files as they were called."""
        files = [self.cleaned_data["records"], self.cleaned_data["second_records"]]
        names = [re.sub(r"[\s,]+", " ", file.name) for file in files if file]
        return {**self.cleaned_data, "name": ", ".join(names)[:200]}


class ReleaseForm(forms.Form):
    held_out_percent = forms.IntegerField(
        initial=10,
        min_value=0,
        max_value=90,
        label="Held out, % of the images",
        help_text="Kept from training, to measure the reward model on.",
    )
    seed = forms.IntegerField(initial=0, help_text="The same seed splits the images the same way.")
    honesty_only = forms.BooleanField(
        required=False,
        label="Only where honesty decided",
        help_text="Leaves out pairs that tied in honesty and were decided by helpfulness.",
    )

    minimum_reliability = forms.FloatField(
        initial=0,
        min_value=0,
        max_value=1,
        required=False,
        help_text="Leaves out votes of annotators estimated to be right less often, 0 to 1.",
    )

    def options(self) -> dict[str, Any]:
        """The arguments of a release."""
        return {
            "seed": self.cleaned_data["seed"],
            "held_out_share": self.cleaned_data["held_out_percent"] / 100,
            "policy": {
                "honesty_only": self.cleaned_data["honesty_only"],
                "minimum_reliability": self.cleaned_data["minimum_reliability"] or 0.0,
            },
        }

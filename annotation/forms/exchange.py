"""Data in and out: imports and releases."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from django import forms

from annotation.models import ImportJob

LONGEST_NAMES = 200
"""Characters of the names of an import's files, together."""


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
            "leave_out_unusable",
        ]
        labels = {
            "records": "File of records",
            "second_records": "Second answer file",
            "images": "Zip of images",
            "captions": "File of captions",
            "keep_labels": "Keep the labels that the file brings",
            "skip_missing_images": "Leave out records whose image is missing",
            "leave_out_unusable": "Leave out records that cannot be used",
        }
        help_texts = {
            "records": "JSON lines, a JSON list, CSV, or Parquet with images.",
            "second_records": "The other model's answers, where two files are compared.",
            "captions": "JSON: image to caption or captions, for records without facts.",
            "images": "Not needed for images uploaded before, or inside a Parquet file.",
            "skip_missing_images": "Otherwise one missing image refuses the whole file.",
            "leave_out_unusable": "Also broken images, empty answers and broken lines; "
            "each is named in a list to download.",
        }

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        format, second = given.get("format"), given.get("second_records")
        if format == ImportJob.Format.MMHAL and not second:
            self.add_error("second_records", "The second model's answer file is needed.")
        if format not in ImportJob.TWO_FILES and second:
            self.add_error(
                "second_records",
                "This format takes one file. Answers of two models are compared side by side "
                "as MMHal-style answer files or as LLaVA conversations.",
            )
        return given

    def uploads(self) -> dict[str, Any]:
        """The fields of an ImportJob; its name is that of the files as they were called."""
        files = [self.cleaned_data["records"], self.cleaned_data["second_records"]]
        names = [" ".join(file.name.replace(",", " ").split()) for file in files if file]
        longest = LONGEST_NAMES // len(names) - len(", ")
        return {**self.cleaned_data, "name": ", ".join(_short(name, longest) for name in names)}


def _short(name: str, longest: int) -> str:
    """The name of a file with its suffix, which is no part of what it is called."""
    path = PurePath(name)
    return name if len(name) <= longest else f"{path.stem[: longest - 20]}{path.suffix[:20]}"


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

    without_machine_votes = forms.BooleanField(
        required=False,
        label="Without what a machine decided",
        help_text="Leaves out pairs that a certified machine decided and people have not.",
    )

    accept_chance_agreement = forms.BooleanField(
        required=False,
        label="Freeze it although annotators do not agree beyond chance",
        help_text="The release, and every model trained on it, will say so.",
    )

    def __init__(self, *args: Any, grave: bool, machine: bool = False, **kwargs: Any) -> None:
        """``grave``: whether the project's answers need that last tick; ``machine``: whether a
        machine has decided some."""
        super().__init__(*args, **kwargs)
        self.grave = grave
        if not machine:
            del self.fields["without_machine_votes"]
        if not grave:
            del self.fields["accept_chance_agreement"]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        # Without the votes of unreliable annotators the rest may well agree: freezing will tell.
        filtered = given.get("minimum_reliability")
        if self.grave and not filtered and not given.get("accept_chance_agreement"):
            self.add_error(
                "accept_chance_agreement", "Tick this to freeze answers that may be noise."
            )
        return given

    def options(self) -> dict[str, Any]:
        """The arguments of a release."""
        return {
            "seed": self.cleaned_data["seed"],
            "held_out_share": self.cleaned_data["held_out_percent"] / 100,
            "policy": {
                "honesty_only": self.cleaned_data["honesty_only"],
                "machine_votes": not self.cleaned_data.get("without_machine_votes", False),
                "minimum_reliability": self.cleaned_data["minimum_reliability"] or 0.0,
                "accept_chance_agreement": self.cleaned_data.get("accept_chance_agreement", False),
            },
        }

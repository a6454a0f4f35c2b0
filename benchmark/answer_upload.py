"""Answers that a model gave elsewhere, sent as a file: what the page and the API have in common."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from annotation import access as projects_access
from annotation.access import Permission
from annotation.errors import DomainError
from annotation.models import Project
from benchmark.importing import import_answers
from benchmark.models import Evaluation, Judge, QuestionSet

LARGEST_BYTES = 64 * 2**20


class AnswersForm(forms.Form):
    """A file of answers (or rewards) in the form of its benchmark, for a judge to rate."""

    project = forms.ModelChoiceField(Project.objects.none(), to_field_name="slug")
    question_set = forms.ModelChoiceField(QuestionSet.objects.all(), label="Benchmark")
    judge = forms.ModelChoiceField(Judge.objects.all())
    model_name = forms.CharField(
        max_length=200, label="Model", help_text="How the dashboard calls it."
    )
    answers = forms.FileField(
        help_text="JSON or JSON lines as the benchmark has them, joined by id and by all else that "
        "they carry."
    )
    leave_out_others = forms.BooleanField(
        required=False,
        label="Leave out answers to other questions",
        help_text="Else one answer to a question that the benchmark lacks refuses the file.",
    )

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        projects = projects_access.projects_where(user, Permission.MANAGE)
        self.fields["project"].queryset = projects  # type: ignore[attr-defined]

    def clean_answers(self) -> UploadedFile:
        sent: UploadedFile = self.cleaned_data["answers"]
        if (sent.size or 0) > LARGEST_BYTES:
            raise forms.ValidationError(f"At most {LARGEST_BYTES // 2**20} MiB.")
        return sent

    def start(self) -> Evaluation | None:
        """The evaluation, waiting for its judge; None, with the error on the form, for a file that
        is not taken."""
        chosen = dict(self.cleaned_data)
        sent = chosen.pop("answers")
        try:
            with tempfile.TemporaryDirectory() as folder:
                # Reasons name the file as the person knows it; Django has taken folders off.
                path = Path(folder) / sent.name
                with path.open("wb") as copy:
                    copy.writelines(sent.chunks())
                return import_answers(
                    chosen.pop("question_set"), path, created_by=self.user, **chosen
                )
        except DomainError as error:
            self.add_error("answers", str(error))
            return None

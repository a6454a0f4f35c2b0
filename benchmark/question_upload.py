"""A benchmark's questions, sent as files: what the page and the API have in common.

Pictures are decoded while the request waits, so large sets (thousands of photographs) are better
imported on the server, with ``manage.py import_questions``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from annotation.errors import DomainError
from annotation.image_sources import Archive, Folder, ImageSource
from annotation.images import BadImage
from benchmark import protocols, sources
from benchmark.importing import LONGEST_NAME, import_questions
from benchmark.models import QuestionSet

LARGEST_BYTES = 64 * 2**20
LARGEST_ARCHIVE_BYTES = 512 * 2**20
MOST_FILES = 8


class _Files(forms.ClearableFileInput):
    allow_multiple_selected = True


class _FilesField(forms.FileField):
    """Several files: "clean" gives a list."""

    widget = _Files

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        sent = data if isinstance(data, list | tuple) else [data]
        return [super(_FilesField, self).clean(one, initial) for one in sent]


class QuestionsForm(forms.Form):
    """The published files of a benchmark, and a zip of its pictures."""

    protocol = forms.ChoiceField(choices=protocols.choices, label="Benchmark")
    questions = _FilesField(
        label="Published files",
        help_text="Under their published names: for AMBER query_all.json, annotations.json, "
        "relation.json and safe_words.txt; for DASH-B both dash_benchmark files.",
    )
    images = forms.FileField(
        required=False, label="Zip of pictures", help_text="Named as the questions name them."
    )
    allow_missing = forms.BooleanField(
        required=False,
        label="Take questions whose picture is absent",
        help_text="Answers to them can be judged; a model cannot be asked.",
    )
    name = forms.CharField(
        max_length=LONGEST_NAME,
        required=False,
        help_text="How pages call it; empty for its own name.",
    )

    def clean_questions(self) -> list[UploadedFile]:
        sent: list[UploadedFile] = self.cleaned_data["questions"]
        if len(sent) > MOST_FILES:
            raise forms.ValidationError(f"At most {MOST_FILES} files.")
        if len({file.name for file in sent}) < len(sent):
            raise forms.ValidationError("Two of the files have the same name.")
        if sum(file.size or 0 for file in sent) > LARGEST_BYTES:
            raise forms.ValidationError(f"At most {LARGEST_BYTES // 2**20} MiB together.")
        return sent

    def clean_images(self) -> UploadedFile | None:
        sent: UploadedFile | None = self.cleaned_data["images"]
        if sent is not None and (sent.size or 0) > LARGEST_ARCHIVE_BYTES:
            limit = LARGEST_ARCHIVE_BYTES // 2**20
            raise forms.ValidationError(f"At most {limit} MiB; import more on the server.")
        return sent

    def start(self) -> list[QuestionSet]:
        """The question sets, one per file of questions; empty, with the error on the form, where
        one of them is not taken."""
        chosen = self.cleaned_data
        try:
            with tempfile.TemporaryDirectory() as folder:
                directory = Path(folder)
                _copy(chosen["questions"], directory)
                return self._imported(directory, _source(chosen["images"], directory))
        except BadImage as error:
            self.add_error("images", str(error))
        except DomainError as error:
            self.add_error("questions", str(error))
        return []

    def _imported(self, directory: Path, images: ImageSource) -> list[QuestionSet]:
        chosen = self.cleaned_data
        alone = len(chosen["questions"]) == 1
        path = directory / chosen["questions"][0].name if alone else directory
        return [
            import_questions(
                chosen["protocol"],
                file,
                images_from=images,
                allow_missing=chosen["allow_missing"],
                name=chosen["name"],
            )
            for file in sources.question_files(chosen["protocol"], path)
        ]


def _copy(files: Iterable[UploadedFile], directory: Path) -> None:
    """Under the names that people know them by; Django has taken folders off."""
    for file in files:
        with (directory / str(file.name)).open("wb") as copy:
            copy.writelines(file.chunks())


def _source(archive: UploadedFile | None, directory: Path) -> ImageSource:
    """Without an archive, a folder that holds no pictures."""
    if archive is None:
        empty = directory / "images"
        empty.mkdir()
        return Folder(empty)
    assert archive.file is not None
    return Archive(archive.file, str(archive.name))

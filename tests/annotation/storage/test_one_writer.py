"""Nothing but ``annotation.storage`` writes to storage or reads from it."""

import ast
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.core.files.storage import default_storage, storages
from django.db import models

from annotation import exporting, images, storage
from annotation.storage.folder import FolderStorage
from tests.factories import judge, make_comparison, make_project, picture_bytes

ROOT = Path(settings.BASE_DIR)
APART = ROOT / "annotation" / "storage"
READS_ITSELF = {"config/settings/files.py", "training/figures/health.py"}
"""Where MEDIA_ROOT is set, and where the room on its disk is measured."""


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for package in ("annotation", "benchmark", "config", "demo", "training"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if not path.is_relative_to(APART):
                yield path.relative_to(ROOT), ast.parse(path.read_text())


def bypasses(tree: ast.Module) -> Iterator[str]:
    fields = {
        field.name
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if isinstance(field, models.FileField)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            names = []
        for name in names:
            if name.startswith(("django.core.files.storage", "storages", "boto3", "botocore")):
                yield f"imports {name}"
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Attribute)
            and node.value.attr in fields
            and node.attr in ("open", "save", "read", "chunks", "path", "storage", "delete", "file")
        ):
            yield f"uses .{node.value.attr}.{node.attr}"
        if isinstance(node, ast.Attribute) and node.attr == "MEDIA_ROOT":
            yield "uses MEDIA_ROOT"


def test_no_other_module_reaches_storage() -> None:
    found = {
        f"{path}: {what}"
        for path, tree in modules()
        for what in bypasses(tree)
        if not (what == "uses MEDIA_ROOT" and str(path) in READS_ITSELF)
    }
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "from django.core.files.storage import default_storage",
        "import boto3",
        "image.file.open('rb')",
        "release.artefact.path",
        "settings.MEDIA_ROOT",
    ],
)
def test_a_module_that_does_is_found(source: str) -> None:
    assert list(bypasses(ast.parse(source)))


def test_every_field_and_the_settings_store_through_it() -> None:
    assert isinstance(storages["default"], FolderStorage)
    for model in apps.get_models():
        for field in model._meta.get_fields():
            if isinstance(field, models.FileField):
                assert field.storage is default_storage, f"{model.__name__}.{field.name}"


_watched: list[tuple[Path, list[str]]] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook stays for ever, so it looks at a list that is mostly empty."""
    if not _watched or event != "open" or not isinstance(arguments[0], str):
        return
    folder, found = _watched[-1]
    flags = arguments[2] or 0
    if flags & (os.O_WRONLY | os.O_RDWR) and Path(arguments[0]).is_relative_to(folder):
        found.append(str(Path(arguments[0]).relative_to(folder)))


@contextmanager
def opened_for_writing(folder: Path) -> Iterator[list[str]]:
    found: list[str] = []
    sys.addaudithook(_watch)
    _watched.append((folder, found))
    try:
        yield found
    finally:
        _watched.pop()


@pytest.mark.django_db
def test_no_file_is_opened_for_writing_under_its_name(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "storage"
    with opened_for_writing(tmp_path) as found:
        project = make_project(k=1)
        image = images.store(picture_bytes())
        judge(make_comparison(project))
        release = exporting.make_release(project)
        exporting.write_folder(release, tmp_path / "out", "llava_rlhf")
    assert len(found) >= 3 + len(list((tmp_path / "out").rglob("*.*")))
    assert {name for name in found if ".unfinished" not in name} == set()
    assert storage.holds(image.file.name, storage.Fingerprint(image.sha256, image.bytes))

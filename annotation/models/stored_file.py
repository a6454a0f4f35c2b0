"""A file in storage that a row names: its address is the row's, whose page says who may read it.

Storage itself hands nothing out (``annotation.storage``): what it gave would be neither compared
with its hash nor kept from anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import models
from django.db.models.fields.files import FieldFile


class StoredFieldFile(FieldFile):
    @property
    def url(self) -> str:
        address: str = self.instance.get_absolute_url()  # type: ignore[attr-defined]
        return address


class StoredFileField(models.FileField):
    """To the database, and so to migrations, Django's own."""

    attr_class = StoredFieldFile

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, _, arguments, named = super().deconstruct()
        return name, "django.db.models.FileField", arguments, named

"""What the backends share: names of files that are not finished, and content that is announced."""

from __future__ import annotations

import uuid
from pathlib import PurePosixPath
from typing import Any

from django.core.files import File

from annotation.storage.whole_files import UNFINISHED, Fingerprint


class Announced(File):
    """Content whose fingerprint is known before it is read."""

    def __init__(self, content: Any, fingerprint: Fingerprint) -> None:
        super().__init__(getattr(content, "file", content), getattr(content, "name", None))
        self.fingerprint = fingerprint


def announced(content: Any) -> Fingerprint | None:
    return content.fingerprint if isinstance(content, Announced) else None


def unfinished(name: str) -> str:
    """Where content waits until it is checked: below the same folder of storage, which may be a
    disk of its own. The suffix stays, from which a bucket guesses the type."""
    top, _, rest = name.partition("/")
    folder = f"{top}/{UNFINISHED}" if rest else UNFINISHED
    return f"{folder}/{uuid.uuid4().hex}{PurePosixPath(name).suffix[:20]}"

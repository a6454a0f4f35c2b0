"""What lies in storage, asked of the disk or bucket itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from django.conf import settings
from django.core.files.storage import default_storage


def stored_files() -> Iterator[PurePosixPath]:
    """Everything in storage that has its final name; asked of the disk or bucket itself."""
    bucket = _bucket()
    if bucket is not None:
        found = [PurePosixPath(one.key) for one in bucket.objects.all()]
    else:
        root = Path(settings.MEDIA_ROOT)
        found = [
            PurePosixPath(path.relative_to(root)) for path in root.rglob("*") if path.is_file()
        ]
    yield from (name for name in found if ".unfinished" not in name.parts)


def content(name: object) -> bytes:
    """What lies in storage under a name; nothing where nothing does."""
    bucket = _bucket()
    if bucket is not None:
        try:
            found: bytes = bucket.Object(str(name)).get()["Body"].read()
        except bucket.meta.client.exceptions.NoSuchKey:
            return b""
        return found
    path = Path(settings.MEDIA_ROOT, str(name))
    return path.read_bytes() if path.is_file() else b""


def take_away(name: object) -> None:
    bucket = _bucket()
    if bucket is not None:
        bucket.Object(str(name)).delete()
    else:
        Path(settings.MEDIA_ROOT, str(name)).unlink(missing_ok=True)


def _bucket() -> Any:
    """boto3's own view of it where storage is one; None where it is a folder."""
    return getattr(default_storage, "bucket", None)


def named_by_their_hash() -> list[str]:
    """Images and artefacts of releases that are not what their names say."""
    return [
        f"{name.name} has other content"
        for name in stored_files()
        if name.parts[-3] in ("images", "releases")
        and hashlib.sha256(content(name)).hexdigest() != name.stem
    ]

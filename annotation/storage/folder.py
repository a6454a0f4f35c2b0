"""Storage in a folder, as a backend of Django: whatever is saved is whole or absent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.files.storage import FileSystemStorage

from annotation.storage.naming import announced, unfinished
from annotation.storage.trouble import in_words
from annotation.storage.whole_files import write_whole

SETTING = "FACTLOOP_VAR (its disk and its owner)"


@contextmanager
def _in_words() -> Iterator[None]:
    with in_words("storage", SETTING):
        yield


class FolderStorage(FileSystemStorage):
    """A later file of the same name takes the earlier one's place. Raises StorageTrouble."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"allow_overwrite": True, **options})

    def _save(self, name: str, content: File[bytes]) -> str:
        with _in_words():
            content.seek(0)
            path = Path(self.path(name))
            write_whole(
                path,
                content.chunks(),
                part=Path(self.path(unfinished(name))),
                expected=announced(content),
                mode=self.file_permissions_mode,
            )
        return name

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        with _in_words():
            return super()._open(name, mode)  # type: ignore[misc]

    def url(self, name: str | None, *_: Any, **__: Any) -> str:
        """Whoever reads a file asks the page of its row (annotation.models.stored_file)."""
        raise ValueError(f"{name} has no address of its own")

    def delete(self, name: str) -> None:
        with _in_words():
            super().delete(name)

    def exists(self, name: str) -> bool:
        with _in_words():
            return super().exists(name)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        with _in_words():
            return super().listdir(path)

    def size(self, name: str) -> int:
        with _in_words():
            return super().size(name)

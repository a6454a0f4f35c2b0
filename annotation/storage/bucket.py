"""Storage in a bucket that speaks S3, as a backend of Django: what is saved is whole or absent.

Servers that call themselves S3-compatible differ. Some store boto3's framing of checksums as if it
were content, so none is sent unless an operation needs it, and nothing is believed that was not
read back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from django.conf import settings
from django.core.files import File
from storages.backends.s3 import S3Storage
from storages.utils import clean_name

from annotation.storage.bucket_words import explained
from annotation.storage.naming import announced, unfinished
from annotation.storage.trouble import StorageTrouble
from annotation.storage.whole_files import Fingerprint, Meter, compare, fingerprint_of

MEMORY_BYTES = 32 * 2**20
"""What is read goes to a temporary file beyond this; a checkpoint fills no memory."""
COPIED_AT_ONCE_BYTES = 2**30
NO_COPIES = (200, 400, 405, 500, 501)
"""How servers answer that make no copies; those that do say 403, 404 or 503 when they fail."""
LONGEST_CONNECT_SECONDS = 5.0
ATTEMPTS = 3
CHECKSUMS = {
    "request_checksum_calculation": "AWS_REQUEST_CHECKSUM_CALCULATION",
    "response_checksum_validation": "AWS_RESPONSE_CHECKSUM_VALIDATION",
}


class BucketStorage(S3Storage):
    """A later file of the same name takes the earlier one's place. Raises StorageTrouble."""

    copies = True
    """False once the server has shown that it makes no copies of an object."""

    def __init__(self, **options: Any) -> None:
        defaults = {"file_overwrite": True, "max_memory_size": MEMORY_BYTES}
        super().__init__(**{**defaults, **options})
        chosen = {name: os.environ.get(of, "when_required") for name, of in CHECKSUMS.items()}
        patient = Config(**chosen, **_patience())
        self.client_config = patient.merge(self.client_config)  # type: ignore[has-type]

    def _save(self, name: str, content: File[bytes]) -> str:
        with self._in_words():
            expected = announced(content) or _measured(content)
            part = unfinished(name)
            try:
                self._put(part, content, expected)
                self._place(part, name, content, expected)
            finally:
                with suppress(Exception):
                    super().delete(part)
        return clean_name(name)

    def _put(self, name: str, content: File[bytes], expected: Fingerprint) -> None:
        """An object appears under its name when all of it has arrived; then it is read back."""
        super()._save(name, content)
        compare(name, expected, self._fingerprint(name))

    def _place(self, part: str, name: str, content: File[bytes], expected: Fingerprint) -> None:
        """Give what lies under ``part`` its name, by a copy that the server makes at once."""
        try:
            if not (self.copies and self._is_copied(part, name, expected)):
                self.copies = False
                self._put(name, content, expected)
        except StorageTrouble:
            super().delete(name)
            raise

    def _is_copied(self, part: str, name: str, expected: Fingerprint) -> bool:
        """False if the server makes no copies, or none that is what it copied: whatever it says of
        the object (its hash, its size, 200 for an empty one), the content is read back."""
        try:
            self._copy(part, name, expected.size)
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in NO_COPIES:
                return False
            raise
        return self._fingerprint(name) == expected

    def _copy(self, part: str, name: str, size: int) -> None:
        source = {"Bucket": self.bucket_name, "Key": self._key(part)}
        target = self.bucket.Object(self._key(name))
        if size <= COPIED_AT_ONCE_BYTES:
            target.copy_from(CopySource=source)
        else:
            target.copy(source, Config=TransferConfig(multipart_threshold=COPIED_AT_ONCE_BYTES))

    def _fingerprint(self, name: str) -> Fingerprint:
        meter = Meter()
        self.bucket.Object(self._key(name)).download_fileobj(meter, Config=self.transfer_config)
        return meter.reading()

    def _key(self, name: str) -> str:
        return str(self._normalize_name(clean_name(name)))

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        with self._in_words():
            opened = super()._open(name, mode)
            if "r" in mode:
                # Fetched now: whoever reads it later meets no trouble that has other names.
                _ = opened.file
            return opened

    def url(self, name: str | None, *_: Any, **__: Any) -> str:
        """Whoever reads a file asks the page of its row (annotation.models.stored_file)."""
        raise ValueError(f"{name} has no address of its own")

    def delete(self, name: str) -> None:
        with self._in_words():
            super().delete(name)

    def exists(self, name: str) -> bool:
        with self._in_words():
            return bool(super().exists(name))

    def listdir(self, name: str) -> tuple[list[str], list[str]]:
        with self._in_words():
            return super().listdir(name)

    def size(self, name: str) -> int:
        with self._in_words():
            return int(super().size(name))

    def get_modified_time(self, name: str) -> Any:
        with self._in_words():
            return super().get_modified_time(name)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, StorageTrouble):
            raise
        except Exception as error:
            said = explained(error)
            if said is None:
                raise
            raise StorageTrouble(said) from error


def _patience() -> dict[str, Any]:
    """boto3's own is a minute, five times: a few pictures would hold every web worker."""
    seconds = settings.S3_TIMEOUT_SECONDS
    times = {
        "connect_timeout": min(seconds, LONGEST_CONNECT_SECONDS),
        "read_timeout": seconds,
    }
    chosen = "AWS_MAX_ATTEMPTS" in os.environ  # Read by boto3 itself.
    return times if chosen else {**times, "retries": {"total_max_attempts": ATTEMPTS}}


def _measured(content: File[bytes]) -> Fingerprint:
    content.seek(0)
    return fingerprint_of(content)

"""Why a request cannot be carried out, said by the domain in words meant for people.

Pages show ``str(error)``; the API answers with ``status`` and problem details (RFC 9457).
"""

from __future__ import annotations

from typing import Any


class DomainError(Exception):
    """Base of all; ``extra`` holds members that programs may want to read."""

    status = 400
    title = "The request cannot be carried out"

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra = extra

"""What a judge's endpoint sends back: its body within limits, its text, what it billed.

It comes from outside: nothing in it may cost more memory than a verdict is worth, or fail a verdict
that was paid for.
"""

from __future__ import annotations

import email.utils
import json
import time
import zlib
from dataclasses import dataclass
from typing import Any

import httpx

from config.sanitising import finite_number, storable, whole_number

LARGEST_REPLY_BYTES = 1 << 20
"""Of a reply, as it comes and unpacked."""
_LONGEST_RETRY_AFTER = 86_400.0
_CUT = {"length", "max_tokens", "max_output_tokens", "max_length", "model_length", "incomplete"}
_SPOKEN = {"text", "output_text"}
"""Parts of a reply that are no thoughts."""
_WITHHELD = {"content_filter", "safety", "recitation"}
WORDS_LOOKED_AT = 4000


class Again(Exception):
    """A reply worth another try; ``after_seconds`` is what the endpoint asked for, ``tokens`` what
    it billed all the same."""

    def __init__(self, reason: str, after_seconds: float | None = None, tokens: int = 0) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds
        self.tokens = tokens


@dataclass(frozen=True)
class Reply:
    """What a judge said, the tokens that it was billed for, and whether the limit cut it."""

    text: str
    tokens: int
    cut: bool


def read(response: httpx.Response) -> bytes:
    """The body within its limit of size.

    An encoding is not undone in one go, as the client would: three kilobytes of nested gzip are
    four gigabytes.
    """
    content = bytearray()
    unpack = _Unpacker(response.headers.get("content-encoding", ""))
    # What comes is counted too: much of it may unpack to nothing, and zlib keeps, and copies for
    # each further piece, what follows the end of what was packed.
    came = 0
    for chunk in response.iter_raw():
        came += len(chunk)
        content += unpack(chunk, LARGEST_REPLY_BYTES + 1 - len(content))
        if max(came, len(content)) > LARGEST_REPLY_BYTES:
            raise Again("a reply of more than 1 MiB")
    return bytes(content)


class _Unpacker:
    """Undoes one layer of gzip or deflate, a bounded piece at a time; refuses anything else."""

    def __init__(self, encoding: str) -> None:
        name = encoding.strip().lower()
        if name not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise Again("a reply that is packed in a way nobody asked for")
        self._zlib = None if name in ("", "identity") else zlib.decompressobj(zlib.MAX_WBITS | 32)

    def __call__(self, data: bytes, most: int) -> bytes:
        if self._zlib is None:
            return data
        try:
            return self._zlib.decompress(data, most)
        except zlib.error:
            raise Again("a reply that is packed badly") from None


def reply_of(response: httpx.Response, content: bytes) -> Reply:
    try:
        # However many digits a count has, the verdict beside it was paid for.
        data = json.loads(content, parse_int=float)
        tokens = _billed(data.get("usage"))
        choice = data["choices"][0]
        said = choice["message"].get("content") or choice["message"].get("refusal")
        ended = str(choice.get("finish_reason")).lower()
        cut = ended in _CUT
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        raise Again(f"a reply that is no chat completion: {excerpt(content)}") from None
    if isinstance(said, list):
        parts = (part for part in said if isinstance(part, dict))
        said = "".join(
            str(part.get("text", "")) for part in parts if str(part.get("type", "text")) in _SPOKEN
        )
    text = storable(said) if isinstance(said, str) else ""
    if not text.strip() and ended in _WITHHELD:
        text = f"(The endpoint withheld its reply: {ended}.)"
    if not text.strip() and not cut:
        raise Again("a reply without text", tokens=tokens)
    return Reply(text, tokens, cut)


def _billed(usage: Any) -> int:
    """The tokens that an endpoint says it billed, in all or asked and answered apart; what it
    writes there costs no verdict."""
    if not isinstance(usage, dict):
        return 0
    total = whole_number(usage.get("total_tokens"))
    return total or sum(
        next((count for name in names if (count := whole_number(usage.get(name)))), 0)
        for names in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
    )


def retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("retry-after", "")
    seconds = finite_number(value, least=0, most=_LONGEST_RETRY_AFTER)
    if seconds is not None:
        return seconds
    try:
        moment = email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, moment - time.time()), _LONGEST_RETRY_AFTER)


def excerpt(content: bytes) -> str:
    """The endpoint's own words, out of the JSON that they mostly stand in."""
    text = storable(" ".join(_message_in(content).split()))
    return text[:200] or "(nothing)"


def _message_in(content: bytes) -> str:
    try:
        said = json.loads(content, parse_int=float)
    except (ValueError, RecursionError):
        said = None
    for name in ("error", "message", "detail"):
        if isinstance(said, dict) and isinstance(said.get(name), (str, dict)):
            said = said[name]
    return said if isinstance(said, str) else content.decode(errors="replace")

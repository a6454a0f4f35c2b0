"""JSON in a form of a page, read as the REST API reads its bodies."""

from __future__ import annotations

import json
from typing import Any

from django import forms

from config.sanitising import MOST_NESTING, NotJson, find_unstorable, parse_json


class _Decoder(json.JSONDecoder):
    def decode(self, text: str, *_: Any) -> Any:
        try:
            found = parse_json(text)
        except NotJson as error:
            raise json.JSONDecodeError(str(error), "", 0) from None
        if find_unstorable(found) is not None:
            raise json.JSONDecodeError("holds characters that cannot be stored", "", 0)
        return found


class JSONField(forms.JSONField):
    """The one for forms: Django's own answers JSON nested without end, and numbers of 5,000 digits,
    with an error of the server, and takes texts that no row can hold."""

    default_error_messages = {
        "invalid": f"This is no JSON that can be kept: at most {MOST_NESTING} levels, numbers of "
        "64 bits, each name once, and no NUL."
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "decoder": _Decoder})

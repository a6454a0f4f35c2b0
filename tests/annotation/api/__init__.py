"""A client of the API for tests: a person's token, JSON in, JSON out."""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.http import HttpResponse
from django.test import Client

from annotation.models import User
from tests.factories import make_token


class Api:
    """Calls paths below /api/v1/ in the name of ``user`` with all scopes, or those named."""

    def __init__(self, user: User | None, *scopes: str) -> None:
        headers = {"Authorization": f"Bearer {make_token(user, *scopes)}"} if user else {}
        self.client = Client(headers=headers)

    def get(self, path: str, **parameters: Any) -> HttpResponse:
        return self.client.get(f"/api/v1/{path}", parameters)

    def post(self, path: str, body: Any = None, **headers: str) -> HttpResponse:
        return self._send("post", path, {} if body is None else body, headers)

    def put(self, path: str, body: Any) -> HttpResponse:
        return self._send("put", path, body, {})

    def patch(self, path: str, body: Any) -> HttpResponse:
        return self._send("patch", path, body, {})

    def delete(self, path: str) -> HttpResponse:
        return self.client.delete(f"/api/v1/{path}")

    def upload(self, path: str, data: bytes, kind: str = "image/png") -> HttpResponse:
        return self.client.generic("POST", f"/api/v1/{path}", data, content_type=kind)

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> HttpResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        send = getattr(self.client, method)
        return send(f"/api/v1/{path}", text, content_type="application/json", headers=headers)


def answer(more_hallucinated: str = "2", **fields: Any) -> dict[str, Any]:
    return {"client_uuid": str(uuid.uuid4()), "more_hallucinated": more_hallucinated, **fields}


def record(image: str, **fields: Any) -> dict[str, Any]:
    """A pair without a label, about a stored image."""
    return {
        "id": "r1",
        "image": image,
        "conversations": [
            {"from": "human", "value": "<image>\nWhat is it?"},
            {"from": "gpt", "value": ""},
        ],
        "output_1": {"from": "a", "value": "A cat."},
        "output_2": {"from": "b", "value": "A dog."},
        "captions": ["a cat"],
        **fields,
    }


def body_of(response: Any) -> bytes:
    """What a streaming answer holds."""
    return b"".join(response.streaming_content)

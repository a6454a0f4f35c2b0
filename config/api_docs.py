"""The reference of the REST API as a page of this site, made from the same schema that it serves.

The usual viewers load themselves from elsewhere or write scripts into the page, which the
Content-Security-Policy refuses; this one is a template and needs no script at all.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET
from drf_spectacular.generators import SchemaGenerator

METHODS = ("get", "post", "put", "patch", "delete")
Schema = dict[str, Any]


@dataclass(frozen=True)
class Field:
    """A parameter, or a member of a JSON object; nested members are named with dots."""

    name: str
    type: str
    required: bool
    description: str


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    anchor: str
    description: str
    parameters: list[Field] = field(default_factory=list)
    body: list[Field] = field(default_factory=list)
    answers: list[tuple[str, list[Field]]] = field(default_factory=list)
    """(status, members of the answer)."""


@login_required
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    return render(request, "api_docs.html", {"operations": operations()})


@cache
def operations() -> SafeString:
    """All of the page that is the same for everybody: 2,000 rows, rendered once in a process."""
    return render_to_string("components/_api_operations.html", {"groups": groups()})


@cache
def groups() -> list[tuple[str, list[Operation]]]:
    """Operations by the first part of their path. The schema changes only with the program."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    found: dict[str, list[Operation]] = defaultdict(list)
    for path, methods in schema["paths"].items():
        for method in METHODS:
            if method in methods:
                tag = (methods[method].get("tags") or ["other"])[0]
                found[tag].append(_operation(schema, method, path, methods[method]))
    return sorted(found.items())


def _operation(schema: Schema, method: str, path: str, described: Schema) -> Operation:
    return Operation(
        method=method,
        path=path,
        anchor=described["operationId"],
        description=described.get("description", ""),
        parameters=[
            Field(
                one["name"],
                _type(schema, one.get("schema", {})),
                one.get("required", False),
                one.get("description", ""),
            )
            for one in described.get("parameters", [])
        ],
        body=_members(schema, _json(described.get("requestBody", {}))),
        answers=[
            (status, _members(schema, _json(answer)))
            for status, answer in described["responses"].items()
        ],
    )


def _json(part: Schema) -> Schema:
    content = part.get("content", {})
    return content.get("application/json", {}).get("schema", {})


def _resolved(schema: Schema, part: Schema) -> Schema:
    """What a reference points to; a nullable reference stands alone in ``allOf`` or ``oneOf``."""
    for wrapper in ("allOf", "oneOf"):
        if part.get(wrapper):
            return _resolved(schema, part[wrapper][0])
    if "$ref" in part:
        return schema["components"]["schemas"][part["$ref"].rsplit("/", 1)[1]]
    return part


def _members(schema: Schema, part: Schema) -> list[Field]:
    part = _resolved(schema, part)
    if part.get("type") == "array":
        part = _resolved(schema, part["items"])
    required = part.get("required", [])
    return [
        Field(name, _type(schema, one), name in required, one.get("description", ""))
        for name, one in part.get("properties", {}).items()
    ]


def _type(schema: Schema, part: Schema) -> str:
    nullable = " or null" if part.get("nullable") else ""
    part = _resolved(schema, part)
    if part.get("type") == "array":
        return f"list of {_type(schema, part.get('items', {}))}{nullable}"
    if "enum" in part:
        return " | ".join(str(value) for value in part["enum"]) + nullable
    name = part.get("format") or part.get("type") or "any"
    return str(name) + nullable

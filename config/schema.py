"""The OpenAPI document, made once for each form in which it is asked for: it costs two seconds."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request


class Schema(SpectacularAPIView):
    """Open to everybody, unless API_SCHEMA_NEEDS_LOGIN is set."""

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        kind = type(request.accepted_renderer)
        answer = HttpResponse(
            _rendered(kind.format), content_type=f"{kind.media_type}; charset=utf-8"
        )
        answer["Content-Disposition"] = f'inline; filename="FactLoop.{kind.format}"'
        return answer


@cache
def _rendered(form: str) -> bytes:
    [kind] = [one for one in Schema.renderer_classes if one.format == form][:1]
    # The same for everybody: it says what can be asked for, not what this person may.
    document = SchemaGenerator().get_schema(request=None, public=True)
    rendered = kind().render(document, renderer_context={})
    return rendered if isinstance(rendered, bytes) else rendered.encode()

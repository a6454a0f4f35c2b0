"""Images, to members of a project that shows them."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpRequest
from django.shortcuts import get_object_or_404
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET

from annotation import access
from annotation.models import Image


@login_required
@require_GET
@cache_control(private=True, immutable=True, max_age=30 * 24 * 3600)
def image(request: HttpRequest, sha256: str) -> FileResponse:
    """The stored bytes; an address names its content, so a browser may keep it."""
    found = get_object_or_404(access.visible(request.user, Image.objects.all()), sha256=sha256)
    return FileResponse(found.file.open("rb"), content_type=found.content_type)

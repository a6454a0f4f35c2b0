"""REST of pictures: uploading one, and fetching one of your projects."""

from __future__ import annotations

from typing import IO, Any

from django.http import FileResponse, Http404, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access, images
from annotation.api.base import KnownParameters, idempotent
from annotation.api.serializers import ImageSerializer
from annotation.images import MOST_BYTES
from annotation.models import Image, ImageUpload


class RawParser(BaseParser):
    """The body as it is; one byte more than the most that is taken, to see that it is too long."""

    media_type = "*/*"

    def parse(self, stream: IO[bytes], media_type: Any = None, parser_context: Any = None) -> Any:
        return stream.read(MOST_BYTES + 1)


class ProjectImages(KnownParameters, APIView):
    """Uploads a picture: the body is the file itself."""

    scopes = {"POST": "manage"}
    parser_classes = [RawParser]

    @extend_schema(
        request={"image/png": OpenApiTypes.BINARY, "image/jpeg": OpenApiTypes.BINARY},
        responses={201: ImageSerializer},
    )
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        project = access.require(request.user, slug, "manage")
        image = images.store(request.data if isinstance(request.data, bytes) else b"")
        ImageUpload.objects.get_or_create(project=project, image=image)
        return Response(ImageSerializer(image).data, status=status.HTTP_201_CREATED)


class ImageFile(KnownParameters, APIView):
    """A picture of one of your projects, or a small copy of it."""

    scopes = {"GET": "read"}
    parameters = frozenset({"variant"})

    @extend_schema(
        parameters=[
            OpenApiParameter(
                "variant",
                enum=["thumbnail"],
                description="For lists: at most 224 pixels a side, as JPEG where that is smaller.",
            )
        ],
        responses={
            (200, "image/png"): OpenApiTypes.BINARY,
            (200, "image/jpeg"): OpenApiTypes.BINARY,
        },
    )
    def get(self, request: Request, sha256: str) -> HttpResponse | FileResponse:
        variant = request.query_params.get("variant", "")
        if variant not in ("", "thumbnail"):
            raise ValidationError({"variant": "There is no such variant."})
        image = access.visible(request.user, Image.objects.filter(sha256=sha256)).first()
        if image is None:
            raise Http404
        response = image_response(image, thumbnail=bool(variant))
        response["Cache-Control"] = "private, max-age=31536000, immutable"
        response["Content-Security-Policy"] = "default-src 'none'"
        response["ETag"] = f'"{image.sha256}{variant}"'
        return response


def image_response(image: Image, *, thumbnail: bool) -> HttpResponse | FileResponse:
    """The stored file, or its small copy."""
    if thumbnail and (small := images.thumbnail(image)) is not None:
        return HttpResponse(small, content_type="image/jpeg")
    return FileResponse(images.opened(image), content_type=image.content_type)

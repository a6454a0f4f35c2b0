"""REST of data: images and comparisons in, releases out."""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpResponse, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access, exporting, images, importing
from annotation.api.base import ById, KnownParameters, idempotent, user_of
from annotation.api.serializers import (
    MOST_RECORDS,
    ComparisonSerializer,
    ComparisonsInSerializer,
    ImageSerializer,
    ImportedSerializer,
    PromptsInSerializer,
    ReleaseInSerializer,
    ReleaseSerializer,
)
from annotation.images import MOST_BYTES, Stored
from annotation.models import Comparison, Image, Project, Release
from annotation.record_files import BadField, Problem
from annotation.records import PairIn, PromptIn, parse_pair, parse_prompt


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
        access.require(request.user, slug, "manage")
        image = images.store(request.data if isinstance(request.data, bytes) else b"")
        return Response(ImageSerializer(image).data, status=status.HTTP_201_CREATED)


class ImageFile(KnownParameters, APIView):
    """A picture of one of your projects."""

    scopes = {"GET": "read"}

    @extend_schema(
        responses={
            (200, "image/png"): OpenApiTypes.BINARY,
            (200, "image/jpeg"): OpenApiTypes.BINARY,
        }
    )
    def get(self, request: Request, sha256: str) -> HttpResponse | FileResponse:
        image = access.visible(request.user, Image.objects.filter(sha256=sha256)).first()
        if image is None:
            raise Http404
        return image_response(image)


def image_response(image: Image) -> FileResponse:
    """The file with headers for a thing that never changes and is not for everybody."""
    response = FileResponse(image.file.open("rb"), content_type=image.content_type)
    response["Cache-Control"] = "private, max-age=31536000, immutable"
    response["Content-Security-Policy"] = "default-src 'none'"
    response["ETag"] = f'"{image.sha256}"'
    return response


class Comparisons(KnownParameters, generics.ListAPIView):
    """The comparisons of a project, with what became of them."""

    scopes = {"GET": "read", "POST": "manage"}
    parameters = frozenset({"outcome", "source"})
    serializer_class = ComparisonSerializer
    pagination_class = ById
    queryset = Comparison.objects.none()

    def get_queryset(self) -> QuerySet[Comparison]:
        project = access.require(self.request.user, self.kwargs["slug"], "review")
        comparisons = project.comparisons.select_related("prompt__image")
        outcome = self.request.query_params.get("outcome")
        if outcome is not None:
            if outcome not in Comparison.Outcome.values:
                known = ", ".join(Comparison.Outcome.values)
                raise ValidationError({"outcome": f"Must be one of {known}."})
            comparisons = comparisons.filter(outcome=outcome)
        source = self.request.query_params.get("source")
        return comparisons if source is None else comparisons.filter(source=source)

    @extend_schema(
        parameters=[
            OpenApiParameter("outcome", enum=Comparison.Outcome.values),
            OpenApiParameter("source", description="An import or a run, as written on it."),
        ]
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(request=ComparisonsInSerializer, responses={201: ImportedSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        """Adds comparisons: all of them, or none and every fault is named."""
        project = access.require(request.user, slug, "manage")
        return _add(request, project, "comparisons", parse_pair)


class Prompts(KnownParameters, APIView):
    """Adds prompts without responses, to train and to sample with."""

    scopes = {"POST": "manage"}

    @extend_schema(request=PromptsInSerializer, responses={201: ImportedSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        project = access.require(request.user, slug, "manage")
        return _add(request, project, "prompts", parse_prompt)


def _add(
    request: Request,
    project: Project,
    name: str,
    parse: Callable[[int, Any], PairIn | PromptIn],
) -> Response:
    given = request.data.get(name) if isinstance(request.data, dict) else None
    if not isinstance(given, list) or not given:
        raise ValidationError({name: "Must be a list of records."})
    if len(given) > MOST_RECORDS:
        raise ValidationError({name: f"Must be at most {MOST_RECORDS} records at a time."})
    records: list[PairIn | PromptIn] = []
    problems = []
    for line, value in enumerate(given, start=1):
        try:
            records.append(parse(line, value))
        except BadField as error:
            problems.append(Problem(line, error.field, error.reason))
    if problems:
        raise importing.ImportRefused(problems)
    options = importing.Options(source=f"api {user_of(request).username}")
    done = importing.import_records(project, records, Stored(), options)
    warnings = [warning.to_json() for warning in done.warnings]
    counts = {"created": done.created, "unchanged": done.unchanged}
    return Response({**counts, "warnings": warnings}, status=status.HTTP_201_CREATED)


class Releases(KnownParameters, generics.ListAPIView):
    """The frozen exports of a project."""

    scopes = {"GET": "read", "POST": "manage"}
    serializer_class = ReleaseSerializer
    pagination_class = ById
    queryset = Release.objects.none()

    def get_queryset(self) -> QuerySet[Release]:
        project = access.require(self.request.user, self.kwargs["slug"], "review")
        return project.releases.select_related("project")

    @extend_schema(request=ReleaseInSerializer, responses={201: ReleaseSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        """Freezes what is decided now. Refused while nothing is."""
        project = access.require(request.user, slug, "manage")
        asked = ReleaseInSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        release = exporting.make_release(
            project, created_by=user_of(request), **asked.validated_data
        )
        return Response(ReleaseSerializer(release).data, status=status.HTTP_201_CREATED)


def _release(request: Request, pk: int) -> Release:
    release = access.visible(request.user, Release.objects.select_related("project")).filter(pk=pk)
    found = release.first()
    if found is None:
        raise Http404
    access.require(request.user, found.project, "review")
    return found


class ReleaseDetail(KnownParameters, APIView):
    """A release: what is in it and how to be sure that it is the same one."""

    scopes = {"GET": "read"}

    @extend_schema(responses=ReleaseSerializer)
    def get(self, request: Request, pk: int) -> Response:
        return Response(ReleaseSerializer(_release(request, pk)).data)


class ReleaseFolder(KnownParameters, APIView):
    """A release with its images as a zip stream: the same bytes each time."""

    scopes = {"GET": "read"}
    parameters = frozenset({"format"})

    @extend_schema(
        parameters=[
            OpenApiParameter("format", enum=list(exporting.FOLDER_FORMATS), default="datasets")
        ],
        responses={(200, "application/zip"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, pk: int) -> StreamingHttpResponse:
        release = _release(request, pk)
        format = request.query_params.get("format", "datasets")
        chunks = exporting.stream_folder(release, format)
        response = StreamingHttpResponse(chunks, content_type="application/zip")
        name = exporting.folder_filename(release, format)
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        response["ETag"] = f'"{release.sha256}-{format}-folder"'
        return response


class ReleaseRecords(KnownParameters, APIView):
    """The records of a release as a stream: the same bytes each time."""

    scopes = {"GET": "read"}
    parameters = frozenset({"format", "split"})

    @extend_schema(
        parameters=[
            OpenApiParameter("format", enum=list(exporting.FORMATS), default="llava_rlhf"),
            OpenApiParameter("split", enum=list(exporting.SPLITS)),
        ],
        responses={
            (200, "application/jsonl"): OpenApiTypes.BINARY,
            (200, "text/csv"): OpenApiTypes.BINARY,
        },
    )
    def get(self, request: Request, pk: int) -> StreamingHttpResponse:
        release = _release(request, pk)
        format = request.query_params.get("format", "llava_rlhf")
        split = request.query_params.get("split")
        chunks = exporting.stream(release, format, split)
        response = StreamingHttpResponse(chunks, content_type=exporting.content_type(format))
        name = exporting.filename(release, format, split)
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        response["ETag"] = f'"{release.sha256}-{format}-{split or "all"}"'
        return response

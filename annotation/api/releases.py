"""REST of releases: freezing one, and what is in it, as a stream."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import Http404, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access, exporting
from annotation.api.base import (
    ARCHIVED_PARAMETER,
    ById,
    KnownParameters,
    archived_of,
    idempotent,
    user_of,
)
from annotation.models import Release
from annotation.releases import freezing


class PolicySerializer(serializers.Serializer):
    minimum_margin = serializers.FloatField(required=False, min_value=0, max_value=1)
    minimum_reliability = serializers.FloatField(required=False, min_value=0, max_value=1)
    honesty_only = serializers.BooleanField(required=False)
    imported_labels = serializers.BooleanField(required=False)
    machine_votes = serializers.BooleanField(required=False)
    accept_chance_agreement = serializers.BooleanField(
        required=False, help_text="Freeze it although agreement is not above chance."
    )


class ReleaseInSerializer(serializers.Serializer):
    policy = PolicySerializer(required=False)
    seed = serializers.IntegerField(required=False, min_value=-(2**63), max_value=2**63 - 1)
    held_out_share = serializers.FloatField(required=False, min_value=0, max_value=0.9)


class ReleaseSerializer(serializers.ModelSerializer):
    project = serializers.CharField(source="project.slug")

    class Meta:
        model = Release
        fields = [
            "id",
            "project",
            "number",
            "state",
            "policy",
            "seed",
            "held_out_share",
            "guidelines_version",
            "counts",
            "agreement",
            "warnings",
            "machine_labels",
            "sha256",
            "error",
            "created_at",
            "frozen_at",
            "archived_at",
        ]


class ReleaseChangeSerializer(serializers.Serializer):
    archived = serializers.BooleanField()


class Releases(KnownParameters, generics.ListAPIView):
    """The frozen exports of a project."""

    scopes = {"GET": "read", "POST": "manage"}
    parameters = frozenset({"archived"})
    serializer_class = ReleaseSerializer
    pagination_class = ById
    queryset = Release.objects.none()

    def get_queryset(self) -> QuerySet[Release]:
        project = access.require(self.request.user, self.kwargs["slug"], "review")
        rows = project.releases.listed(archived=archived_of(self.request))
        return rows.select_related("project")

    @extend_schema(parameters=[ARCHIVED_PARAMETER])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

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

    scopes = {"GET": "read", "PATCH": "manage"}

    @extend_schema(responses=ReleaseSerializer)
    def get(self, request: Request, pk: int) -> Response:
        return Response(ReleaseSerializer(_release(request, pk)).data)

    @extend_schema(request=ReleaseChangeSerializer, responses=ReleaseSerializer)
    def patch(self, request: Request, pk: int) -> Response:
        """Puts it away from lists, or back; what depends on it stays as it was."""
        found = _release(request, pk)
        access.require(request.user, found.project, "manage")
        asked = ReleaseChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        freezing.archive(found, asked.validated_data["archived"])
        return Response(ReleaseSerializer(found).data)


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

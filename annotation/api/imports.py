"""REST of imports: files in, taken whole or refused whole by a worker."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access, jobs
from annotation.api.base import ById, KnownParameters, idempotent, user_of
from annotation.api.serializers import JoinSerializer, ProblemSerializer
from annotation.forms.exchange import ImportForm
from annotation.models import ImportJob
from annotation.views.exchange import left_out_response


class ImportSerializer(serializers.ModelSerializer):
    """An import, and once it has ended what came of it."""

    problems = ProblemSerializer(many=True, help_text="Why it was refused, line by line.")
    joins = JoinSerializer(many=True, help_text="What had to be found, and how much was.")
    warnings = ProblemSerializer(many=True, help_text="Imported, but worth a look.")

    class Meta:
        model = ImportJob
        fields = [
            *("id", "format", "name", "state", "done", "total", "created_count"),
            *("unchanged_count", "left_out_count", "joins", "problems", "warnings"),
            *("keep_labels", "skip_missing_images", "leave_out_unusable"),
            *("created_at", "started_at", "finished_at"),
        ]


class ImportInSerializer(serializers.Serializer):
    """A multipart form. Documents the shape; the form of the page reads it."""

    format = serializers.ChoiceField(ImportJob.Format.choices)
    records = serializers.FileField(help_text="JSON lines, a JSON list, CSV, or Parquet.")
    second_records = serializers.FileField(
        required=False, help_text="The other model's answers, where two files are compared."
    )
    images = serializers.FileField(required=False, help_text="A zip.")
    captions = serializers.FileField(required=False, help_text="JSON: image to captions.")
    keep_labels = serializers.BooleanField(required=False, default=False)
    skip_missing_images = serializers.BooleanField(required=False, default=False)
    leave_out_unusable = serializers.BooleanField(required=False, default=False)


class Imports(KnownParameters, generics.ListAPIView):
    """The imports of a project, oldest first."""

    scopes = {"GET": "manage", "POST": "manage"}
    serializer_class = ImportSerializer
    pagination_class = ById
    parser_classes = [MultiPartParser]
    queryset = ImportJob.objects.none()

    def get_queryset(self) -> QuerySet[ImportJob]:
        project = access.require(self.request.user, self.kwargs["slug"], "manage")
        return project.import_jobs.all()

    @extend_schema(
        request={"multipart/form-data": ImportInSerializer}, responses={201: ImportSerializer}
    )
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        """Hands files to a worker; look at the import until its state is succeeded or failed."""
        project = access.require(request.user, slug, "manage")
        sent: Any = request.data
        form = ImportForm(sent, request.FILES)
        if not form.is_valid():
            raise serializers.ValidationError(_plain(form))
        job = jobs.request_import(project, user_of(request), **form.uploads())
        return Response(ImportSerializer(job).data, status=status.HTTP_201_CREATED)


def _plain(form: ImportForm) -> dict[str, Any]:
    return {name: [str(error) for error in errors] for name, errors in form.errors.items()}


class ImportDetail(KnownParameters, APIView):
    """One import."""

    scopes = {"GET": "manage"}

    @extend_schema(responses=ImportSerializer)
    def get(self, request: Request, slug: str, pk: int) -> Response:
        project = access.require(request.user, slug, "manage")
        return Response(ImportSerializer(get_object_or_404(project.import_jobs, pk=pk)).data)


class ImportLeftOut(KnownParameters, APIView):
    """What an import left out: CSV of file, line, field and reason."""

    scopes = {"GET": "manage"}

    @extend_schema(responses={(200, "text/csv"): OpenApiTypes.BINARY})
    def get(self, request: Request, slug: str, pk: int) -> StreamingHttpResponse:
        project = access.require(request.user, slug, "manage")
        return left_out_response(get_object_or_404(project.import_jobs, pk=pk))

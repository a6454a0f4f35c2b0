"""REST of base models: importing one, and how far that is. For administrators of the site."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.api.base import KnownParameters, idempotent, user_of
from training.api.runs import NewestFirst
from training.api.serializers import BaseImportInSerializer, BaseImportSerializer
from training.checkpoints import base_imports
from training.models import BaseImport


class BaseImports(KnownParameters, generics.ListAPIView):
    """Base models on their way into the registry, newest first."""

    scopes = {"GET": "read", "POST": "train"}
    serializer_class = BaseImportSerializer
    pagination_class = NewestFirst
    queryset = BaseImport.objects.none()

    def get_queryset(self) -> QuerySet[BaseImport]:
        _require_administrator(self.request)
        return BaseImport.objects.all()

    @extend_schema(request=BaseImportInSerializer, responses={201: BaseImportSerializer})
    @idempotent
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Queues an import; a worker checks the files and says on it what became of them."""
        _require_administrator(request)
        asked = BaseImportInSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        made = base_imports.request_import(user_of(request), **asked.validated_data)
        return Response(BaseImportSerializer(made).data, status=status.HTTP_201_CREATED)


class BaseImportDetail(KnownParameters, APIView):
    """How far an import is; ``checkpoint`` is the base once it has succeeded."""

    scopes = {"GET": "read"}

    @extend_schema(responses=BaseImportSerializer)
    def get(self, request: Request, pk: int) -> Response:
        _require_administrator(request)
        return Response(BaseImportSerializer(get_object_or_404(BaseImport, pk=pk)).data)


def _require_administrator(request: Request) -> None:
    """Bases belong to no project, and a folder is one of the workers'."""
    if not user_of(request).is_superuser:
        raise PermissionDenied("Only administrators of the site import base models.")

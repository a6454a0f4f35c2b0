"""REST of the registry: models, what they were made from, and what is done with them."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import Http404, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.api.base import KnownParameters, idempotent, user_of
from training import visibility
from training.api.runs import NewestFirst
from training.api.serializers import (
    CheckpointDetailSerializer,
    CheckpointSerializer,
    PromotionSerializer,
    RunSerializer,
)
from training.checkpoints import cards, registry
from training.models import Checkpoint
from training.runs import requests


class Checkpoints(KnownParameters, generics.ListAPIView):
    """Models of your projects, and imported bases."""

    scopes = {"GET": "read"}
    parameters = frozenset({"kind"})
    serializer_class = CheckpointSerializer
    pagination_class = NewestFirst
    queryset = Checkpoint.objects.none()

    def get_queryset(self) -> QuerySet[Checkpoint]:
        rows = visibility.checkpoints(self.request.user).select_related("run__project")
        kind = self.request.query_params.get("kind")
        if kind is None:
            return rows
        if kind not in Checkpoint.Kind.values:
            known = ", ".join(Checkpoint.Kind.values)
            raise ValidationError({"kind": f"Must be one of {known}."})
        return rows.filter(kind=kind)

    @extend_schema(parameters=[OpenApiParameter("kind", enum=Checkpoint.Kind.values)])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class CheckpointDetail(KnownParameters, APIView):
    """A model with everything it was made from."""

    scopes = {"GET": "read", "DELETE": "train"}

    @extend_schema(responses=CheckpointDetailSerializer)
    def get(self, request: Request, pk: int) -> Response:
        found = visibility.checkpoint(request.user, pk)
        context = {"lineage": registry.lineage}
        return Response(CheckpointDetailSerializer(found, context=context).data)

    @extend_schema(responses={204: OpenApiResponse(description="It is gone.")})
    def delete(self, request: Request, pk: int) -> Response:
        """Deletes a model that nothing depends on and that is not promoted; else 409 says what."""
        registry.delete(visibility.checkpoint(request.user, pk, visibility.ACT))
        return Response(status=status.HTTP_204_NO_CONTENT)


class CheckpointArchive(KnownParameters, APIView):
    """A model's folder with its model card as a zip: an adapter as PEFT loads it."""

    scopes = {"GET": "read"}

    @extend_schema(responses={(200, "application/zip"): OpenApiTypes.BINARY})
    def get(self, request: Request, pk: int) -> StreamingHttpResponse:
        found = visibility.checkpoint(request.user, pk)
        if not found.files:
            raise Http404
        return cards.download(found)


class PromoteCheckpoint(KnownParameters, APIView):
    """Recommends a model, so that forms offer it first, or takes that back."""

    scopes = {"POST": "train"}

    @extend_schema(request=PromotionSerializer, responses=CheckpointSerializer)
    def post(self, request: Request, pk: int) -> Response:
        found = visibility.checkpoint(request.user, pk, visibility.ACT)
        asked = PromotionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        if found.run is None:
            raise Http404
        change = registry.promote if asked.validated_data["promoted"] else registry.demote
        change(found)
        found.refresh_from_db()
        return Response(CheckpointSerializer(found).data)


class SampleCheckpoint(KnownParameters, APIView):
    """Has a policy answer its project's prompts: its answers are the next pairs to compare."""

    scopes = {"POST": "train"}

    @extend_schema(request=None, responses={201: RunSerializer})
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        found = visibility.checkpoint(request.user, pk, visibility.ACT)
        run = requests.request_sampling(found, user_of(request))
        return Response(RunSerializer(run).data, status=status.HTTP_201_CREATED)

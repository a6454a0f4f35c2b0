"""REST of what closes the loop in a project: new pairs, and scores of those that wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access
from annotation.api.base import KnownParameters, idempotent, user_of
from training import visibility
from training.api.serializers import RunSerializer
from training.checkpoints import registry
from training.models import Checkpoint, Run
from training.runs import requests


class SampleProject(KnownParameters, APIView):
    """Has the project's newest policy answer its prompts: new pairs to compare."""

    scopes = {"POST": "train"}

    @extend_schema(request=None, responses={201: RunSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        return _ask(request, slug, Checkpoint.Kind.POLICY, requests.request_sampling)


class ScoreProject(KnownParameters, APIView):
    """Has the project's newest reward model score its comparisons: people get first what it is
    unsure about."""

    scopes = {"POST": "train"}

    @extend_schema(request=None, responses={201: RunSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        return _ask(request, slug, Checkpoint.Kind.REWARD_MODEL, requests.request_scoring)


def _ask(
    request: Request, slug: str, kind: Checkpoint.Kind, ask: Callable[[Checkpoint, Any], Run]
) -> Response:
    user = user_of(request)
    project = access.require(user, slug, visibility.ACT)
    run = ask(registry.require_newest(project, kind), user)
    return Response(RunSerializer(run).data, status=status.HTTP_201_CREATED)

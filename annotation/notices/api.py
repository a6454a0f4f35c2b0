"""REST of one's own notices: reading them, and choosing which and how."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation.api.base import ById, KnownParameters, user_of
from annotation.models import Notice, NoticeChoice, Webhook
from annotation.notices import choosing, kinds
from annotation.notices.kinds import KINDS


class NewestFirst(ById):
    ordering = "-pk"


class NoticeSerializer(serializers.ModelSerializer):
    """Something that you were told, once."""

    project = serializers.CharField(source="project.slug", allow_null=True, default=None)

    class Meta:
        model = Notice
        fields = ["id", "kind", "event", "title", "link", "project", "created_at", "read_at"]


class ReadSerializer(serializers.Serializer):
    up_to = serializers.IntegerField(min_value=1, help_text="The newest that you have read.")


class ChoiceSerializer(serializers.Serializer):
    """How you want to be told of one kind."""

    kind = serializers.ChoiceField(list(KINDS.items()))
    inbox = serializers.BooleanField()
    email = serializers.BooleanField()
    webhook = serializers.SlugRelatedField(
        "name",
        queryset=Webhook.objects.filter(enabled=True),
        allow_null=True,
        help_text="The name of one of the site's webhooks.",
    )


class ChoicesSerializer(serializers.Serializer):
    choices = ChoiceSerializer(many=True)


class Notices(KnownParameters, generics.ListAPIView):
    """What you were told, newest first."""

    scopes = {"GET": "read"}
    serializer_class = NoticeSerializer
    pagination_class = NewestFirst
    queryset = Notice.objects.none()

    def get_queryset(self) -> QuerySet[Notice]:
        return user_of(self.request).notices.filter(in_inbox=True).select_related("project")


class NoticesRead(KnownParameters, APIView):
    """What you have read of it."""

    scopes = {"PUT": "read"}

    @extend_schema(request=ReadSerializer, responses={204: None})
    def put(self, request: Request) -> Response:
        sent = ReadSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        choosing.read_all(user_of(request), **sent.validated_data)
        return Response(status=status.HTTP_204_NO_CONTENT)


class NoticeChoices(KnownParameters, APIView):
    """Which kinds you are told of, and how."""

    scopes = {"GET": "read", "PUT": "manage"}

    @extend_schema(responses=ChoicesSerializer)
    def get(self, request: Request) -> Response:
        return Response(self._now(request))

    @extend_schema(request=ChoicesSerializer, responses=ChoicesSerializer)
    def put(self, request: Request) -> Response:
        """Changes the kinds that are named; others stay."""
        sent = ChoicesSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        given = {one.pop("kind"): one for one in map(dict, sent.validated_data["choices"])}
        choosing.choose(user_of(request), given)
        return Response(self._now(request))

    def _now(self, request: Request) -> dict[str, Any]:
        person = user_of(request)
        chosen = {one.kind: one for one in person.notice_choices.select_related("webhook")}
        rows = [
            chosen.get(kind) or NoticeChoice(person=person, kind=kind)
            for kind in kinds.of(is_superuser=person.is_superuser)
        ]
        return {"choices": ChoiceSerializer(rows, many=True).data}

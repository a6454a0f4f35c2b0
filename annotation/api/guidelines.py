"""REST of the guidelines: reading them, saying that one has, and their worked examples."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access
from annotation.answers import LONGEST_NOTE
from annotation.api.base import KnownParameters, idempotent, user_of
from annotation.api.labelling import SpanSerializer
from annotation.api.serializers import ImageSerializer, TurnSerializer
from annotation.models import Comparison, Project, WorkedExample
from annotation.models.work import Choice
from annotation.onboarding import guidelines


class ExampleSerializer(serializers.ModelSerializer):
    """A comparison with its answer and why. Models are not in it."""

    image = ImageSerializer(source="comparison.prompt.image")
    conversation = TurnSerializer(source="comparison.prompt.conversation", many=True)
    response_1 = serializers.CharField(source="comparison.response_1")
    response_2 = serializers.CharField(source="comparison.response_2")
    spans = SpanSerializer(many=True)
    added_in = serializers.IntegerField(allow_null=True, help_text="Null for a draft.")

    class Meta:
        model = WorkedExample
        fields = ["id", "comparison", "image", "conversation", "response_1", "response_2"]
        fields += ["more_hallucinated", "why", "spans", "added_in", "to_remove"]


class GuidelinesSerializer(serializers.Serializer):
    """The guidelines at one version."""

    version = serializers.IntegerField(source="shown.number")
    text = serializers.CharField(source="shown.text", help_text="Markdown.")
    examples = ExampleSerializer(source="shown.examples", many=True)
    newest = serializers.IntegerField()
    acknowledged = serializers.IntegerField(
        allow_null=True, help_text="The version that you have read; null if you are no member."
    )
    pending = ExampleSerializer(
        many=True, required=False, help_text="What the next version changes; for managers only."
    )


class AcknowledgementSerializer(serializers.Serializer):
    version = serializers.IntegerField(min_value=1, help_text="The version that you have read.")


class ExampleInSerializer(serializers.Serializer):
    comparison = serializers.IntegerField(min_value=1, help_text="It becomes gold, if it is not.")
    more_hallucinated = serializers.ChoiceField(Choice.choices)
    why = serializers.CharField(max_length=LONGEST_NOTE)
    spans = SpanSerializer(many=True, default=list)


class Guidelines(KnownParameters, APIView):
    """The rules of a project; their text is changed with its settings."""

    scopes = {"GET": "read"}
    parameters = frozenset({"version"})

    @extend_schema(
        parameters=[OpenApiParameter("version", int, description="The newest, unless named.")],
        responses=GuidelinesSerializer,
    )
    def get(self, request: Request, slug: str) -> Response:
        project = access.require(request.user, slug, "see")
        asked = serializers.IntegerField(min_value=1, max_value=2**31 - 1)
        named = request.query_params.get("version")
        return _answer(request, project, None if named is None else asked.run_validation(named))


def _answer(request: Request, project: Project, version: int | None = None) -> Response:
    about: dict[str, Any] = {
        "shown": guidelines.at(project, version),
        "newest": project.guidelines_version,
        "acknowledged": guidelines.acknowledged(project, user_of(request)),
    }
    if about["shown"] is None:
        raise Http404
    if access.may(request.user, project, "manage"):
        about["pending"] = guidelines.pending(project)
    return Response(GuidelinesSerializer(about).data)


class Acknowledgement(KnownParameters, APIView):
    """Says that you have read a version, as the labelling page asks after each change."""

    scopes = {"PUT": "annotate"}

    @extend_schema(request=AcknowledgementSerializer, responses=AcknowledgementSerializer)
    def put(self, request: Request, slug: str) -> Response:
        """The answer is the newest version that you have said this of."""
        project = access.require(request.user, slug, "annotate")
        sent = AcknowledgementSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        version = guidelines.acknowledge(project, user_of(request), sent.validated_data["version"])
        return Response({"version": version})


class Examples(KnownParameters, APIView):
    """Worked examples for the next version."""

    scopes = {"POST": "manage"}

    @extend_schema(request=ExampleInSerializer, responses={201: ExampleSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        """Drafts one; annotators see it once the next version is published."""
        project = access.require(request.user, slug, "manage")
        sent = ExampleInSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        fields = {**sent.validated_data}
        rows = Comparison.objects.select_related("prompt__image").filter(project=project)
        comparison = get_object_or_404(rows, pk=fields.pop("comparison"))
        fields["spans"] = [dict(span) for span in fields["spans"]]
        example = guidelines.draft(comparison, user_of(request), **fields)
        return Response(ExampleSerializer(example).data, status=status.HTTP_201_CREATED)


class ExampleDetail(KnownParameters, APIView):
    """One worked example."""

    scopes = {"DELETE": "manage"}

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, pk: int) -> Response:
        """Drops a draft at once; a published example leaves with the next version."""
        project = access.require(request.user, slug, "manage")
        standing = project.worked_examples.filter(removed_in__isnull=True)
        guidelines.remove(get_object_or_404(standing, pk=pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


class Versions(KnownParameters, APIView):
    """Versions of the guidelines."""

    scopes = {"POST": "manage"}

    @extend_schema(request=None, responses={201: GuidelinesSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        """Publishes what is pending as the next version, which everybody is asked to read."""
        project = access.require(request.user, slug, "manage")
        guidelines.publish(project)
        answer = _answer(request, project)
        answer.status_code = status.HTTP_201_CREATED
        return answer

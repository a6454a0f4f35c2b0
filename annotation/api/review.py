"""REST of reviewing: disputed comparisons and rulings on them."""

from __future__ import annotations

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access, adjudication
from annotation.answers import LONGEST_NOTE, Answer
from annotation.api.base import ById, KnownParameters, idempotent, user_of
from annotation.api.labelling import CorrectionSerializer
from annotation.api.serializers import ImageSerializer, TurnSerializer
from annotation.models import Adjudication, Comparison
from annotation.models.work import Choice


class VoteSerializer(serializers.Serializer):
    """A counted vote and its note, without its person."""

    more_hallucinated = serializers.ChoiceField(Choice.choices)
    more_helpful = serializers.CharField(help_text="Empty unless the two tied.")
    confidence = serializers.IntegerField(allow_null=True)
    note = serializers.CharField()
    spans = serializers.ListField(child=serializers.DictField())
    corrections = CorrectionSerializer(many=True)


class DisputeSerializer(serializers.ModelSerializer):
    """A comparison whose votes give no majority. Neither models nor people are in it."""

    image = ImageSerializer(source="prompt.image")
    conversation = TurnSerializer(source="prompt.conversation", many=True)
    captions = serializers.ListField(child=serializers.CharField(), source="prompt.captions")
    votes = serializers.SerializerMethodField()

    class Meta:
        model = Comparison
        fields = [
            "id",
            "external_id",
            "image",
            "conversation",
            "captions",
            "response_1",
            "response_2",
            "votes",
        ]

    @extend_schema_field(VoteSerializer(many=True))
    def get_votes(self, comparison: Comparison) -> list[dict[str, object]]:
        votes = adjudication.anonymous_votes(comparison)
        return [dict(VoteSerializer(vote).data) for vote in votes]


class RulingInSerializer(serializers.Serializer):
    """A reviewer's answer; ``more_helpful`` after a tie and only then."""

    more_hallucinated = serializers.ChoiceField(Choice.choices)
    more_helpful = serializers.ChoiceField([("", "not asked"), *Choice.choices], default="")
    note = serializers.CharField(max_length=LONGEST_NOTE, allow_blank=True, default="")


class RulingSerializer(serializers.ModelSerializer):
    """A ruling, and the outcome that the comparison has by it."""

    outcome = serializers.CharField(source="comparison.outcome")
    preference = serializers.IntegerField(source="comparison.preference", allow_null=True)

    class Meta:
        model = Adjudication
        fields = ["more_hallucinated", "more_helpful", "note", "created_at", "outcome"]
        fields += ["preference"]


class Disputes(KnownParameters, generics.ListAPIView):
    """The comparisons that wait for a reviewer's ruling."""

    scopes = {"GET": "read"}
    serializer_class = DisputeSerializer
    pagination_class = ById
    queryset = Comparison.objects.none()

    def get_queryset(self) -> QuerySet[Comparison]:
        project = access.require(self.request.user, self.kwargs["slug"], "review")
        return adjudication.disputed(project)


class Ruling(KnownParameters, APIView):
    """Rules on a disputed comparison; the ruling stands above the votes."""

    scopes = {"POST": "annotate"}

    @extend_schema(request=RulingInSerializer, responses={201: RulingSerializer})
    @idempotent
    def post(self, request: Request, slug: str, pk: int) -> Response:
        project = access.require(request.user, slug, "review")
        comparison = get_object_or_404(project.comparisons, pk=pk)
        sent = RulingInSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        answer = Answer(**sent.validated_data)
        ruling = adjudication.rule(comparison, user_of(request), answer)
        return Response(RulingSerializer(ruling).data, status=status.HTTP_201_CREATED)

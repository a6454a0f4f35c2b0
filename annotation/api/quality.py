"""REST of quality: the report of a project, one annotator's weeks, and gold comparisons."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access, gold_and_repeats
from annotation.answers import LONGEST_NOTE
from annotation.api.base import ById, KnownParameters, idempotent
from annotation.dashboard import dashboard
from annotation.models import Comparison
from annotation.models.work import Choice
from annotation.quality import corrupted_gold, figures
from annotation.quality.project_report import SHARES, Person, report
from annotation.quality.shares import Share
from annotation.texts import LONGEST_TEXT


class ShareSerializer(serializers.Serializer):
    """A share of answers with Wilson's 95 % interval; null where there is no answer."""

    part = serializers.IntegerField()
    whole = serializers.IntegerField()
    value = serializers.FloatField(allow_null=True)
    low = serializers.SerializerMethodField()
    high = serializers.SerializerMethodField()

    def get_low(self, share: Share) -> float | None:
        return share.interval[0] if share.whole else None

    def get_high(self, share: Share) -> float | None:
        return share.interval[1] if share.whole else None


class SharesSerializer(serializers.Serializer):
    """The shares of one annotator, or of all together."""

    gold = ShareSerializer(help_text="Right answers to comparisons with a known answer.")
    consistent = ShareSerializer(help_text="Repeats answered as the first time.")
    first_named = ShareSerializer(help_text="Names the response shown first; fair is one half.")
    longer_won = ShareSerializer(help_text="Favours the longer response.")
    agreed = ShareSerializer(help_text="Votes of others on the same comparisons that say the same.")


class AgreementSerializer(serializers.Serializer):
    """Krippendorff's alpha (nominal) with its bootstrap interval; null where undefined."""

    alpha = serializers.FloatField(allow_null=True)
    low = serializers.FloatField(allow_null=True)
    high = serializers.FloatField(allow_null=True)
    comparisons = serializers.IntegerField()


class AnnotatorSerializer(SharesSerializer):
    username = serializers.CharField(source="user.username")
    answers = serializers.IntegerField()
    paused = serializers.BooleanField()
    agreement = serializers.SerializerMethodField()
    reliability = serializers.SerializerMethodField(
        help_text="Estimated chance of a right answer (Dawid and Skene); null without an estimate."
    )
    advice = serializers.ListField(child=serializers.CharField())

    @extend_schema_field(AgreementSerializer(allow_null=True))
    def get_agreement(self, person: Person) -> dict[str, Any] | None:
        return person.agreement or None

    def get_reliability(self, person: Person) -> float | None:
        return person.reliability.accuracy if person.reliability else None


class WeekSerializer(AgreementSerializer):
    week = serializers.DateField(help_text="Its Monday.")


class ForecastSerializer(serializers.Serializer):
    """When the project will be done; ``reason`` where that cannot be said."""

    reason = serializers.CharField()
    remaining = serializers.IntegerField(help_text="Answers.")
    rate = serializers.FloatField(help_text="Answers a day.")
    rate_low = serializers.FloatField()
    rate_high = serializers.FloatField()
    done = serializers.DateField(allow_null=True)
    earliest = serializers.DateField(allow_null=True)
    latest = serializers.DateField(allow_null=True)


class DaySerializer(serializers.Serializer):
    day = serializers.DateField()
    answers = serializers.IntegerField()
    active_hours = serializers.FloatField()


class ConcernSerializer(serializers.Serializer):
    """What must be known before the answers are used."""

    code = serializers.CharField()
    text = serializers.CharField()
    grave = serializers.BooleanField(help_text="Freezing a release needs a word of its own.")


class QualitySerializer(serializers.Serializer):
    """What the answers of a project say about their quality."""

    as_of = serializers.DateTimeField(
        allow_null=True, help_text="Null while it is counted for the first time."
    )
    agreement = AgreementSerializer(allow_null=True)
    concerns = ConcernSerializer(many=True)
    weeks = WeekSerializer(many=True)
    ties = ShareSerializer()
    together = SharesSerializer()
    annotators = AnnotatorSerializer(many=True)
    skips = serializers.DictField(child=serializers.IntegerField(), help_text="By reason.")
    days = DaySerializer(
        many=True, help_text="The last four weeks; today is the last and not over."
    )
    forecast = ForecastSerializer()
    nobody_left = serializers.IntegerField(
        help_text="Comparisons that wait for answers although everybody who annotates here has "
        "had them."
    )


class Quality(KnownParameters, APIView):
    """Agreement, reliability, bias, throughput and forecast of a project."""

    scopes = {"GET": "read"}

    @extend_schema(responses=QualitySerializer)
    def get(self, request: Request, slug: str) -> Response:
        project = access.require(request.user, slug, "review")
        kept = figures.current(project)
        board, found = dashboard(project, kept), report(project, kept)
        about: dict[str, Any] = {
            "as_of": found.as_of,
            "agreement": found.agreement or None,
            "weeks": found.weeks,
            "ties": board.ties,
            "together": {name: getattr(found.together, name) for name in SHARES},
            "annotators": found.people,
            "skips": kept.data.get("skips", {}),
            "days": board.days,
            "concerns": board.concerns,
            "forecast": board.forecast,
            "nobody_left": board.nobody_left,
        }
        return Response(QualitySerializer(about).data)


# --------------------------------------------------------------------------------------------
# Gold
# --------------------------------------------------------------------------------------------


class GoldSerializer(serializers.ModelSerializer):
    """A comparison with a known answer."""

    more_hallucinated = serializers.CharField(source="gold_more_hallucinated")
    explanation = serializers.CharField(source="gold_explanation")
    corrupted_from = serializers.SerializerMethodField(
        help_text="The comparison whose better response was made wrong; null for others."
    )

    class Meta:
        model = Comparison
        fields = ["id", "external_id", "response_1", "response_2"]
        fields += ["more_hallucinated", "explanation", "corrupted_from", "created_at"]

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_corrupted_from(self, comparison: Comparison) -> str | None:
        source, prefix = comparison.source, corrupted_gold.SOURCE
        return source[len(prefix) :] if source.startswith(prefix) else None


class GoldInSerializer(serializers.Serializer):
    """The known answer of a comparison."""

    comparison = serializers.IntegerField(min_value=1, help_text="Its id.")
    more_hallucinated = serializers.ChoiceField(Choice.choices)
    explanation = serializers.CharField(
        max_length=LONGEST_NOTE, required=False, allow_blank=True, default=""
    )


class CorruptedInSerializer(serializers.Serializer):
    """The better response of a decided comparison, made wrong."""

    comparison = serializers.IntegerField(min_value=1, help_text="Its id.")
    text = serializers.CharField(max_length=LONGEST_TEXT, trim_whitespace=False)
    explanation = serializers.CharField(
        max_length=LONGEST_NOTE, required=False, allow_blank=True, default=""
    )


class DraftSerializer(serializers.Serializer):
    """A proposal of the rules, to be read beside the image."""

    kind = serializers.CharField()
    text = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField()
    explanation = serializers.CharField()


class PromoteInSerializer(serializers.Serializer):
    most = serializers.IntegerField(min_value=1, max_value=1000)


class PromotedSerializer(serializers.Serializer):
    made = serializers.IntegerField()


class Gold(KnownParameters, generics.ListAPIView):
    """Comparisons with a known answer, which measure annotators and are in no release."""

    scopes = {"GET": "manage", "POST": "manage"}
    serializer_class = GoldSerializer
    pagination_class = ById
    queryset = Comparison.objects.none()

    def get_queryset(self) -> QuerySet[Comparison]:
        project = access.require(self.request.user, self.kwargs["slug"], "manage")
        return project.comparisons.exclude(gold_more_hallucinated="")

    @extend_schema(request=GoldInSerializer, responses={201: GoldSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        """States the known answer of a comparison."""
        project = access.require(request.user, slug, "manage")
        sent = GoldInSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        given = {**sent.validated_data}
        comparison = get_object_or_404(project.comparisons, pk=given.pop("comparison"))
        gold_and_repeats.make_gold(comparison, **given)
        return Response(GoldSerializer(comparison).data, status=status.HTTP_201_CREATED)


class GoldDetail(KnownParameters, APIView):
    """One gold comparison."""

    scopes = {"DELETE": "manage"}

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, pk: int) -> Response:
        """Makes it an ordinary comparison again, decided by its votes."""
        project = access.require(request.user, slug, "manage")
        gold = project.comparisons.exclude(gold_more_hallucinated="")
        gold_and_repeats.withdraw_gold(get_object_or_404(gold, pk=pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


class PromoteGold(KnownParameters, APIView):
    """Makes gold of comparisons that all found the same about."""

    scopes = {"POST": "manage"}

    @extend_schema(request=PromoteInSerializer, responses={201: PromotedSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        project = access.require(request.user, slug, "manage")
        sent = PromoteInSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        made = gold_and_repeats.promote_unanimous(project, **sent.validated_data)
        return Response({"made": made}, status=status.HTTP_201_CREATED)


class CorruptedGold(KnownParameters, APIView):
    """Makes gold of a verified response beside itself with one thing made wrong."""

    scopes = {"POST": "manage"}

    @extend_schema(request=CorruptedInSerializer, responses={201: GoldSerializer})
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        project = access.require(request.user, slug, "manage")
        sent = CorruptedInSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        given = {**sent.validated_data}
        rows = project.comparisons.select_related("project", "prompt")
        comparison = get_object_or_404(rows, pk=given.pop("comparison"))
        gold, _ = corrupted_gold.make_corrupted(comparison, given.pop("text"), **given)
        return Response(GoldSerializer(gold).data, status=status.HTTP_201_CREATED)


class GoldDrafts(KnownParameters, APIView):
    """What the rules propose for one comparison, at most one draft of each kind."""

    scopes = {"GET": "manage"}

    @extend_schema(responses=DraftSerializer(many=True))
    def get(self, request: Request, slug: str, pk: int) -> Response:
        project = access.require(request.user, slug, "manage")
        comparison = get_object_or_404(project.comparisons.select_related("prompt"), pk=pk)
        drafts = [] if comparison.preference is None else corrupted_gold.drafts(comparison)
        return Response(DraftSerializer(drafts, many=True).data)

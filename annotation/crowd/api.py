"""REST of studies: making and changing them, their links, and what their participants did."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access
from annotation.api.base import ById, KnownParameters, idempotent, user_of
from annotation.api.quality import ShareSerializer
from annotation.crowd import report, studies
from annotation.crowd.forms import PARAMETER
from annotation.crowd.report import Line
from annotation.models import Participant, Study
from annotation.models.crowd import MOST_ANSWERS, MOST_HOURS, MOST_PLACES

LINK_HELP = "Shown once: null when the same request is sent again."


class StudySerializer(serializers.ModelSerializer):
    """A study and how far it is."""

    arrived = serializers.IntegerField()
    finished = serializers.IntegerField()
    taken = serializers.IntegerField(
        help_text="Places of those who have finished, or came within the last session_hours."
    )
    has_link = serializers.BooleanField()

    class Meta:
        model = Study
        fields = [
            *("id", "name", "platform", "participant_parameter", "study_parameter"),
            *("session_parameter", "answers", "places", "session_hours", "completion_code"),
            *("return_url", "failed_code", "created_at", "ended_at"),
            *("has_link", "arrived", "finished", "taken"),
        ]


class StudyMadeSerializer(StudySerializer):
    link = serializers.CharField(allow_null=True, help_text=LINK_HELP)

    class Meta(StudySerializer.Meta):
        fields = [*StudySerializer.Meta.fields, "link"]


class StudySettingsSerializer(serializers.Serializer):
    """What may be changed at any time; the number of answers until somebody has come."""

    name = serializers.CharField(max_length=120, required=False)
    answers = serializers.IntegerField(min_value=1, max_value=MOST_ANSWERS, required=False)
    places = serializers.IntegerField(min_value=1, max_value=MOST_PLACES, required=False)
    session_hours = serializers.IntegerField(min_value=1, max_value=MOST_HOURS, required=False)
    completion_code = serializers.CharField(max_length=100, required=False, allow_blank=True)
    return_url = serializers.CharField(max_length=500, required=False, allow_blank=True)
    failed_code = serializers.CharField(max_length=100, required=False, allow_blank=True)

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        study: Study | None = self.instance
        names = ("completion_code", "return_url", "platform")
        whole = {name: getattr(study, name) for name in names} if study else {}
        if faults := studies.faults({**whole, **given}):
            raise serializers.ValidationError(faults)
        return given


class StudyChangeSerializer(StudySettingsSerializer):
    ended = serializers.BooleanField(
        required=False, help_text="An ended study takes nobody new; who is at it goes on."
    )


class StudyInSerializer(StudySettingsSerializer):
    """A new study; parameters that are not named have the platform's usual names."""

    name = serializers.CharField(max_length=120)
    platform = serializers.ChoiceField(Study.Platform.choices)
    participant_parameter = serializers.CharField(
        max_length=60, required=False, validators=[PARAMETER]
    )
    study_parameter = serializers.CharField(max_length=60, required=False, validators=[PARAMETER])
    session_parameter = serializers.CharField(max_length=60, required=False, validators=[PARAMETER])


class LinkSerializer(serializers.Serializer):
    link = serializers.CharField(allow_null=True, help_text=LINK_HELP)


class ParticipantSerializer(serializers.Serializer):
    """What one participant did, for paying or refusing them. Times of quality are the project's."""

    id = serializers.IntegerField(source="participant.pk")
    participant_id = serializers.CharField(source="participant.external_id")
    study_id = serializers.CharField(source="participant.platform_study")
    session_id = serializers.CharField(source="participant.session")
    annotator = serializers.CharField(source="participant.user.username")
    state = serializers.ChoiceField(report.State.choices)
    arrived_at = serializers.DateTimeField(source="participant.arrived_at")
    last_answer_at = serializers.DateTimeField(source="ended_at", allow_null=True)
    minutes = serializers.FloatField(allow_null=True, help_text="From arrival to the last answer.")
    active_minutes = serializers.FloatField(
        allow_null=True, help_text="While a comparison was on screen and somebody was there."
    )
    answers = serializers.IntegerField()
    skipped = serializers.IntegerField()
    gold = ShareSerializer(source="person.gold", help_text="Right on known answers.")
    consistent = ShareSerializer(
        source="person.consistent", help_text="Repeats answered as the first time."
    )
    too_fast = ShareSerializer(help_text="Answers faster than the responses can be read.")
    agreed = ShareSerializer(source="person.agreed", help_text="Votes of others that say the same.")
    reliability = serializers.SerializerMethodField(
        help_text="Estimated chance of a right answer (Dawid and Skene); null without an estimate."
    )
    remarks = serializers.ListField(child=serializers.CharField(), source="person.advice")

    @extend_schema_field(serializers.FloatField(allow_null=True))
    def get_reliability(self, line: Line) -> float | None:
        return line.person.reliability.accuracy if line.person.reliability else None


class Studies(KnownParameters, generics.ListAPIView):
    """The studies of a project."""

    scopes = {"GET": "read", "POST": "manage"}
    serializer_class = StudySerializer
    pagination_class = ById
    queryset = Study.objects.none()

    def get_queryset(self) -> QuerySet[Study]:
        project = access.require(self.request.user, self.kwargs["slug"], "manage")
        return project.studies.with_counts()

    @extend_schema(request=StudyInSerializer, responses={201: StudyMadeSerializer})
    @idempotent(secrets=("link",))
    def post(self, request: Request, slug: str) -> Response:
        """Makes a study and its link, of which only the digest is kept."""
        project = access.require(request.user, slug, "manage")
        sent = StudyInSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        study, raw = studies.create(project, user_of(request), **sent.validated_data)
        about = {**_told(study), "link": _link(request, study, raw)}
        return Response(about, status=status.HTTP_201_CREATED)


class StudyDetail(KnownParameters, APIView):
    """One study."""

    scopes = {"GET": "read", "PATCH": "manage"}

    @extend_schema(responses=StudySerializer)
    def get(self, request: Request, slug: str, pk: int) -> Response:
        return Response(_told(studies.managed(request.user, slug, pk)))

    @extend_schema(request=StudyChangeSerializer, responses=StudySerializer)
    def patch(self, request: Request, slug: str, pk: int) -> Response:
        """Changes settings, ends or reopens."""
        study = studies.managed(request.user, slug, pk)
        sent = StudyChangeSerializer(study, data=request.data)
        sent.is_valid(raise_exception=True)
        given = dict(sent.validated_data)
        ended = given.pop("ended", None)
        if given:
            studies.change(study, **given)
        if ended is not None:
            (studies.end if ended else studies.reopen)(study)
        return Response(_told(study))


class StudyLink(KnownParameters, APIView):
    """The link of a study."""

    scopes = {"POST": "manage", "DELETE": "manage"}

    @extend_schema(request=None, responses={201: LinkSerializer})
    @idempotent(secrets=("link",))
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Makes another link; the one before opens nothing any more."""
        study = studies.managed(request.user, slug, pk)
        link = _link(request, study, studies.renew_link(study, user_of(request)))
        return Response({"link": link}, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def delete(self, request: Request, slug: str, pk: int) -> Response:
        """Withdraws the link; who is at it goes on."""
        studies.withdraw_link(studies.managed(request.user, slug, pk))
        return Response(status=status.HTTP_204_NO_CONTENT)


class StudyParticipants(KnownParameters, generics.ListAPIView):
    """Minutes and quality of each participant of a study."""

    scopes = {"GET": "read"}
    serializer_class = ParticipantSerializer
    pagination_class = ById
    queryset = Participant.objects.none()

    def get_queryset(self) -> QuerySet[Participant]:
        self.study = studies.managed(self.request.user, self.kwargs["slug"], self.kwargs["pk"])
        return self.study.participants.select_related("user")

    def paginate_queryset(self, queryset: Any) -> Any:
        page = super().paginate_queryset(queryset) or []
        return report.lines(self.study, page)


def _told(study: Study) -> dict[str, Any]:
    return dict(StudySerializer(Study.objects.with_counts().get(pk=study.pk)).data)


def _link(request: Request, study: Study, raw: str) -> str:
    link = request.build_absolute_uri(reverse("annotation:study-begin", args=[raw]))
    return studies.address_to_paste(study, link)

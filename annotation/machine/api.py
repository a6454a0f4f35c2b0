"""REST of machine labels: asking for them, their certificate, and what the machine said."""

from __future__ import annotations

from typing import Any

from django.db.models import BooleanField, Case, Q, QuerySet, Value, When
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access
from annotation.api.base import ById, KnownParameters, idempotent, user_of
from annotation.machine import deciding, disclosure, labellers, labelling
from annotation.machine.forms import ACTIONS
from annotation.machine.stages import DECIDED, RIGHT, SETTLED
from annotation.machine.views import carry_out
from annotation.models import MachineLabel, MachineLabelling, User
from annotation.models.machine import (
    HIGHEST_AUDIT,
    HIGHEST_CONFIDENCE,
    HIGHEST_LEVEL,
    LOWEST_CONFIDENCE,
    MOST_COMPARISONS,
)


class MachineSerializer(serializers.Serializer):
    machine = serializers.CharField(help_text="What a labelling is asked for with.")
    kind = serializers.CharField()
    name = serializers.CharField()
    cost = serializers.CharField(help_text="Of one comparison; empty where nobody is paid.")


class MachinesSerializer(serializers.Serializer):
    candidates = serializers.IntegerField(help_text="Comparisons that wait, begun by nobody.")
    machines = MachineSerializer(many=True)


class MachineLabellingSerializer(serializers.ModelSerializer):
    """A labelling, its certificate once the sample is decided, and what people said since."""

    class Meta:
        model = MachineLabelling
        fields = [
            *("number", "state", "machine", "machine_name", "about", "level", "confidence"),
            *("audit_share", "sample_size", "total", "done", "calls", "tokens", "error"),
            *("certificate", "audit", "created_at", "labelled_at", "decided_at", "ended_at"),
        ]


class TakenOutSerializer(serializers.Serializer):
    sample = serializers.IntegerField()
    audit = serializers.IntegerField()


class MachineLabellingDetailSerializer(MachineLabellingSerializer):
    sample_settled = serializers.IntegerField(
        allow_null=True,
        help_text="Of the sample, settled by people. Before the decision null for all but managers "
        "who do not annotate in the project.",
    )

    taken_out = TakenOutSerializer(
        allow_null=True,
        help_text="Of sample and audit, by managers, whenever. Null before the decision.",
    )

    class Meta(MachineLabellingSerializer.Meta):
        fields = [*MachineLabellingSerializer.Meta.fields, "sample_settled", "taken_out"]


class MachineLabellingInSerializer(serializers.Serializer):
    machine = serializers.CharField(max_length=40)
    level = serializers.FloatField(
        min_value=0.001, max_value=HIGHEST_LEVEL, default=0.05, help_text="May be wrong, a share."
    )
    confidence = serializers.FloatField(
        min_value=LOWEST_CONFIDENCE, max_value=HIGHEST_CONFIDENCE, default=0.95
    )
    audit_share = serializers.FloatField(min_value=0, max_value=HIGHEST_AUDIT, default=0.05)
    sample_size = serializers.IntegerField(min_value=1, max_value=MOST_COMPARISONS - 1, default=200)
    comparisons = serializers.IntegerField(min_value=2, max_value=MOST_COMPARISONS, default=2000)


class ActionSerializer(serializers.Serializer):
    action = serializers.ChoiceField(ACTIONS)


class MachineLabelSerializer(serializers.ModelSerializer):
    comparison = serializers.CharField(source="comparison.external_id")
    people_agree = serializers.BooleanField(
        allow_null=True, help_text="Null where people have not settled it."
    )

    class Meta:
        model = MachineLabel
        fields = [
            *("id", "comparison", "use", "more_hallucinated", "confidence", "stands"),
            "people_agree",
        ]


class Machines(KnownParameters, APIView):
    """Who can label in a project, and how much there is to label."""

    scopes = {"GET": "manage"}

    @extend_schema(responses=MachinesSerializer)
    def get(self, request: Request, slug: str) -> Response:
        project = access.require(request.user, slug, "manage")
        machines = [
            {"machine": value, "kind": kind.name, "name": choice.name, "cost": choice.cost}
            for value, (kind, choice) in labellers.choices(project).items()
        ]
        candidates = labelling.candidates(project).count()
        return Response({"candidates": candidates, "machines": machines})


class MachineLabellings(KnownParameters, generics.ListAPIView):
    """The machine labellings of a project."""

    scopes = {"GET": "read", "POST": "manage"}
    serializer_class = MachineLabellingSerializer
    pagination_class = ById
    queryset = MachineLabelling.objects.none()

    def get_queryset(self) -> QuerySet[MachineLabelling]:
        project = access.require(self.request.user, self.kwargs["slug"], "review")
        return project.machine_labellings.order_by("pk")

    @extend_schema(
        request=MachineLabellingInSerializer, responses={201: MachineLabellingDetailSerializer}
    )
    @idempotent
    def post(self, request: Request, slug: str) -> Response:
        """Draws a sample for people and has the machine answer."""
        project = access.require(request.user, slug, "manage")
        sent = MachineLabellingInSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        found = labelling.request(project, user_of(request), **sent.validated_data)
        return Response(_told(found, user_of(request)), status=status.HTTP_201_CREATED)


class MachineLabellingDetail(KnownParameters, APIView):
    """One labelling."""

    scopes = {"GET": "read", "POST": "manage"}

    @extend_schema(responses=MachineLabellingDetailSerializer)
    def get(self, request: Request, slug: str, number: int) -> Response:
        return Response(_told(_found(request, slug, number, "review"), user_of(request)))

    @extend_schema(
        operation_id="projects_machine_labellings_act",
        request=ActionSerializer,
        responses=MachineLabellingDetailSerializer,
    )
    @idempotent
    def post(self, request: Request, slug: str, number: int) -> Response:
        """Cancels it, resumes it, decides by the sample as it is, or withdraws its votes."""
        found = _found(request, slug, number, "manage")
        sent = ActionSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        carry_out(found, sent.validated_data["action"], user_of(request).username)
        return Response(_told(found, user_of(request)))


class MachineLabels(KnownParameters, generics.ListAPIView):
    """What the machine said, once the sample is decided. Of what people have still to settle only
    managers who do not annotate in the project are told."""

    scopes = {"GET": "read"}
    parameters = frozenset({"use"})
    serializer_class = MachineLabelSerializer
    pagination_class = ById
    queryset = MachineLabel.objects.none()

    def get_queryset(self) -> QuerySet[MachineLabel]:
        found = _found(self.request, self.kwargs["slug"], self.kwargs["number"], "review")
        use = self.request.query_params.get("use")
        if use is not None and use not in MachineLabel.Use.values:
            known = ", ".join(MachineLabel.Use.values)
            raise ValidationError({"use": f"Must be one of {known}."})
        if found.state not in DECIDED:
            return MachineLabel.objects.none()
        settled = SETTLED & Q(comparison__machine_vote="")
        agree = Case(
            When(~settled, then=Value(None)),
            When(RIGHT, then=Value(True)),
            default=Value(False),
            output_field=BooleanField(null=True),
        )
        labels = found.labels.all()
        if not disclosure.may_follow_sample(user_of(self.request), found.project):
            labels = disclosure.told(labels)
        rows = labels.select_related("comparison").annotate(people_agree=agree)
        return rows if use is None else rows.filter(use=use)

    @extend_schema(parameters=[OpenApiParameter("use", enum=MachineLabel.Use.values)])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


def _found(request: Request, slug: str, number: int, permission: str) -> MachineLabelling:
    project = access.require(request.user, slug, permission)
    found: MachineLabelling = get_object_or_404(project.machine_labellings, number=number)
    found.project = project
    return found


def _told(found: MachineLabelling, user: User) -> dict[str, Any]:
    project = found.project
    found.refresh_from_db()
    may_follow = found.state in DECIDED or disclosure.may_follow_sample(user, project)
    settled = deciding.sample_progress(found)["settled"] if may_follow else None
    found.sample_settled = settled  # type: ignore[attr-defined]
    out = deciding.taken_out(found) if found.state in DECIDED else None
    found.taken_out = out  # type: ignore[attr-defined]
    return dict(MachineLabellingDetailSerializer(found).data)

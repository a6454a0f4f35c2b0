"""REST of projects: whose they are, their settings, their progress."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from annotation import access, projects
from annotation.api.base import (
    ARCHIVED_PARAMETER,
    ById,
    KnownParameters,
    archived_of,
    idempotent,
    user_of,
)
from annotation.blindness import MEASURING_SETTINGS, is_blind
from annotation.models import Membership, Project
from annotation.models.projects import Role
from annotation.progress import member_progress, own_progress, progress_of, size


class ProjectSerializer(serializers.ModelSerializer):
    """A project as a member sees it: how people are measured is for reviewers."""

    role = serializers.SerializerMethodField(help_text="Your role in it.")

    class Meta:
        model = Project
        fields = ["slug", *projects.SETTINGS, "guidelines_version", "created_at", "role"]
        read_only_fields = ["state", "guidelines_version", "created_at"]

    def to_representation(self, project: Project) -> dict[str, Any]:
        shown = super().to_representation(project)
        if shown["role"] not in (Role.REVIEWER, Role.MANAGER):
            shown = {name: value for name, value in shown.items() if name not in MEASURING_SETTINGS}
        return shown

    def get_role(self, project: Project) -> str | None:
        roles: dict[int, str] = self.context.get("roles", {})
        if project.pk in roles:
            return roles[project.pk]
        held = access.role(self.context["request"].user, project)
        return str(held) if held else None

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        default = Project._meta.get_field("judgments_per_comparison").default
        data.setdefault("max_judgments", data.get("judgments_per_comparison", default))
        return fitting({"judgments_per_comparison": default}, data)


class ProjectSettingsSerializer(serializers.ModelSerializer):
    """What a manager may change of a project."""

    class Meta:
        model = Project
        fields = projects.SETTINGS

    def validate(self, data: dict[str, Any]) -> dict[str, Any]:
        return fitting({name: getattr(self.instance, name) for name in projects.SETTINGS}, data)


def fitting(before: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    """``data``, which changes ``before``. Raises ValidationError where they do not fit together."""
    conflicts = projects.conflicts({**before, **data})
    if conflicts:
        raise serializers.ValidationError(conflicts)
    return data


class CountsSerializer(serializers.Serializer):
    """For reviewers; somebody who only annotates sees ``comparisons`` alone, gold included."""

    comparisons = serializers.IntegerField()
    waiting = serializers.IntegerField(required=False)
    decided = serializers.IntegerField(required=False)
    undecided = serializers.IntegerField(required=False)
    disputed = serializers.IntegerField(required=False)
    retired = serializers.IntegerField(
        required=False, help_text="Taken out by a manager; in no other count."
    )
    judgments = serializers.IntegerField(required=False)
    wanted = serializers.IntegerField(required=False)
    surplus = serializers.IntegerField(required=False)
    open_leases = serializers.IntegerField(required=False)
    corrected = serializers.IntegerField(
        required=False,
        help_text="Of `judgments`, those with a corrected response; absent where none is asked.",
    )
    by_machine = serializers.IntegerField(
        required=False, help_text="Of the decided, by a certified machine."
    )
    share = serializers.FloatField(required=False)

    def to_representation(self, instance: Any) -> dict[str, Any]:
        counts = super().to_representation(instance)
        return {name: count for name, count in counts.items() if count is not None}


class OwnCountsSerializer(serializers.Serializer):
    judged = serializers.IntegerField()
    judged_today = serializers.IntegerField()
    skipped = serializers.IntegerField()


class MemberCountsSerializer(serializers.Serializer):
    user = serializers.CharField(source="user.username")
    role = serializers.CharField()
    paused = serializers.BooleanField()
    own = OwnCountsSerializer()


class ProgressSerializer(serializers.Serializer):
    project = CountsSerializer()
    own = OwnCountsSerializer()
    members = MemberCountsSerializer(many=True, required=False, help_text="For reviewers only.")


class Projects(KnownParameters, generics.ListCreateAPIView):
    """Your projects; creating one makes you its manager."""

    scopes = {"GET": "read", "POST": "manage"}
    serializer_class = ProjectSerializer
    pagination_class = ById
    parameters = frozenset({"archived"})

    def get_queryset(self) -> QuerySet[Project]:
        return access.projects(self.request.user, archived=archived_of(self.request))

    def get_serializer_context(self) -> dict[str, Any]:
        context: dict[str, Any] = {**super().get_serializer_context()}
        if self.request.user.is_authenticated and not self.request.user.is_superuser:
            mine = Membership.objects.filter(user=self.request.user)
            context["roles"] = dict(mine.values_list("project", "role"))
        return context

    @extend_schema(parameters=[ARCHIVED_PARAMETER])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @idempotent
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        access.require_project_creation(request.user)
        return super().create(request, *args, **kwargs)

    def perform_create(self, serializer: BaseSerializer[Project]) -> None:
        project = Project(**serializer.validated_data)
        serializer.instance = projects.create(project, manager=user_of(self.request))


class ProjectDetail(KnownParameters, generics.RetrieveAPIView):
    """A project of yours."""

    scopes = {"GET": "read", "PATCH": "manage"}
    serializer_class = ProjectSerializer

    def get_object(self) -> Project:
        return access.require(self.request.user, self.kwargs["slug"], "see")

    @extend_schema(request=ProjectSettingsSerializer, responses=ProjectSerializer)
    def patch(self, request: Request, slug: str) -> Response:
        """Changes settings; changed guidelines get a new version, which people acknowledge."""
        project = access.require(request.user, slug, "manage")
        sent = ProjectSettingsSerializer(project, data=request.data, partial=True)
        sent.is_valid(raise_exception=True)
        projects.change(project, sent.validated_data)
        project.refresh_from_db()
        return Response(ProjectSerializer(project, context=self.get_serializer_context()).data)


class Progress(KnownParameters, APIView):
    """How far a project is, and how far you are in it."""

    scopes = {"GET": "read"}

    @extend_schema(responses=ProgressSerializer)
    def get(self, request: Request, slug: str) -> Response:
        project = access.require(request.user, slug, "see")
        blind = is_blind(user_of(request), project)
        counts: dict[str, Any] = {
            "project": {"comparisons": size(project)} if blind else progress_of(project),
            "own": own_progress(project, user_of(request)),
        }
        if not blind:
            counts["members"] = member_progress(project)
        return Response(ProgressSerializer(counts).data)

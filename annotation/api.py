"""REST of annotating: projects, assignments, judgments, progress."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from annotation import access, leases, projects, queue
from annotation.api_base import ById, KnownParameters, idempotent, user_of
from annotation.api_serializers import (
    AnswerSerializer,
    AssignmentSerializer,
    EditSerializer,
    JudgmentSerializer,
    NextSerializer,
    ProgressSerializer,
    ProjectSerializer,
    ProjectSettingsSerializer,
    SkipSerializer,
)
from annotation.models import Assignment, Judgment, Membership, Project
from annotation.models.projects import Role
from annotation.progress import member_progress, own_progress, progress_of

NOTHING_LEFT = OpenApiResponse(description="There is nothing for you to judge now.")


class Projects(KnownParameters, generics.ListCreateAPIView):
    """Your projects; creating one makes you its manager."""

    scopes = {"GET": "read", "POST": "manage"}
    serializer_class = ProjectSerializer
    pagination_class = ById

    def get_queryset(self) -> QuerySet[Project]:
        return access.projects(self.request.user)

    def get_serializer_context(self) -> dict[str, Any]:
        context: dict[str, Any] = {**super().get_serializer_context()}
        if self.request.user.is_authenticated and not self.request.user.is_superuser:
            mine = Membership.objects.filter(user=self.request.user)
            context["roles"] = dict(mine.values_list("project", "role"))
        return context

    @idempotent
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        access.require_project_creation(request.user)
        return super().create(request, *args, **kwargs)

    @transaction.atomic
    def perform_create(self, serializer: BaseSerializer[Project]) -> None:
        user = user_of(self.request)
        project = serializer.save(created_by=user)
        Membership.objects.create(project=project, user=user, role=Role.MANAGER)


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
        kept = ("guidelines", "judgments_per_comparison", "max_judgments")
        before = {name: getattr(project, name) for name in kept}
        projects.change(project, {**before, **sent.validated_data})
        project.refresh_from_db()
        return Response(ProjectSerializer(project, context=self.get_serializer_context()).data)


class Progress(KnownParameters, APIView):
    """How far a project is, and how far you are in it."""

    scopes = {"GET": "read"}

    @extend_schema(responses=ProgressSerializer)
    def get(self, request: Request, slug: str) -> Response:
        project = access.require(request.user, slug, "see")
        counts: dict[str, Any] = {
            "project": progress_of(project),
            "own": own_progress(project, user_of(request)),
        }
        if access.may(request.user, project, "review"):
            counts["members"] = member_progress(project)
        return Response(ProgressSerializer(counts).data)


class NextAssignment(KnownParameters, APIView):
    """The comparison that you should judge now. Asking again gives the same one."""

    scopes = {"POST": "annotate"}

    @extend_schema(request=NextSerializer, responses={200: AssignmentSerializer, 204: NOTHING_LEFT})
    def post(self, request: Request, slug: str) -> Response:
        project = access.require(request.user, slug, "annotate")
        asked = NextSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        ahead_of = asked.validated_data.get("ahead_of")
        tokens = [ahead_of] if ahead_of else []
        assignment = queue.claim(project, user_of(request), ahead_of=tokens)
        if assignment is None:
            return Response(status=status.HTTP_204_NO_CONTENT)
        return Response(AssignmentSerializer(assignment).data)


def own_assignment(request: Request, token: uuid.UUID) -> Assignment:
    """The person's own assignment, if they are still in its project."""
    mine = Assignment.objects.select_related("project").filter(annotator=user_of(request))
    assignment = get_object_or_404(mine, token=token)
    access.require(request.user, assignment.project, "annotate")
    return assignment


class AssignmentDetail(KnownParameters, APIView):
    """A comparison that is or was yours to judge."""

    scopes = {"GET": "annotate"}

    @extend_schema(responses=AssignmentSerializer)
    def get(self, request: Request, token: uuid.UUID) -> Response:
        assignment = own_assignment(request, token)
        return Response(AssignmentSerializer(leases.load(assignment.pk, assignment.project)).data)


class SubmitJudgment(KnownParameters, APIView):
    """Answers an assignment. Sending the same answer again is answered the same, with 200."""

    scopes = {"POST": "annotate"}

    @extend_schema(
        request=AnswerSerializer, responses={201: JudgmentSerializer, 200: JudgmentSerializer}
    )
    def post(self, request: Request, token: uuid.UUID) -> Response:
        own_assignment(request, token)
        sent = AnswerSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        submission = queue.submit(
            user_of(request),
            token,
            sent.answer(),
            client_uuid=sent.validated_data["client_uuid"],
        )
        code = status.HTTP_201_CREATED if submission.created else status.HTTP_200_OK
        return Response(JudgmentSerializer(submission.judgment).data, status=code)


class RenewAssignment(KnownParameters, APIView):
    """Holds an assignment for another period."""

    scopes = {"POST": "annotate"}

    @extend_schema(request=None, responses=AssignmentSerializer)
    def post(self, request: Request, token: uuid.UUID) -> Response:
        own_assignment(request, token)
        return Response(AssignmentSerializer(queue.renew(user_of(request), token)).data)


class SkipAssignment(KnownParameters, APIView):
    """Gives an assignment back for good; you are not asked again."""

    scopes = {"POST": "annotate"}

    @extend_schema(request=SkipSerializer, responses=AssignmentSerializer)
    def post(self, request: Request, token: uuid.UUID) -> Response:
        own_assignment(request, token)
        sent = SkipSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        assignment = queue.skip(user_of(request), token, **sent.validated_data)
        return Response(AssignmentSerializer(assignment).data)


class OwnJudgments(KnownParameters, APIView):
    """Your last answers in a project, newest first: the ones that can still be changed."""

    scopes = {"GET": "annotate"}

    @extend_schema(responses=JudgmentSerializer(many=True))
    def get(self, request: Request, slug: str) -> Response:
        project = access.require(request.user, slug, "annotate")
        judgments = queue.editable_judgments(project, user_of(request))
        return Response(JudgmentSerializer(judgments, many=True).data)


class JudgmentDetail(KnownParameters, APIView):
    """One of your judgments. A change is a new version; nothing is overwritten."""

    scopes = {"GET": "annotate", "PUT": "annotate"}

    @extend_schema(responses=JudgmentSerializer)
    def get(self, request: Request, pk: int) -> Response:
        return Response(JudgmentSerializer(self._own(request, pk)).data)

    @extend_schema(request=EditSerializer, responses=JudgmentSerializer)
    def put(self, request: Request, pk: int) -> Response:
        self._own(request, pk)
        sent = EditSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        judgment = queue.edit(
            user_of(request),
            pk,
            sent.answer(),
            version=sent.validated_data["version"],
            client_uuid=sent.validated_data["client_uuid"],
        )
        return Response(JudgmentSerializer(judgment).data)

    def _own(self, request: Request, pk: int) -> Judgment:
        mine = Judgment.objects.select_related("assignment__project")
        judgment = mine.filter(pk=pk, assignment__annotator=user_of(request)).first()
        if judgment is None:
            raise Http404
        access.require(request.user, judgment.assignment.project, "annotate")
        return judgment

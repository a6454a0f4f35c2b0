"""REST of annotating: the next assignment, its answer, changes of the answer."""

from __future__ import annotations

import uuid

from django.http import Http404
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access, leases, queue
from annotation.api.base import KnownParameters, user_of
from annotation.api.serializers import (
    AnswerSerializer,
    AssignmentSerializer,
    EditSerializer,
    JudgmentSerializer,
    NextSerializer,
    SkipSerializer,
)
from annotation.models import Judgment

NOTHING_LEFT = OpenApiResponse(description="There is nothing for you to judge now.")


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


class AssignmentDetail(KnownParameters, APIView):
    """A comparison that is or was yours to judge."""

    scopes = {"GET": "annotate"}

    @extend_schema(responses=AssignmentSerializer)
    def get(self, request: Request, token: uuid.UUID) -> Response:
        assignment = access.require_assignment(user_of(request), token)
        return Response(AssignmentSerializer(leases.load(assignment.pk, assignment.project)).data)


class SubmitJudgment(KnownParameters, APIView):
    """Answers an assignment. Sending the same answer again is answered the same, with 200."""

    scopes = {"POST": "annotate"}

    @extend_schema(
        request=AnswerSerializer, responses={201: JudgmentSerializer, 200: JudgmentSerializer}
    )
    def post(self, request: Request, token: uuid.UUID) -> Response:
        access.require_assignment(user_of(request), token)
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
        access.require_assignment(user_of(request), token)
        return Response(AssignmentSerializer(queue.renew(user_of(request), token)).data)


class SkipAssignment(KnownParameters, APIView):
    """Gives an assignment back for good; you are not asked again."""

    scopes = {"POST": "annotate"}

    @extend_schema(request=SkipSerializer, responses=AssignmentSerializer)
    def post(self, request: Request, token: uuid.UUID) -> Response:
        access.require_assignment(user_of(request), token)
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

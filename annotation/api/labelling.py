"""REST of annotating: the next assignment, its answer, changes of the answer."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import Http404
from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access, blindness, leases, queue
from annotation.answers import LONGEST_NOTE, SPAN_KINDS, Answer
from annotation.api.base import KnownParameters, user_of
from annotation.api.serializers import ImageSerializer, TurnSerializer
from annotation.models import Assignment, Judgment
from annotation.models.projects import Correct
from annotation.models.work import ANSWER_FIELDS, Choice
from annotation.texts import LONGEST_TEXT

NOTHING_LEFT = OpenApiResponse(description="There is nothing for you to judge now.")


class ShownResponseSerializer(serializers.Serializer):
    """A response as the annotator sees it: a label and a text, and the number to answer with."""

    label = serializers.ChoiceField(["A", "B"])  # type: ignore[assignment]
    response = serializers.IntegerField(help_text="1 for A, 2 for B: what an answer names.")
    text = serializers.CharField()


class AssignmentSerializer(serializers.Serializer):
    """A comparison on lease. Models, votes, gold and ids of records are not in it."""

    token = serializers.UUIDField()
    project = serializers.CharField()
    state = serializers.ChoiceField(Assignment.State.choices)
    expires_at = serializers.DateTimeField()
    question = serializers.CharField()
    image = ImageSerializer()
    conversation = TurnSerializer(many=True)
    responses = ShownResponseSerializer(many=True, help_text="In the order to show them.")
    ask_correction = serializers.ChoiceField(
        Correct.choices, help_text="Which response to correct after the choice; empty for none."
    )
    correction_required = serializers.BooleanField()

    def to_representation(self, assignment: Assignment) -> dict[str, Any]:
        # By hand: this is made for each comparison anybody sees, and fields take 1 ms more.
        prompt, image = assignment.comparison.prompt, assignment.comparison.prompt.image
        return {
            "token": assignment.token,
            "project": assignment.project.slug,
            "state": assignment.state,
            "expires_at": assignment.expires_at,
            "question": assignment.project.question,
            "image": {
                "sha256": image.sha256,
                "url": reverse("annotation-api:image", args=[image.sha256]),
                "width": image.width,
                "height": image.height,
                "bytes": image.bytes,
                "format": image.format,
            },
            "conversation": prompt.conversation,
            "responses": [
                {"label": label, "response": number, "text": text}
                for label, number, text in assignment.responses
            ],
            "ask_correction": assignment.project.ask_correction,
            "correction_required": assignment.project.correction_required,
        }


class NextSerializer(serializers.Serializer):
    ahead_of = serializers.UUIDField(
        required=False, allow_null=True, help_text="The lease on screen, to load one ahead of it."
    )


class SkipSerializer(serializers.Serializer):
    reason = serializers.ChoiceField(Assignment.SkipReason.choices)
    note = serializers.CharField(required=False, allow_blank=True, max_length=LONGEST_NOTE)


class SpanSerializer(serializers.Serializer):
    """Hallucinated words, by character offsets in the response."""

    response = serializers.IntegerField(min_value=1, max_value=2)
    start = serializers.IntegerField(min_value=0)
    end = serializers.IntegerField(min_value=1)
    kind = serializers.ChoiceField(SPAN_KINDS)


class CorrectionSerializer(serializers.Serializer):
    """A response as it ought to read: its own text where nothing in it is false."""

    response = serializers.IntegerField(min_value=1, max_value=2)
    text = serializers.CharField(allow_blank=True, trim_whitespace=False, max_length=LONGEST_TEXT)


class AnswerSerializer(serializers.Serializer):
    """An answer; ``more_helpful`` is given after a tie and only then."""

    client_uuid = serializers.UUIDField(help_text="The same for each attempt to send one answer.")
    more_hallucinated = serializers.ChoiceField(Choice.choices)
    more_helpful = serializers.ChoiceField(Choice.choices, required=False, allow_blank=True)
    spans = SpanSerializer(many=True, required=False)
    corrections = CorrectionSerializer(
        many=True,
        required=False,
        help_text="Asked for where the assignment says so (`ask_correction`), of the response that "
        "the answer makes the better, or the worse, one.",
    )
    confidence = serializers.IntegerField(min_value=1, max_value=5, required=False, allow_null=True)
    note = serializers.CharField(
        required=False, allow_blank=True, max_length=LONGEST_NOTE, trim_whitespace=False
    )
    active_seconds = serializers.FloatField(min_value=0, required=False, allow_null=True)

    def answer(self, assignment: Assignment) -> Answer:
        data = {**self.validated_data}
        for name in ("client_uuid", "version"):
            data.pop(name, None)
        for name in ("spans", "corrections"):
            if name in data:
                data[name] = [dict(part) for part in data[name]]
        return blindness.meant(Answer(**data), assignment)


class EditSerializer(AnswerSerializer):
    version = serializers.IntegerField(min_value=1, help_text="The version you saw.")


class JudgmentSerializer(serializers.ModelSerializer):
    """One's own judgment, as it stands; whether it counts is not told (annotation.blindness)."""

    assignment = serializers.UUIDField(source="assignment.token")

    class Meta:
        model = Judgment
        fields = ["id", "assignment", "version", *ANSWER_FIELDS, "created_at", "changed_at"]

    def to_representation(self, judgment: Judgment) -> dict[str, Any]:
        # By hand, as above: it answers each answer.
        return {
            "id": judgment.pk,
            "assignment": judgment.assignment.token,
            "version": judgment.version,
            **{name: getattr(judgment, name) for name in ANSWER_FIELDS},
            **blindness.told(judgment),
            "created_at": judgment.created_at,
            "changed_at": judgment.changed_at,
        }


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
        assignment = access.require_assignment(user_of(request), token)
        sent = AnswerSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        submission = queue.submit(
            user_of(request),
            token,
            sent.answer(assignment),
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
        own = self._own(request, pk)
        sent = EditSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        judgment = queue.edit(
            user_of(request),
            pk,
            sent.answer(own.assignment),
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

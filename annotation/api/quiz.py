"""REST of the entry quiz: its questions, everybody's results, letting in and one more attempt."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access
from annotation.api.base import KnownParameters, idempotent, user_of
from annotation.models import Comparison, Membership, Project
from annotation.onboarding import quiz, quiz_desk

MOST_QUESTIONS = 200


class QuizQuestionSerializer(serializers.Serializer):
    """A gold comparison that newcomers are asked, and how often it was answered rightly."""

    id = serializers.IntegerField(help_text="Of the comparison.")
    external_id = serializers.CharField()
    right = serializers.IntegerField()
    answers = serializers.IntegerField()


class QuizAttemptSerializer(serializers.Serializer):
    right = serializers.IntegerField()
    questions = serializers.IntegerField()
    passed = serializers.BooleanField(allow_null=True, help_text="Null while it is under way.")


class QuizGrantSerializer(serializers.Serializer):
    granted_by = serializers.CharField(source="granted_by.username", default=None, allow_null=True)
    granted_at = serializers.DateTimeField()


class QuizResultSerializer(serializers.Serializer):
    """How one annotator stands with the quiz."""

    member = serializers.IntegerField(source="membership.pk")
    username = serializers.CharField(source="membership.user.username")
    state = serializers.ChoiceField(quiz_desk.State.choices)
    attempts = serializers.SerializerMethodField()
    attempts_left = serializers.IntegerField()
    grants = QuizGrantSerializer(many=True, help_text="Attempts beyond those of the project.")
    admitted_at = serializers.DateTimeField(source="membership.quiz_admitted_at", allow_null=True)
    admitted_by = serializers.CharField(
        source="membership.quiz_admitted_by.username", default=None, allow_null=True
    )

    @extend_schema_field(QuizAttemptSerializer(many=True))
    def get_attempts(self, result: quiz_desk.Result) -> list[dict[str, Any]]:
        names = ("right", "questions", "passed")
        return [dict(zip(names, one, strict=True)) for one in result.attempts]


class QuizSerializer(serializers.Serializer):
    """The quiz as its managers see it; it is on while it has questions and a pass mark."""

    pass_mark = serializers.FloatField(help_text="A setting of the project, as is the next one.")
    attempts = serializers.IntegerField()
    needed = serializers.IntegerField(help_text="Right answers that pass.")
    questions = QuizQuestionSerializer(many=True)
    people = QuizResultSerializer(many=True)


class QuizQuestionsSerializer(serializers.Serializer):
    questions = serializers.ListField(
        child=serializers.IntegerField(min_value=1),
        max_length=MOST_QUESTIONS,
        help_text="Gold comparisons of the project, by id; none for no quiz.",
    )


class Quiz(KnownParameters, APIView):
    """The entry quiz of a project."""

    scopes = {"GET": "manage", "PUT": "manage"}

    @extend_schema(responses=QuizSerializer)
    def get(self, request: Request, slug: str) -> Response:
        return _answer(access.require(request.user, slug, "manage"))

    @extend_schema(request=QuizQuestionsSerializer, responses=QuizSerializer)
    def put(self, request: Request, slug: str) -> Response:
        """Makes exactly these comparisons the questions."""
        project = access.require(request.user, slug, "manage")
        sent = QuizQuestionsSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        quiz.choose(project, sent.validated_data["questions"])
        return _answer(project)


def _answer(project: Project) -> Response:
    chosen = list(quiz.questions(project))
    about = {
        "pass_mark": project.quiz_pass_mark,
        "attempts": project.quiz_attempts,
        "needed": quiz.needed(len(chosen), project.quiz_pass_mark),
        "questions": _questions(chosen, quiz_desk.difficulty(project)),
        "people": quiz_desk.results(project),
    }
    return Response(QuizSerializer(about).data)


def _questions(
    chosen: list[Comparison], difficulty: dict[int, tuple[int, int]]
) -> list[dict[str, Any]]:
    counted = ((one, *difficulty.get(one.pk, (0, 0))) for one in chosen)
    return [
        {"id": one.pk, "external_id": one.external_id, "right": right, "answers": answers}
        for one, right, answers in counted
    ]


class QuizAdmission(KnownParameters, APIView):
    """Letting a member in without a pass."""

    scopes = {"POST": "manage"}

    @extend_schema(request=None, responses=QuizResultSerializer)
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Asking again changes nothing; who let them in, and when, is kept."""
        membership = annotator(request, slug, pk)
        quiz_desk.admit(membership, user_of(request))
        return Response(QuizResultSerializer(quiz_desk.result_of(membership)).data)


class QuizAttempts(KnownParameters, APIView):
    """Attempts beyond those that the project allows."""

    scopes = {"POST": "manage"}

    @extend_schema(request=None, responses={201: QuizResultSerializer})
    @idempotent
    def post(self, request: Request, slug: str, pk: int) -> Response:
        """Grants one more attempt to a member who has none left; 409 for anybody else."""
        membership = annotator(request, slug, pk)
        quiz_desk.grant(membership, user_of(request))
        standing = QuizResultSerializer(quiz_desk.result_of(membership)).data
        return Response(standing, status=status.HTTP_201_CREATED)


def annotator(request: Request, slug: str, pk: int) -> Membership:
    """A member for whom the quiz is; the project's other members are not found."""
    project = access.require(request.user, slug, "manage")
    return get_object_or_404(quiz_desk.annotators(project), pk=pk)

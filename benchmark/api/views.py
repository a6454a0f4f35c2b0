"""REST of benchmarks: question sets, judges, evaluations and their answers."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, QuerySet
from django.forms import Form
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access as projects_access
from annotation.access import Permission
from annotation.api.base import ById, KnownParameters, idempotent, user_of
from benchmark import access
from benchmark.answer_upload import AnswersForm
from benchmark.api.serializers import (
    AnswersInSerializer,
    EvaluatedAnswerSerializer,
    EvaluationInSerializer,
    EvaluationSerializer,
    JudgeSerializer,
    QuestionSetSerializer,
    QuestionSetsMadeSerializer,
    QuestionsInSerializer,
    ReportCardSerializer,
    RunStartedSerializer,
)
from benchmark.evaluation_requests import Wanted, judge_evaluation, request_evaluation
from benchmark.models import Answer, Evaluation, Judge, QuestionSet, ReportCard
from benchmark.question_upload import QuestionsForm
from benchmark.report_cards.kind import request_report


class QuestionSets(KnownParameters, generics.ListAPIView):
    """The benchmarks that models can be evaluated on."""

    scopes = {"GET": "read", "POST": "manage"}
    serializer_class = QuestionSetSerializer
    pagination_class = ById
    parser_classes = [MultiPartParser]

    def get_queryset(self) -> QuerySet[QuestionSet]:
        sets: QuerySet[QuestionSet] = access.question_sets(self.request.user)
        return sets.annotate(question_count=Count("questions"))

    @extend_schema(
        request={"multipart/form-data": QuestionsInSerializer},
        responses={201: QuestionSetsMadeSerializer},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Administrators only. The set of each file of questions; a known one is found again."""
        access.require_question_importer(request.user)
        sent: Any = request.data
        form = QuestionsForm(sent, request.FILES)
        made = form.start() if form.is_valid() else []
        if not made:
            raise ValidationError(_plain(form))
        numbers = [question_set.pk for question_set in made]
        found = self.get_queryset().filter(pk__in=numbers)
        answer = QuestionSetsMadeSerializer({"question_sets": found})
        return Response(answer.data, status=status.HTTP_201_CREATED)


def _plain(form: Form) -> dict[str, list[str]]:
    return {name: [str(error) for error in errors] for name, errors in form.errors.items()}


class Judges(KnownParameters, generics.ListAPIView):
    """Who can rate answers."""

    scopes = {"GET": "read"}
    serializer_class = JudgeSerializer
    pagination_class = ById

    def get_queryset(self) -> QuerySet[Judge]:
        readable = access.may_read(self.request.user)
        return Judge.objects.all() if readable else Judge.objects.none()


class Evaluations(KnownParameters, generics.ListAPIView):
    """The evaluations of your projects, and those that belong to none."""

    scopes = {"GET": "read", "POST": "train"}
    serializer_class = EvaluationSerializer
    pagination_class = ById
    parameters = frozenset({"state", "question_set"})

    def get_queryset(self) -> QuerySet[Evaluation]:
        found = access.evaluations(self.request.user).with_origin()
        state = self.request.query_params.get("state")
        if state is not None:
            if state not in Evaluation.State.values:
                raise ValidationError({"state": f"One of {', '.join(Evaluation.State.values)}."})
            found = found.filter(state=state)
        question_set = self.request.query_params.get("question_set")
        if question_set is not None:
            if not question_set.isdecimal():
                raise ValidationError({"question_set": "The number of a question set."})
            found = found.filter(question_set=int(question_set))
        return found

    @extend_schema(
        parameters=[
            OpenApiParameter("state", enum=Evaluation.State.values),
            OpenApiParameter("question_set", type=int),
        ]
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(request=EvaluationInSerializer, responses={201: RunStartedSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        named = request.data.get("project") if isinstance(request.data, dict) else None
        if isinstance(named, str):  # Who may not ask here is told so, before what is wrong else.
            projects_access.require(request.user, named, Permission.MANAGE)
        managed = projects_access.projects_where(request.user, Permission.MANAGE)
        asked = EvaluationInSerializer(data=request.data, projects=managed)
        asked.is_valid(raise_exception=True)
        chosen = dict(asked.validated_data)
        project = projects_access.require(request.user, chosen.pop("project"), Permission.MANAGE)
        if chosen["checkpoint"] is None:
            measured = judge_evaluation(
                chosen["question_set"],
                chosen["judge"],
                project=project,
                created_by=user_of(request),
            )
            answer = RunStartedSerializer({"run": None, "evaluation": measured.pk})
        else:
            wanted = Wanted(project=project, requested_by=user_of(request), **chosen)
            answer = RunStartedSerializer({"run": request_evaluation(wanted).pk})
        return Response(answer.data, status=status.HTTP_201_CREATED)


class BroughtAnswers(KnownParameters, APIView):
    """Answers that a model gave elsewhere, as a file."""

    scopes = {"POST": "train"}
    parser_classes = [MultiPartParser]

    @extend_schema(
        request={"multipart/form-data": AnswersInSerializer}, responses={201: EvaluationSerializer}
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Hands the answers to the judge; look at the evaluation until it has ended."""
        sent: Any = request.data
        named = sent.get("project")
        if isinstance(named, str):  # Who may not bring any here is told so before all else.
            projects_access.require(request.user, named, Permission.MANAGE)
        form = AnswersForm(sent, request.FILES, user=user_of(request))
        evaluation = form.start() if form.is_valid() else None
        if evaluation is None:
            raise ValidationError(_plain(form))
        answer = EvaluationSerializer(evaluation)
        return Response(answer.data, status=status.HTTP_201_CREATED)


class EvaluationDetail(KnownParameters, generics.RetrieveAPIView):
    """An evaluation with its figures."""

    scopes = {"GET": "read"}
    serializer_class = EvaluationSerializer

    def get_object(self) -> Evaluation:
        return access.evaluation(self.request.user, self.kwargs["pk"])


class ReportCardDetail(KnownParameters, generics.RetrieveAPIView):
    """The report card of a reward model, by the number of its checkpoint."""

    scopes = {"GET": "read", "POST": "train"}
    serializer_class = ReportCardSerializer

    def get_object(self) -> ReportCard:
        checkpoint = access.reward_model(self.request.user, self.kwargs["pk"])
        return get_object_or_404(ReportCard, checkpoint=checkpoint)

    @extend_schema(request=None, responses={201: RunStartedSerializer})
    @idempotent
    def post(self, request: Request, pk: int) -> Response:
        """Queues the run that makes it, or makes it again."""
        checkpoint = access.reward_model(request.user, pk)
        assert checkpoint.run is not None
        projects_access.require(request.user, checkpoint.run.project, Permission.MANAGE)
        run = request_report(checkpoint, user_of(request))
        answer = RunStartedSerializer({"run": run.pk})
        return Response(answer.data, status=status.HTTP_201_CREATED)


class Answers(KnownParameters, generics.ListAPIView):
    """What the model said to each question, with the verdict."""

    scopes = {"GET": "read"}
    serializer_class = EvaluatedAnswerSerializer
    pagination_class = ById

    def get_queryset(self) -> QuerySet[Answer]:
        if getattr(self, "swagger_fake_view", False):
            return Answer.objects.none()
        evaluation = access.evaluation(self.request.user, self.kwargs["pk"])
        answers = Answer.objects.filter(evaluation=evaluation).select_related("question")
        return answers.judged_by(evaluation)

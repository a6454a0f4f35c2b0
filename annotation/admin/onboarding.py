"""Guidelines, worked examples and the entry quiz; studies and who took part."""

from django.contrib import admin

from annotation.admin.permissions import ReadOnlyAdmin
from annotation.models import (
    Participant,
    QuizAnswer,
    QuizAttempt,
    QuizGrant,
    QuizQuestion,
    Study,
    SupersededGuidelines,
    WorkedExample,
)


@admin.register(SupersededGuidelines)
class SupersededGuidelinesAdmin(ReadOnlyAdmin):
    list_display = ["project", "version", "replaced_at"]
    list_select_related = ["project"]


@admin.register(WorkedExample)
class WorkedExampleAdmin(ReadOnlyAdmin):
    list_display = ["comparison", "project", "more_hallucinated", "added_in", "removed_in"]
    list_filter = ["project"]
    list_select_related = ["comparison", "project"]


@admin.register(QuizQuestion)
class QuizQuestionAdmin(ReadOnlyAdmin):
    list_display = ["comparison"]
    list_select_related = ["comparison"]


@admin.register(QuizAttempt)
class QuizAttemptAdmin(ReadOnlyAdmin):
    list_display = ["membership", "number", "passed", "started_at", "ended_at"]
    list_filter = ["passed"]
    list_select_related = ["membership__user", "membership__project"]


@admin.register(QuizGrant)
class QuizGrantAdmin(ReadOnlyAdmin):
    list_display = ["membership", "granted_by", "granted_at"]
    list_select_related = ["membership__user", "membership__project", "granted_by"]


@admin.register(QuizAnswer)
class QuizAnswerAdmin(ReadOnlyAdmin):
    list_display = ["attempt", "position", "comparison", "known", "given"]
    list_select_related = ["attempt__membership__user", "attempt__membership__project"]


@admin.register(Study)
class StudyAdmin(ReadOnlyAdmin):
    list_display = ["name", "project", "platform", "created_at"]
    list_select_related = ["project"]
    exclude = ["digest"]


@admin.register(Participant)
class ParticipantAdmin(ReadOnlyAdmin):
    list_display = ["user", "study", "arrived_at", "finished_at"]
    list_select_related = ["user", "study"]

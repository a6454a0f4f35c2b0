"""The site for administrators. What was measured is shown and cannot be edited here."""

from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from annotation.admin.permissions import ChangedBySuperusers, ReadOnlyAdmin
from benchmark.models import Answer, Evaluation, Judge, Question, QuestionSet, SharedLink, Verdict
from config.json_fields import JSONField


@admin.register(QuestionSet)
class QuestionSetAdmin(ReadOnlyAdmin):
    """What was imported stands; in which order it is shown is for administrators to say."""

    list_display = ["name", "protocol", "short_version", "place", "created_at"]
    list_editable = ["place"]
    fields = ["name", "protocol", "version", "missing_images", "place"]
    readonly_fields = ["name", "protocol", "version", "missing_images"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.is_superuser


@admin.register(Question)
class QuestionAdmin(ReadOnlyAdmin):
    list_display = ["question_set", "number", "type", "text"]
    list_filter = ["question_set", "type"]
    list_select_related = ["question_set"]


@admin.register(Judge)
class JudgeAdmin(ChangedBySuperusers):
    """A judge may be changed until it has judged: another model or endpoint is another judge.

    By superusers alone: the workers send what an evaluation asks to the address that stands here.
    """

    list_display = ["name", "kind", "model", "base_url", "parser"]
    formfield_overrides = {
        models.URLField: {"assume_scheme": "https"},
        models.JSONField: {"form_class": JSONField},
    }

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        if obj is None or not obj.verdicts.exists():
            return []
        return ["kind", "parser", "base_url", "model", "options"]


@admin.register(Evaluation)
class EvaluationAdmin(ReadOnlyAdmin):
    list_display = ["model_name", "question_set", "judge", "state", "created_at"]
    list_filter = ["state", "question_set", "judge"]
    list_select_related = ["question_set", "judge"]


@admin.register(SharedLink)
class SharedLinkAdmin(ReadOnlyAdmin):
    list_display = ["title", "created_by", "created_at", "expires_at", "revoked_at"]


@admin.register(Answer)
class AnswerAdmin(ReadOnlyAdmin):
    list_display = ["evaluation", "question", "finished"]
    list_select_related = ["evaluation__question_set", "question__question_set"]


@admin.register(Verdict)
class VerdictAdmin(ReadOnlyAdmin):
    list_display = ["answer", "judge", "state", "rating"]
    list_filter = ["state", "judge"]
    list_select_related = ["answer__evaluation__question_set", "judge"]

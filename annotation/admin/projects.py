"""Projects, what is compared in them, what people and machines answered, what came of it."""

from typing import Any

from django.contrib import admin
from django.db import models
from django.http import HttpRequest

from annotation.admin.people import MembershipInline
from annotation.admin.permissions import ReadOnlyAdmin
from annotation.machine.disclosure import told, with_priority_told
from annotation.models import (
    Adjudication,
    Assignment,
    Comparison,
    Figures,
    IdempotentAnswer,
    Image,
    ImageUpload,
    ImportJob,
    Judgment,
    JudgmentVersion,
    MachineLabel,
    MachineLabelling,
    Project,
    Prompt,
    Release,
    WorkDay,
)


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    list_display = ["name", "slug", "state", "judgments_per_comparison", "created_at"]
    list_filter = ["state"]
    search_fields = ["name", "slug"]
    readonly_fields = ["created_by", "guidelines_version"]
    inlines = [MembershipInline]


@admin.register(Image)
class ImageAdmin(ReadOnlyAdmin):
    list_display = ["sha256", "format", "width", "height", "bytes", "created_at"]
    search_fields = ["sha256", "original_sha256"]


@admin.register(ImageUpload)
class ImageUploadAdmin(ReadOnlyAdmin):
    list_display = ["image", "project", "created_at"]
    list_filter = ["project"]
    list_select_related = ["image", "project"]


@admin.register(Prompt)
class PromptAdmin(ReadOnlyAdmin):
    list_display = ["external_id", "project", "caption_type", "created_at"]
    list_filter = ["project", "caption_type"]
    list_select_related = ["project"]
    search_fields = ["external_id"]


@admin.register(Comparison)
class ComparisonAdmin(ReadOnlyAdmin):
    list_display = [
        "external_id",
        "project",
        "outcome",
        "judgment_count",
        "wanted_judgments",
        "open_slots",
        "preference",
        "margin",
    ]
    list_filter = ["outcome", "project"]
    list_select_related = ["project"]
    search_fields = ["external_id"]
    exclude = ["priority"]
    readonly_fields = ["priority_told"]

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[Comparison]:
        return with_priority_told(super().get_queryset(request))

    @admin.display(description="priority")
    def priority_told(self, comparison: Any) -> int:
        """Without what its being in a sample adds: who looks here may annotate too."""
        shown: int = comparison.priority_told
        return shown

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        asks_priority = lookup.split("__")[0] == "priority"
        return not asks_priority and super().lookup_allowed(lookup, value, request)


@admin.register(Assignment)
class AssignmentAdmin(ReadOnlyAdmin):
    list_display = ["comparison", "annotator", "state", "leased_at", "expires_at", "skip_reason"]
    list_filter = ["state", "skip_reason", "project"]
    list_select_related = ["comparison", "annotator"]


@admin.register(Judgment)
class JudgmentAdmin(ReadOnlyAdmin):
    list_display = ["comparison", "more_hallucinated", "more_helpful", "version", "surplus"]
    list_filter = ["surplus", "more_hallucinated"]
    list_select_related = ["comparison"]


@admin.register(JudgmentVersion)
class JudgmentVersionAdmin(ReadOnlyAdmin):
    list_display = ["judgment", "version", "more_hallucinated", "more_helpful", "created_at"]
    list_select_related = ["judgment"]


@admin.register(Adjudication)
class AdjudicationAdmin(ReadOnlyAdmin):
    list_display = ["comparison", "adjudicator", "more_hallucinated", "created_at"]
    list_select_related = ["comparison", "adjudicator"]


@admin.register(Release)
class ReleaseAdmin(ReadOnlyAdmin):
    list_display = ["project", "number", "state", "held_out_share", "frozen_at", "sha256"]
    list_filter = ["state", "project"]
    list_select_related = ["project"]


@admin.register(ImportJob)
class ImportJobAdmin(ReadOnlyAdmin):
    list_display = ["name", "project", "format", "state", "created_count", "created_at"]
    list_filter = ["state", "format"]
    list_select_related = ["project"]


@admin.register(IdempotentAnswer)
class IdempotentAnswerAdmin(ReadOnlyAdmin):
    list_display = ["key", "user", "path", "status", "created_at"]
    list_select_related = ["user"]


@admin.register(Figures)
class FiguresAdmin(ReadOnlyAdmin):
    list_display = ["project", "as_of", "cost_seconds"]
    list_select_related = ["project"]


@admin.register(WorkDay)
class WorkDayAdmin(ReadOnlyAdmin):
    list_display = ["project", "annotator", "day", "answers", "skipped"]
    list_filter = ["project"]
    list_select_related = ["project", "annotator"]


@admin.register(MachineLabelling)
class MachineLabellingAdmin(ReadOnlyAdmin):
    list_display = ["project", "number", "machine_name", "state", "level", "total", "decided_at"]
    list_filter = ["state"]
    list_select_related = ["project"]
    exclude = ["seed"]  # By which the sample can be drawn again.

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        return lookup.split("__")[0] != "seed" and super().lookup_allowed(lookup, value, request)


@admin.register(MachineLabel)
class MachineLabelAdmin(ReadOnlyAdmin):
    """Who looks here may annotate too, so what waits for people is told to nobody."""

    list_display = ["labelling", "comparison", "use", "more_hallucinated", "confidence", "stands"]
    list_filter = ["use", "stands"]
    list_select_related = ["labelling__project", "comparison"]

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[MachineLabel]:
        return told(super().get_queryset(request))

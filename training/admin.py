"""The site for administrators: to look at runs, and to cancel them; never to edit them.

Whatever a form could change here would go past ``training.runs.scheduling`` and its races.
"""

from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest

from annotation.admin.permissions import ReadOnlyAdmin
from training.models import (
    Attempt,
    Chain,
    Checkpoint,
    GpuSlot,
    Metric,
    Run,
    RunColumns,
    RunPin,
    Sample,
)
from training.runs import scheduling


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = ["name", "kind", "state", "stage", "project", "attempt_count", "created_at"]
    list_filter = ["state", "kind", "project"]
    list_select_related = ["project"]
    search_fields = ["name"]
    exclude = ["token"]
    actions = ["cancel"]

    @admin.action(description="Cancel selected runs", permissions=["view"])
    def cancel(self, request: HttpRequest, queryset: models.QuerySet[Run]) -> None:
        cancelled = sum(scheduling.cancel(run) for run in queryset)
        messages.info(request, f"{cancelled} runs are being cancelled.")


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    list_display = ["run", "number", "host", "pid", "heartbeat_at", "outcome"]
    list_filter = ["outcome", "host"]
    list_select_related = ["run"]


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin):
    list_display = ["name", "kind", "run", "step", "final", "size", "created_at"]
    list_filter = ["kind", "final"]
    list_select_related = ["run"]
    search_fields = ["name", "sha256"]


@admin.register(GpuSlot)
class GpuSlotAdmin(ReadOnlyAdmin):
    list_display = ["host", "index", "attempt"]
    list_select_related = ["attempt__run"]


@admin.register(Chain)
class ChainAdmin(ReadOnlyAdmin):
    list_display = ["name", "project", "created_by", "created_at"]
    list_select_related = ["project", "created_by"]


@admin.register(Metric)
class MetricAdmin(ReadOnlyAdmin):
    list_display = ["run", "name", "step", "value"]
    list_select_related = ["run"]
    show_full_result_count = False


@admin.register(Sample)
class SampleAdmin(ReadOnlyAdmin):
    list_display = ["run", "step", "prompt_id", "reward"]
    list_select_related = ["run"]


@admin.register(RunColumns)
class RunColumnsAdmin(ReadOnlyAdmin):
    list_display = ["person", "columns"]
    list_select_related = ["person"]


@admin.register(RunPin)
class RunPinAdmin(ReadOnlyAdmin):
    list_display = ["person", "run"]
    list_select_related = ["person", "run"]

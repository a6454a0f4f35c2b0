"""Figures for Prometheus, in its text format 0.0.4. What cannot be known now is left out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from django.db.models import Avg, Count, DurationField, ExpressionWrapper, F, Max
from django.db.models.functions import Coalesce, Greatest, Now
from django.utils import timezone

from annotation.models import Judgment
from config import wakeup
from training.figures import health
from training.models import Attempt, GpuSlot, Run, State

HOUR = timedelta(hours=1)
QUEUES = ("default", "cpu", "gpu")

Values = Mapping[str, float]
"""Labels as the format writes them, such as ``state="queued"`` or none, -> the figure."""


def text() -> str:
    """All figures. Asks the database and Redis, not the workers."""
    figures: list[tuple[str, str, Values]] = [
        ("factloop_runs", "Runs by state", _by_state()),
        ("factloop_runs_ready", "Runs that a worker could take now", _alone(_ready())),
        (
            "factloop_run_claim_seconds",
            "From ready to claimed, in the last hour",
            _waits(),
        ),
        ("factloop_attempts_last_hour", "Attempts that ended in the last hour", _outcomes()),
        ("factloop_gpu_slots", "GPUs that workers have offered", _slots()),
        ("factloop_gpu_utilisation_ratio", "GPUs of running runs", _gpus("utilisation")),
        ("factloop_gpu_memory_bytes", "Memory in use, GPUs of running runs", _gpus("memory")),
        ("factloop_queue_messages", "Messages that wait", queue_depths()),
        ("factloop_beat_age_seconds", "Since beat was heard of", _beat()),
        ("factloop_disk_free_ratio", "Fullest disk of this host", _alone(health.free_disk_share())),
        ("factloop_judgments_last_hour", "Label rate", _alone(_judgments())),
    ]
    return "".join(_gauge(*figure) for figure in figures)


def queue_depths() -> Values:
    """Messages that wait in each queue; empty while Redis is away."""
    try:
        with health.redis_client() as client:
            return {f'queue="{queue}"': int(client.llen(queue)) for queue in QUEUES}
    except wakeup.AWAY:
        return {}


def _alone(value: float) -> Values:
    return {"": value}


def _by_state() -> Values:
    rows = Run.objects.order_by().values("state").annotate(runs=Count("pk"))
    counted = {row["state"]: row["runs"] for row in rows}
    return {f'state="{state}"': counted.get(state, 0) for state in State.values}


def _ready() -> int:
    return Run.objects.ready().count()


def _waits() -> Values:
    """Mean and greatest seconds of first attempts; empty when there was none."""
    ready_at = Greatest("run__created_at", Coalesce("run__after__finished_at", "run__created_at"))
    waited = ExpressionWrapper(F("claimed_at") - ready_at, output_field=DurationField())
    first = Attempt.objects.filter(number=1, claimed_at__gte=Now() - HOUR)
    waits = first.annotate(waited=waited).aggregate(mean=Avg("waited"), greatest=Max("waited"))
    return {
        f'statistic="{name}"': wait.total_seconds()
        for name, wait in waits.items()
        if wait is not None
    }


def _outcomes() -> Values:
    recent = Attempt.objects.filter(ended_at__gte=timezone.now() - HOUR).order_by()
    rows = recent.values("outcome").annotate(attempts=Count("pk"))
    counted = {row["outcome"]: row["attempts"] for row in rows}
    ends = (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.LOST)
    return {f'outcome="{end}"': counted.get(end, 0) for end in ends}


def _slots() -> Values:
    slots, used = GpuSlot.objects.count(), GpuSlot.objects.exclude(attempt=None).count()
    return {'state="used"': used, 'state="free"': slots - used}


def _gpus(what: str) -> Values:
    going = Attempt.objects.filter(ended_at=None).values_list("host", "usage")
    return {
        f'host="{_escaped(host)}",index="{gpu["index"]}"': gpu[what]
        for host, usage in going
        for gpu in usage.get("gpus", [])
    }


def _escaped(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _beat() -> Values:
    try:
        age = health.beat_age()
    except wakeup.AWAY:
        return {}
    return {} if age is None else _alone(age)


def _judgments() -> int:
    return Judgment.objects.filter(created_at__gte=timezone.now() - HOUR).count()


def _gauge(name: str, help_text: str, values: Values) -> str:
    if not values:
        return ""
    rows = [
        f"{name}{{{labels}}} {value}" if labels else f"{name} {value}"
        for labels, value in values.items()
    ]
    return "\n".join([f"# HELP {name} {help_text}", f"# TYPE {name} gauge", *rows, ""])

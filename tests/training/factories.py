"""Plain functions that make bases, checkpoints and queued runs for tests."""

from __future__ import annotations

from typing import Any

from tests.factories import make_member, make_project
from tests.numbers import number as new_number
from training.models import Checkpoint, Run
from training.runs import requests
from training.runs.requests import Common, Step


def make_base(**fields: Any) -> Checkpoint:
    fields = {"name": f"base-{new_number()}", "source": "/models/tiny", **fields}
    return Checkpoint.objects.create(kind=Checkpoint.Kind.BASE, **fields)


def make_checkpoint(run: Run, **fields: Any) -> Checkpoint:
    """A final policy of ``run`` whose files were never stored."""
    fields = {
        "kind": Checkpoint.Kind.POLICY,
        "name": f"checkpoint-{new_number()}",
        "base": run.base,
        "path": f"checkpoints/test-{new_number()}",
        **fields,
    }
    return Checkpoint.objects.create(run=run, **fields)


def make_common(project: Any = None, **fields: Any) -> Common:
    project = project or make_project()
    fields = {"requested_by": make_member(project, "manager"), "base": make_base(), **fields}
    return Common(project=project, **fields)


def make_run(
    project: Any = None,
    *,
    kind: str = "fake_reward",
    script: dict[str, Any] | None = None,
    after: Run | None = None,
    changes: dict[str, Any] | None = None,
    **fields: Any,
) -> Run:
    """A queued run of a fake kind, whose trainer does what ``script`` says."""
    if after is not None:
        project = project or after.project
        fields.setdefault("base", after.base)
    step = Step(kind, changes=changes or {}, options={"script": script or {}})
    return requests.request_run(make_common(project, **fields), step, after=after)

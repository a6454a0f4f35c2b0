"""The stages of a machine labelling, and what each step from one to the next does besides."""

from __future__ import annotations

import uuid
from typing import Any

from django.db.models import Q

from annotation import priorities
from annotation.errors import DomainError
from annotation.models import Comparison, MachineLabel, MachineLabelling
from annotation.notices import writing

State, Use = MachineLabelling.State, MachineLabel.Use
DECIDED = (State.CERTIFIED, State.REFUSED, State.WITHDRAWN)
"""Whose sample has been looked at."""
SAMPLE_POINTS = 10_000
"""Beyond what reward models and managers give: the sample is asked first."""
OPEN = Q(comparison__outcome=Comparison.Outcome.WAITING)
SETTLED = ~OPEN & ~Q(comparison__outcome=Comparison.Outcome.RETIRED)
"""What a manager takes out is settled by nobody: of a sample it is waited for no longer, and counts
as what it was settled as, if it was."""
RIGHT = (
    ~OPEN
    & Q(comparison__hallucination=True)
    & (
        Q(more_hallucinated="1", comparison__preference=2)
        | Q(more_hallucinated="2", comparison__preference=1)
    )
)


class NotAtThisStage(DomainError):
    status = 409
    title = "The labelling is not at a stage for this"


def move(labelling: MachineLabelling, state: str, *, to: str, **fields: Any) -> bool:
    """One step, unless somebody was faster."""
    rows = MachineLabelling.objects.filter(pk=labelling.pk, state=state)
    moved = bool(rows.update(state=to, **fields))
    if moved:
        labelling.state = to
    return moved


def tell(labelling: MachineLabelling, kind: str, said: str) -> None:
    project = labelling.project
    writing.tell(
        kind,
        writing.members(project),
        event=f"{kind}:{labelling.pk}:{uuid.uuid4()}",
        title=f"{labelling.machine_name} in {project.name} {said}",
        link=labelling.get_absolute_url(),
        project=project,
    )


def raise_sample(labelling: MachineLabelling, points: int) -> None:
    sample = labelling.labels.filter(use=Use.SAMPLE).values_list("comparison", flat=True)
    priorities.raise_all(labelling.project, sample, points)

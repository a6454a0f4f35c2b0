"""What is told of a machine labelling to people who may still be asked about its comparisons."""

from __future__ import annotations

from django.db.models import Case, Exists, F, OuterRef, QuerySet, When
from django.db.models.functions import Least

from annotation import access, priorities
from annotation.machine.stages import DECIDED, SAMPLE_POINTS, SETTLED, Use
from annotation.models import Assignment, Comparison, MachineLabel, MachineLabelling, Project, User


def with_priority_told(comparisons: QuerySet[Comparison]) -> QuerySet[Comparison]:
    """Each with ``priority_told``: its priority without what its being in a sample adds.

    Whoever reviews may annotate too, and must not read off who is in the sample.
    """
    sample = MachineLabel.objects.filter(
        comparison=OuterRef("pk"), use=Use.SAMPLE, labelling__state__in=MachineLabelling.UNDER_WAY
    )
    own = Case(When(Exists(sample), then=F("priority") - SAMPLE_POINTS), default=F("priority"))
    # No priority so near the end that the sample's points did not fit is told from another.
    return comparisons.annotate(priority_told=Least(own, priorities.HIGHEST - SAMPLE_POINTS))


def told(labels: QuerySet[MachineLabel]) -> QuerySet[MachineLabel]:
    """Those that are shown to whoever may be asked about their comparisons themselves.

    Of what waits for people (the sample, the audit, what the machine is not sure of, and all of it
    once it is withdrawn) nobody is told what the machine said, nor that it was asked, before
    people have settled it.
    """
    return labels.filter(SETTLED, labelling__state__in=DECIDED)


def may_follow_sample(user: User, project: Project) -> bool:
    """Whether ``user`` is told how much of a sample is settled: managers who do not annotate here.

    A count that one's own answer moves says that the answer was one to the sample (decision 022a).
    """
    handed_out = Assignment.objects.filter(project=project, annotator=user)
    return access.may(user, project, "manage") and not handed_out.exists()

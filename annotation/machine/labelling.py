"""A machine labelling from its request to its end: the contract.

1. ``request`` draws, before anything is asked, which waiting comparisons that nobody has begun the
   machine is asked about, and which of them are the sample: all at random, by a kept seed. Nobody
   is told the seed, from which all could be drawn again; the certificate holds its digest.
2. The sample is handed out to people like any other, only sooner; the audit is, at its own time.
   Neither ever becomes a machine's vote, so what people are shown does not depend on the machine.
3. A label is wrong unless people settle on the very same: this response hallucinates more. Equal,
   disputed, or decided by helpfulness alone is wrong, and so is what is not settled yet.
4. ``deciding.look`` certifies once people have settled the whole sample (``certifying``), and takes
   as votes what is confident enough and nobody has begun. A certificate is written once.
5. ``deciding.look`` goes on looking: when the audit speaks against the promise, or changed answers
   no longer carry it, all votes of the labelling go back to people.
6. Each step is one conditional UPDATE of the state within the transaction that carries it out;
   whoever finds another state stops.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, Max, OuterRef, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from annotation.errors import DomainError
from annotation.machine import labellers
from annotation.machine.certifying import fewest
from annotation.machine.deciding import look
from annotation.machine.stages import (
    SAMPLE_POINTS,
    NotAtThisStage,
    State,
    Use,
    move,
    raise_sample,
    tell,
)
from annotation.models import Assignment, Comparison, MachineLabel, MachineLabelling, Project, User

log = logging.getLogger(__name__)


class CannotLabel(DomainError):
    """``field`` names what is wrong."""

    status = 422
    title = "The comparisons cannot be labelled like this"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a machine says of one comparison: 1 or 2 hallucinates more, or "" for cannot tell."""

    more_hallucinated: str
    confidence: float | None


# --- Asking ---------------------------------------------------------------------------------------


def candidates(project: Project) -> QuerySet[Comparison]:
    """What a machine may be asked about: waiting, begun by nobody, and asked of nobody again."""
    begun = Assignment.objects.filter(comparison=OuterRef("pk"))
    kept = MachineLabel.objects.filter(
        comparison=OuterRef("pk"), use=Use.AUDIT, labelling__state=State.CERTIFIED
    )
    return Comparison.objects.filter(
        ~Exists(begun),
        ~Exists(kept),
        project=project,
        outcome=Comparison.Outcome.WAITING,
        gold_more_hallucinated="",
        judgment_count=0,
        asked_judgments__isnull=True,
    )


def request(
    project: Project,
    user: User | None,
    *,
    machine: str,
    level: float,
    confidence: float,
    audit_share: float,
    sample_size: int,
    comparisons: int,
) -> MachineLabelling:
    """Draws the sample and has the machine begin.

    Raises NoSuchMachine and CannotLabel; then nothing was begun.
    """
    choice = labellers.chosen(project, machine)
    least = fewest(level, confidence)
    if sample_size < least:
        raise CannotLabel(
            f"It takes at least {least} comparisons, not one of them wrong, to show with "
            f"{confidence:.1%} confidence that at most {level:.1%} are.",
            field="sample_size",
        )
    with transaction.atomic():
        locked = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        if locked.machine_labellings.filter(state__in=MachineLabelling.UNDER_WAY).exists():
            raise CannotLabel("A labelling of this project is under way; end that first.")
        seed = secrets.randbits(62)
        uses = _draw(locked, seed, comparisons, sample_size, audit_share)
        last = locked.machine_labellings.aggregate(last=Max("number"))["last"] or 0
        labelling = MachineLabelling.objects.create(
            project=locked,
            number=last + 1,
            machine=machine,
            machine_name=choice.name[:200],
            about=choice.about,
            level=level,
            confidence=confidence,
            audit_share=audit_share,
            sample_size=sample_size,
            seed=seed,
            total=len(uses),
            created_by=user,
        )
        MachineLabel.objects.bulk_create(
            [
                MachineLabel(labelling=labelling, comparison_id=pk, use=use)
                for pk, use in uses.items()
            ],
            batch_size=2000,
        )
        raise_sample(labelling, SAMPLE_POINTS)
        labellers.of(labelling).begin(labelling)
    return labelling


def _draw(
    project: Project, seed: int, most: int, sample_size: int, audit_share: float
) -> dict[int, str]:
    """By comparison, in the order of keys, what its label is for."""
    waiting = list(candidates(project).order_by("pk").values_list("pk", flat=True))
    if len(waiting) <= sample_size:
        raise CannotLabel(
            f"Of {len(waiting):,} comparisons that wait and that nobody has begun, a sample of "
            f"{sample_size:,} leaves none for the machine.",
            field="sample_size",
        )
    chance = Random(seed)
    drawn = chance.sample(waiting, min(most, len(waiting)))
    if len(drawn) <= sample_size:
        raise CannotLabel(
            f"A sample of {sample_size:,} leaves the machine none of {len(drawn):,}.",
            field="comparisons",
        )
    audit = sample_size + round(audit_share * (len(drawn) - sample_size))
    uses = dict.fromkeys(sorted(drawn), str(Use.VOTE))
    uses |= dict.fromkeys(drawn[:audit], str(Use.AUDIT))
    uses |= dict.fromkeys(drawn[:sample_size], str(Use.SAMPLE))
    return uses


# --- The machine's side ---------------------------------------------------------------------------


def unanswered(labelling: MachineLabelling) -> QuerySet[MachineLabel]:
    """What the machine has still to answer, in the order in which it is asked."""
    rows = labelling.labels.filter(answered_at__isnull=True).order_by("pk")
    return rows.select_related("comparison__prompt__image")


def take_answers(labelling: MachineLabelling, answers: Mapping[int, Answer]) -> int:
    """Keeps what the machine says, by comparison; how many were new. Saying it again changes
    nothing. Raises ValueError for what is no answer."""
    for answer in answers.values():
        _check(answer)
    rows = list(labelling.labels.filter(comparison__in=answers, answered_at__isnull=True))
    now = timezone.now()
    for row in rows:
        answer = answers[row.comparison_id]
        row.more_hallucinated, row.confidence = answer.more_hallucinated, answer.confidence
        row.answered_at = now
    fields = ["more_hallucinated", "confidence", "answered_at"]
    MachineLabel.objects.bulk_update(rows, fields, batch_size=1000)
    MachineLabelling.objects.filter(pk=labelling.pk).update(done=F("done") + len(rows))
    return len(rows)


def _check(answer: Answer) -> None:
    known = answer.more_hallucinated in ("", "1", "2")
    sure = answer.confidence
    if not known or (sure is None) != (not answer.more_hallucinated):
        raise ValueError(f"{answer} is no answer")
    if sure is not None and not 0.5 <= sure <= 1:
        raise ValueError(f"{sure} is no confidence from 0.5 to 1")


def labelled(labelling: MachineLabelling) -> None:
    """The machine is done; nothing happens while a comparison is not answered."""
    with transaction.atomic():
        if labelling.labels.filter(answered_at__isnull=True).exists():
            return
        move(labelling, State.LABELLING, to=State.SAMPLING, labelled_at=Now(), error="")
    look(labelling)


def fail(labelling: MachineLabelling, reason: str) -> None:
    """Ends the machine's work with a reason for people; ``resume`` takes it up again."""
    with transaction.atomic():
        if move(labelling, State.LABELLING, to=State.FAILED, error=reason, ended_at=Now()):
            raise_sample(labelling, -SAMPLE_POINTS)
            tell(labelling, "machine_labelling", f"has failed: {reason}")


def resume(labelling: MachineLabelling) -> None:
    """Has the machine answer what it has not. Raises NotAtThisStage unless it has failed."""
    try:
        with transaction.atomic():
            fields = {"error": "", "ended_at": None, "attempts": 0}
            if not move(labelling, State.FAILED, to=State.LABELLING, **fields):
                raise NotAtThisStage("Only a labelling that has failed can go on.")
            raise_sample(labelling, SAMPLE_POINTS)
            labelling.refresh_from_db()
            labellers.of(labelling).begin(labelling)
    except IntegrityError:
        raise NotAtThisStage("Another labelling of this project is under way.") from None


def cancel(labelling: MachineLabelling) -> None:
    """Ends a labelling that is under way; what people answered stays. Raises NotAtThisStage."""
    with transaction.atomic():
        was = labelling.state
        if was not in MachineLabelling.UNDER_WAY or not move(
            labelling, was, to=State.CANCELLED, ended_at=Now()
        ):
            raise NotAtThisStage("It is not under way any more.")
        raise_sample(labelling, -SAMPLE_POINTS)
    if was == State.LABELLING:
        labellers.of(labelling).cancel(labelling)


# --- Beat -----------------------------------------------------------------------------------------


def watch() -> None:
    """Looks at every labelling that something may have happened to; beat does it."""
    at_it: Iterable[MachineLabelling] = MachineLabelling.objects.filter(
        state__in=[State.LABELLING, State.SAMPLING, State.CERTIFIED]
    ).select_related("project")
    for labelling in at_it:
        try:
            if labelling.state != State.LABELLING:
                look(labelling)
            elif reason := labellers.of(labelling).trouble(labelling):
                fail(labelling, reason)
        except Exception:
            log.exception("labelling %s: it could not be looked at", labelling.pk)

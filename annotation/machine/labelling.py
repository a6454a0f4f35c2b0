"""A machine labelling from its request to its end: the contract.

1. ``request`` draws, before anything is asked, which waiting comparisons that nobody has begun the
   machine is asked about, and which of them are the sample: all at random, by a kept seed. Nobody
   is told the seed, from which all could be drawn again; the certificate holds its digest.
2. The sample is handed out to people like any other, only sooner; the audit is, at its own time.
   Neither ever becomes a machine's vote, so what people are shown does not depend on the machine.
3. A label is wrong unless people settle on the very same: this response hallucinates more. Equal,
   disputed, or decided by helpfulness alone is wrong, and so is what is not settled yet.
4. ``look`` certifies once people have settled the whole sample (``certifying``), and takes as votes
   what is confident enough and nobody has begun. A certificate is written once.
5. ``look`` goes on looking: when the audit speaks against the promise, or changed answers no longer
   carry it, all votes of the labelling go back to people.
6. Each step is one conditional UPDATE of the state within the transaction that carries it out;
   whoever finds another state stops.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Case, Count, Exists, F, Max, OuterRef, Q, QuerySet, When
from django.db.models.functions import Least, Now
from django.utils import timezone

from annotation import access, priorities
from annotation.errors import DomainError
from annotation.machine import labellers
from annotation.machine.certifying import (
    Answered,
    Tested,
    certify,
    evidence_against,
    fewest,
    upper_bound,
)
from annotation.models import Assignment, Comparison, MachineLabel, MachineLabelling, Project, User
from annotation.notices import writing
from annotation.preferences import take_machine_votes, withdraw_machine_votes

log = logging.getLogger(__name__)

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
METHOD = (
    "Fixed-sequence exact binomial tests (Learn then Test, arXiv 2110.01052) from the most "
    "confident labels on; the bound is Clopper and Pearson's."
)


class CannotLabel(DomainError):
    """``field`` names what is wrong."""

    status = 422
    title = "The comparisons cannot be labelled like this"


class NotAtThisStage(DomainError):
    status = 409
    title = "The labelling is not at a stage for this"


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
        _raise_sample(labelling, SAMPLE_POINTS)
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


def _raise_sample(labelling: MachineLabelling, points: int) -> None:
    sample = labelling.labels.filter(use=Use.SAMPLE).values_list("comparison", flat=True)
    priorities.raise_all(labelling.project, sample, points)


# --- What is told before the decision -------------------------------------------------------------


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
        _move(labelling, State.LABELLING, to=State.SAMPLING, labelled_at=Now(), error="")
    look(labelling)


def fail(labelling: MachineLabelling, reason: str) -> None:
    """Ends the machine's work with a reason for people; ``resume`` takes it up again."""
    with transaction.atomic():
        if _move(labelling, State.LABELLING, to=State.FAILED, error=reason, ended_at=Now()):
            _raise_sample(labelling, -SAMPLE_POINTS)
            _tell(labelling, "machine_labelling", f"has failed: {reason}")


def resume(labelling: MachineLabelling) -> None:
    """Has the machine answer what it has not. Raises NotAtThisStage unless it has failed."""
    try:
        with transaction.atomic():
            fields = {"error": "", "ended_at": None, "attempts": 0}
            if not _move(labelling, State.FAILED, to=State.LABELLING, **fields):
                raise NotAtThisStage("Only a labelling that has failed can go on.")
            _raise_sample(labelling, SAMPLE_POINTS)
            labelling.refresh_from_db()
            labellers.of(labelling).begin(labelling)
    except IntegrityError:
        raise NotAtThisStage("Another labelling of this project is under way.") from None


def cancel(labelling: MachineLabelling) -> None:
    """Ends a labelling that is under way; what people answered stays. Raises NotAtThisStage."""
    with transaction.atomic():
        was = labelling.state
        if was not in MachineLabelling.UNDER_WAY or not _move(
            labelling, was, to=State.CANCELLED, ended_at=Now()
        ):
            raise NotAtThisStage("It is not under way any more.")
        _raise_sample(labelling, -SAMPLE_POINTS)
    if was == State.LABELLING:
        labellers.of(labelling).cancel(labelling)


# --- People's side --------------------------------------------------------------------------------


def look(labelling: MachineLabelling) -> None:
    """What people's answers amount to by now: certifies, refuses, withdraws, or nothing yet."""
    labelling.refresh_from_db()
    if labelling.state == State.SAMPLING and sample_progress(labelling)["open"] == 0:
        with suppress(NotAtThisStage):  # Somebody was faster.
            decide(labelling)
    elif labelling.state == State.CERTIFIED:
        _keep_watch(labelling)


def sample_progress(labelling: MachineLabelling) -> dict[str, int]:
    """``whole``, ``settled`` and ``open`` comparisons of the sample; one query.

    The rest of the whole has been taken out.
    """
    rows = labelling.labels.filter(use=Use.SAMPLE)
    counted = {"settled": Count("pk", filter=SETTLED), "open": Count("pk", filter=OPEN)}
    return rows.aggregate(whole=Count("pk"), **counted)


def decide(labelling: MachineLabelling) -> None:
    """Certifies or refuses by the sample as it stands; what is not settled counts as wrong.

    So it may be decided at any time, and early is only ever to the machine's disadvantage. Raises
    NotAtThisStage before the machine is done, and afterwards.
    """
    with transaction.atomic():
        tested = _test(labelling)
        chosen = tested.chosen
        to = State.CERTIFIED if chosen else State.REFUSED
        if not _move(labelling, State.SAMPLING, to=to, decided_at=Now()):
            raise NotAtThisStage("The sample is not being answered just now.")
        _lock_all(labelling)
        _raise_sample(labelling, -SAMPLE_POINTS)
        taken = take_machine_votes(labelling.pk, threshold=chosen.threshold) if chosen else 0
        certificate = _certificate(labelling, tested, taken)
        MachineLabelling.objects.filter(pk=labelling.pk).update(certificate=certificate)
        said = (
            f"is certified: {taken:,} comparisons are decided by it"
            if chosen
            else "is not certified: people decide all comparisons"
        )
        _tell(labelling, "machine_labelling", said)
    labelling.refresh_from_db()


def _lock_all(labelling: MachineLabelling) -> None:
    its = Comparison.objects.filter(pk__in=labelling.labels.values("comparison"))
    list(its.locked_in_order().values_list("pk"))


def _test(labelling: MachineLabelling) -> Tested:
    sample = [
        Answered(confidence=confidence, wrong=not right)
        for confidence, right in _answered(labelling, Use.SAMPLE)
    ]
    return certify(sample, level=labelling.level, confidence=labelling.confidence)


def _answered(labelling: MachineLabelling, use: str) -> list[tuple[float, bool]]:
    """(confidence, whether people settled on the same) of the labels that say something."""
    rows = labelling.labels.filter(use=use, confidence__isnull=False)
    same = set(rows.filter(RIGHT).values_list("pk", flat=True))
    return [(sure or 0.0, pk in same) for pk, sure in rows.values_list("pk", "confidence")]


def _certificate(labelling: MachineLabelling, tested: Tested, taken: int) -> dict[str, Any]:
    chosen = tested.chosen
    counts = labelling.labels.aggregate(
        sample=Count("pk", filter=Q(use=Use.SAMPLE)),
        cannot_tell=Count("pk", filter=Q(use=Use.SAMPLE, more_hallucinated="")),
        unsettled=Count("pk", filter=Q(use=Use.SAMPLE) & ~SETTLED),
        audit=Count("pk", filter=Q(use=Use.AUDIT)),
        whole=Count("pk"),
    )
    return {
        "labelling": labelling.number,
        "machine": labelling.machine_name,
        "about": labelling.about,
        "method": METHOD,
        "level": labelling.level,
        "confidence": labelling.confidence,
        "seed_sha256": hashlib.sha256(str(labelling.seed).encode()).hexdigest(),
        "comparisons": counts["whole"],
        "sample": counts["sample"],
        "cannot_tell": counts["cannot_tell"],
        "unsettled": counts["unsettled"],
        "audit": counts["audit"],
        "steps": [asdict(step) for step in tested.steps],
        "passed": chosen is not None,
        "threshold": chosen.threshold if chosen else None,
        "tested": chosen.sample if chosen else None,
        "errors": chosen.errors if chosen else None,
        "bound": chosen.bound if chosen else None,
        "taken": taken,
        "votes_a_comparison": labelling.project.judgments_per_comparison,
        "guidelines_version": labelling.project.guidelines_version,
        "at": timezone.now().isoformat(),
    }


def _keep_watch(labelling: MachineLabelling) -> None:
    """Withdraws when the promise does not hold any more."""
    threshold = labelling.certificate["threshold"]
    audit = labelling.labels.filter(use=Use.AUDIT, confidence__gte=threshold).filter(SETTLED)
    audit = audit.exclude(more_hallucinated="")
    answers, right = audit.count(), audit.filter(RIGHT).count()
    evidence = evidence_against(answers - right, answers, labelling.level)
    sample = labelling.labels.filter(use=Use.SAMPLE, confidence__gte=threshold)
    # What people are asked again is wrong only once they have said so.
    errors = sample.exclude(OPEN).exclude(RIGHT).count()
    size = sample.count()
    bound = upper_bound(errors, size, labelling.confidence)
    seen = {
        **{"answers": answers, "errors": answers - right, "evidence": evidence},
        **{"needed": 1 / (1 - labelling.confidence), "bound": bound, "sample_errors": errors},
    }
    if seen != labelling.audit:
        MachineLabelling.objects.filter(pk=labelling.pk).update(audit=seen)
    if evidence >= seen["needed"]:
        reason = (
            f"People have settled {answers - right:,} of {answers:,} further comparisons "
            f"otherwise, too many if at most {labelling.level:.1%} of its labels were wrong."
        )
    elif bound > labelling.level:
        reason = (
            f"Answers to the sample were changed: {errors:,} of {size:,} are wrong now, and "
            f"up to {bound:.1%} of its labels may be."
        )
    else:
        return
    with suppress(NotAtThisStage):
        withdraw(labelling, reason=reason)


def withdraw(labelling: MachineLabelling, *, reason: str) -> int:
    """Gives people back what the machine had decided; how many comparisons.

    Raises NotAtThisStage unless it is certified.
    """
    with transaction.atomic():
        if not _move(labelling, State.CERTIFIED, to=State.WITHDRAWN, error=reason, ended_at=Now()):
            raise NotAtThisStage("Only the votes of a certified labelling can be withdrawn.")
        number = withdraw_machine_votes(labelling.pk)
        _tell(labelling, "machine_withdrawn", f"is withdrawn, {number:,} comparisons: {reason}")
    labelling.refresh_from_db()
    return number


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


# --- All ------------------------------------------------------------------------------------------


def _move(labelling: MachineLabelling, state: str, *, to: str, **fields: Any) -> bool:
    """One step, unless somebody was faster."""
    rows = MachineLabelling.objects.filter(pk=labelling.pk, state=state)
    moved = bool(rows.update(state=to, **fields))
    if moved:
        labelling.state = to
    return moved


def _tell(labelling: MachineLabelling, kind: str, said: str) -> None:
    project = labelling.project
    writing.tell(
        kind,
        writing.members(project),
        event=f"{kind}:{labelling.pk}:{uuid.uuid4()}",
        title=f"{labelling.machine_name} in {project.name} {said}",
        link=labelling.get_absolute_url(),
        project=project,
    )

"""What people's answers make of a machine labelling: certified, refused, withdrawn.

``certifying`` has the test itself; points 3 to 5 of the contract in ``labelling``.
"""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from django.db import transaction
from django.db.models import Count, Q
from django.db.models.functions import Now
from django.utils import timezone

from annotation.machine.certifying import (
    Answered,
    Tested,
    certify,
    evidence_against,
    upper_bound,
)
from annotation.machine.stages import (
    OPEN,
    RIGHT,
    SAMPLE_POINTS,
    SETTLED,
    NotAtThisStage,
    State,
    Use,
    move,
    raise_sample,
    tell,
)
from annotation.models import Comparison, MachineLabelling
from annotation.preferences import take_machine_votes, withdraw_machine_votes

log = logging.getLogger(__name__)

METHOD = (
    "Fixed-sequence exact binomial tests (Learn then Test, arXiv 2110.01052) from the most "
    "confident labels on; the bound is Clopper and Pearson's."
)


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


def taken_out(labelling: MachineLabelling) -> dict[str, int]:
    """How many of ``sample`` and ``audit`` a manager has taken out; one query.

    The certificate and the audit are of what was left, so whoever reads their numbers reads these.
    """
    rows = labelling.labels.filter(comparison__outcome=Comparison.Outcome.RETIRED)
    parts = (Use.SAMPLE, Use.AUDIT)
    found: dict[str, int] = rows.aggregate(
        **{str(use): Count("pk", filter=Q(use=use)) for use in parts}
    )
    return found


def decide(labelling: MachineLabelling) -> None:
    """Certifies or refuses by the sample as it stands; what is not settled counts as wrong.

    So it may be decided at any time, and early is only ever to the machine's disadvantage. Raises
    NotAtThisStage before the machine is done, and afterwards.
    """
    with transaction.atomic():
        tested = _test(labelling)
        chosen = tested.chosen
        to = State.CERTIFIED if chosen else State.REFUSED
        if not move(labelling, State.SAMPLING, to=to, decided_at=Now()):
            raise NotAtThisStage("The sample is not being answered just now.")
        _lock_all(labelling)
        raise_sample(labelling, -SAMPLE_POINTS)
        taken = take_machine_votes(labelling.pk, threshold=chosen.threshold) if chosen else 0
        certificate = _certificate(labelling, tested, taken)
        MachineLabelling.objects.filter(pk=labelling.pk).update(certificate=certificate)
        said = (
            f"is certified: {taken:,} comparisons are decided by it"
            if chosen
            else "is not certified: people decide all comparisons"
        )
        tell(labelling, "machine_labelling", said)
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
        if not move(labelling, State.CERTIFIED, to=State.WITHDRAWN, error=reason, ended_at=Now()):
            raise NotAtThisStage("Only the votes of a certified labelling can be withdrawn.")
        number = withdraw_machine_votes(labelling.pk)
        tell(labelling, "machine_withdrawn", f"is withdrawn, {number:,} comparisons: {reason}")
    labelling.refresh_from_db()
    return number

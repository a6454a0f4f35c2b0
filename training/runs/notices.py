"""What the person who asked for a run is told of its end, in the transaction that ends it."""

from __future__ import annotations

from functools import partial

from annotation.notices import writing
from training.models import Attempt, Run, State

WORDS = {
    State.SUCCEEDED: ("run_finished", "has finished"),
    State.FAILED: ("run_failed", "has failed"),
    State.LOST: ("run_lost", "is lost"),
}


def of_end(attempt: Attempt, state: State) -> None:
    """Of a run that goes back to the queue or was cancelled nobody is told."""
    if state not in WORDS:
        return
    run = Run.objects.select_related("requested_by", "project").get(pk=attempt.run_id)
    kind, words = WORDS[state]
    why = f": {run.error}" if run.error else ""
    tell = partial(
        writing.tell, people=[run.requested_by], link=run.get_absolute_url(), project=run.project
    )
    event = f"{kind}:{attempt.pk}"
    title = f"Run {run.pk}, {run.name}, {words}{why}"
    tell(kind, event=event, title=title)
    if state is State.SUCCEEDED and (told := _kl_stop(run)):
        event = f"kl_stop:{attempt.pk}"
        title = f"Run {run.pk}, {run.name}, stopped early: {told}"
        tell("kl_stop", event=event, title=title)


def _kl_stop(run: Run) -> str:
    """By how far the policy went, where that ended the run; else empty."""
    most = run.settings.get("kl_stop") or 0
    if not most:
        return ""
    last = run.metrics.filter(name="ppo/kl").order_by("-step").values_list("value", flat=True)
    reached = last.first()
    if reached is None or reached <= most:
        return ""
    return f"the KL reached {reached:.3g}, the limit is {most:g}"

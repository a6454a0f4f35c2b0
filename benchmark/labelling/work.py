"""Asking a judge about the comparisons of a labelling, and keeping what it says.

Each reply is kept as soon as it is there, so that a worker that is killed loses those under way and
pays for none of the others again. The lock that evaluations hold is held here too: a judge is asked
for one thing at a time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from typing import Any

from django.db import InterfaceError, OperationalError
from django.db.models import F

from annotation.errors import DomainError
from annotation.machine import labellers, labelling
from annotation.models import Comparison, MachineLabel, MachineLabelling
from benchmark.judging import endpoints, pending
from benchmark.judging.work import OF_JUDGE, alone, announce_next, endpoint_of
from benchmark.labelling import question
from benchmark.models import Judge
from benchmark.protocols.protocol import Item, Outcome
from config import poison_jobs
from config.sanitising import storable

log = logging.getLogger(__name__)

LABELLING = MachineLabelling.State.LABELLING
AT_ONCE = 50
SILENT_IN_A_ROW = 10
"""Questions without any reply after which the judge is taken to be away."""
LONGEST_REPLY = 4000


class Silent(Exception):
    """The judge does not reply; the message is for people."""


def label(labelling_id: int) -> None:
    """Asks for all that is missing. Does nothing where there is nothing to do, or another worker
    asks the same judge."""
    waiting = MachineLabelling.objects.filter(pk=labelling_id, state=LABELLING)
    found = waiting.select_related("project").first()
    if found is None or not found.machine.startswith("judge:"):
        return
    judge = Judge.objects.filter(pk=labellers.key_of(found)).first()
    if judge is None:
        labelling.fail(found, "The judge is gone.")
        return
    with alone(OF_JUDGE, judge.pk) as mine:
        if not mine or not waiting.exists():
            return
        _attempt(found, judge)
    announce_next(judge)


def _attempt(found: MachineLabelling, judge: Judge) -> None:
    row = MachineLabelling.objects.filter(pk=found.pk, attempts__lt=poison_jobs.MOST_ATTEMPTS)
    failed = partial(labelling.fail, found)
    if not poison_jobs.take(row):
        failed(poison_jobs.GIVEN_UP)
        return
    try:
        _ask(found, judge)
    except (endpoints.JudgeRefused, Silent, ValueError) as error:
        log.warning("labelling %s: %s", found.pk, error)
        poison_jobs.note_failure(failed, f"{judge}: {error}")
    except DomainError as error:
        poison_jobs.note_failure(failed, error)  # Such as a picture that storage does not give.
    except (OperationalError, InterfaceError):
        raise  # The database is away; what is missing is asked for when it is back.
    except Exception:
        poison_jobs.note_failure(failed, poison_jobs.FAULT)
        raise
    else:
        labelling.labelled(found)


def _ask(found: MachineLabelling, judge: Judge) -> None:
    """Raises Silent, JudgeRefused; returns early when the labelling was cancelled."""
    if found.about.get("wording") != question.WORDING:
        raise Silent("the wording has changed since this labelling began; begin another")
    silent: list[tuple[Item, Outcome]] = []
    said = endpoints.endpoint_verdicts(
        endpoint_of(judge), _items(found), protocol=question.QUESTION
    )
    try:
        for item, outcome in said:
            if outcome.state == "failed":
                silent.append((item, outcome))
                if len(silent) >= SILENT_IN_A_ROW:
                    raise Silent(outcome.text)
                continue
            # It replies: what it was silent about is a question that it cannot answer.
            for one in [*silent, (item, outcome)]:
                _keep(found, *one)
            silent.clear()
            if not _count(found, outcome):
                return
    finally:
        said.close()
    if [one for one in silent if not _asked_twice(found, *one)]:
        raise Silent(silent[-1][1].text)


def _asked_twice(found: MachineLabelling, item: Item, outcome: Outcome) -> bool:
    """Whether nothing came the last time either: then nothing will, and people decide it."""
    row = MachineLabel.objects.get(pk=item.id)
    silent = row.replies.get("silent", [])
    if item.order in silent:
        _keep(found, item, outcome)
        return True
    row.replies = {**row.replies, "silent": [*silent, item.order]}
    row.save(update_fields=["replies"])
    return False


def _items(found: MachineLabelling) -> Iterator[Item]:
    """What is to be asked, a few comparisons at a time: a picture is large."""
    missing = list(labelling.unanswered(found).values_list("pk", flat=True))
    for start in range(0, len(missing), AT_ONCE):
        for row in labelling.unanswered(found).filter(pk__in=missing[start : start + AT_ONCE]):
            asked = _asked(row.comparison)
            image = ""
            for order in question.ORDERS:
                if order not in row.replies:
                    image = image or pending.data_url(row.comparison.prompt.image)
                    yield Item(id=row.pk, question=asked, answer="", order=order, image=image)


def _asked(comparison: Comparison) -> dict[str, Any]:
    turns = [
        turn["value"].replace("<image>", "").strip() for turn in comparison.prompt.conversation
    ]
    return {
        "question": "\n".join(turns),
        "facts": comparison.prompt.captions,
        "responses": (comparison.response_1, comparison.response_2),
    }


def _keep(found: MachineLabelling, item: Item, outcome: Outcome) -> None:
    row = MachineLabel.objects.select_related("comparison").get(pk=item.id)
    kept = {"text": storable(outcome.text)[:LONGEST_REPLY], "state": outcome.state}
    row.replies = {**row.replies, item.order: {**kept, **(outcome.found or {})}}
    row.save(update_fields=["replies"])
    if all(order in row.replies for order in question.ORDERS):
        texts = (row.comparison.response_1, row.comparison.response_2)
        answer = question.answer(texts, row.replies)
        labelling.take_answers(found, {row.comparison_id: answer})


def _count(found: MachineLabelling, outcome: Outcome) -> bool:
    """What it cost; whether the labelling still wants to go on. Who gets on is no poison."""
    rows = MachineLabelling.objects.filter(pk=found.pk, state=LABELLING)
    spent = {"calls": F("calls") + outcome.calls, "tokens": F("tokens") + outcome.tokens}
    return bool(rows.update(**spent, attempts=1))

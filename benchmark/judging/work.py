"""Asking a judge for what an evaluation still lacks.

A verdict is stored once per answer, judge and wording, as soon as it is there: a worker that is
killed loses the replies under way and nothing else, and whoever continues asks only what has no
verdict. One worker at a time asks a judge, held by a lock of Postgres that ends with the worker's
connection: otherwise each evaluation would bring the judge's whole concurrency with it, and models
that answer alike be paid for each.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from annotation.errors import DomainError
from benchmark import evaluating
from benchmark.judging import endpoints, outages, pending
from benchmark.models import Evaluation, Judge, Verdict
from benchmark.protocols.protocol import Item, Mode, Outcome
from config import poison_jobs

log = logging.getLogger(__name__)

JUDGING = Evaluation.State.JUDGING
# Keep these advisory locks apart from other uses of the same numbers, and from each other.
_OF_EVALUATION, OF_JUDGE = 0x4A55, 0x4A56


def judge(evaluation_id: int) -> None:
    """Ask for every verdict that is missing, then conclude. Does nothing where there is nothing
    to do, another worker does it, or a person does (benchmark.by_hand)."""
    waiting = Evaluation.objects.filter(pk=evaluation_id, state=JUDGING)
    evaluation = waiting.select_related("judge", "question_set").first()
    if evaluation is None or evaluation.judge.kind == Judge.Kind.PERSON:
        return
    with alone(*_key_of(evaluation)) as mine:
        # Looked at again: another worker may have ended it before the lock was free.
        if not mine or not waiting.exists():
            return
        _attempt(evaluation)
    announce_next(evaluation.judge)


def _attempt(evaluation: Evaluation) -> None:
    row = Evaluation.objects.filter(pk=evaluation.pk)
    failed = partial(evaluating.fail, evaluation)
    if not poison_jobs.take(row.filter(attempts__lt=poison_jobs.MOST_ATTEMPTS)):
        failed(poison_jobs.GIVEN_UP)
        return
    try:
        _judge(evaluation)
    except (endpoints.JudgeRefused, ValueError) as error:
        # Ended, not left to be resumed: the same question would be paid for again and again.
        log.warning("evaluation %s: %s", evaluation.pk, error)
        poison_jobs.note_failure(failed, f"{evaluation.judge}: {error}")
    except DomainError as error:
        poison_jobs.note_failure(failed, error)  # Such as a picture that storage does not give.
    except (OperationalError, InterfaceError):
        raise  # The database is away; what is missing is asked for when it is back.
    except Exception:
        poison_jobs.note_failure(failed, poison_jobs.FAULT)
        raise


def _judge(evaluation: Evaluation) -> None:
    if evaluation.judge.kind == Judge.Kind.EXACT:
        _judge_exactly(evaluation)
    else:
        pending.remember(evaluation)
        for item, outcome in _ask(evaluation):
            pending.verdict(evaluation, item, outcome).save(force_insert=True)
            if outcome.state != "failed":
                outages.over(evaluation)
            # Whoever gets on is no poison, however often its worker is replaced.
            Evaluation.objects.filter(pk=evaluation.pk, attempts__gt=1).update(attempts=1)
    evaluating.conclude(evaluation)


def _ask(evaluation: Evaluation) -> Iterator[tuple[Item, Outcome]]:
    items = pending.items(evaluation)
    if not items:
        return iter(())
    return endpoints.endpoint_verdicts(
        endpoint_of(evaluation.judge),
        items,
        protocol=evaluation.question_set.rules,
        mode=cast(Mode, evaluation.judge.parser),
        away=partial(outages.note, evaluation),
    )


def _judge_exactly(evaluation: Evaluation) -> None:
    """All verdicts at once: a rule costs nothing, so nothing is lost by a kill."""
    mode = cast(Mode, evaluation.judge.parser)
    items = pending.items(evaluation)
    found = evaluation.question_set.rules.judge_exactly(items, mode=mode)
    verdicts = [pending.verdict(evaluation, item, outcome) for item, outcome in found]
    Verdict.objects.bulk_create(verdicts, batch_size=1000)


def endpoint_of(judge_row: Judge) -> endpoints.Endpoint:
    """Where and how to ask a judge; its key is read from the environment here."""
    return endpoints.Endpoint(
        base_url=judge_row.base_url,
        model=judge_row.model,
        key=endpoints.key_from_environment(judge_row.key_variable),
        options=judge_row.options,
        concurrency=judge_row.concurrency,
        **settings.JUDGE_PATIENCE,
    )


def _key_of(evaluation: Evaluation) -> tuple[int, int]:
    """A rule has room for all; an endpoint is asked for one of them at a time."""
    if evaluation.judge.kind == Judge.Kind.OPENAI:
        return OF_JUDGE, evaluation.judge_id
    return _OF_EVALUATION, evaluation.pk


@contextmanager
def alone(kind: int, pk: int) -> Iterator[bool]:
    """Whether this connection is the one that holds this lock, for as long as the block lasts."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [kind, pk])
        mine = bool(cursor.fetchone()[0])
    try:
        yield mine
    finally:
        if mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [kind, pk])


def announce_next(judge: Judge) -> None:
    """Wake a worker for what waited for this judge meanwhile, oldest first."""
    next_one = Evaluation.objects.filter(judge=judge, state=JUDGING).order_by("pk").first()
    if next_one is not None and judge.kind == Judge.Kind.OPENAI:
        evaluating.announce(next_one.pk)

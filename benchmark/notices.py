"""Who asked for a score is told when it is lower than that of the model's parent."""

from __future__ import annotations

import logging

from django.db import transaction

from annotation.notices import writing
from benchmark import access
from benchmark.board import parentage
from benchmark.models import Evaluation

log = logging.getLogger(__name__)


def if_fell(evaluation_id: int) -> None:
    """By the verdict that its page shows, once; a score stands whether or not it can be told of."""
    evaluation = Evaluation.objects.with_origin().get(pk=evaluation_id)
    asker = evaluation.created_by
    if asker is None or evaluation.checkpoint_id is None:
        return
    try:
        with transaction.atomic():
            change = parentage.change_of(evaluation, access.evaluations(asker))
    except Exception:
        log.exception("evaluation %s could not be held against its parent", evaluation_id)
        return
    if change is None or change.verdict != "fell":
        return
    writing.tell(
        "score_fell",
        [asker],
        event=f"score_fell:{evaluation.pk}",
        title=f"{evaluation} fell since {change.parent.model_name}: {change.told}",
        link=evaluation.get_absolute_url(),
        project=evaluation.project,
    )

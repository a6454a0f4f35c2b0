"""How much of a question set is worded as something that a model was trained on here.

A model that learnt to answer questions of a kind is expected to answer them well; a rise on other
kinds says more. Pictures are not looked at: whether these were seen is another matter.
"""

from __future__ import annotations

from annotation.exporting.streams import ReleaseNotReady, rows
from annotation.models import Release
from annotation.storage.trouble import StorageTrouble
from benchmark.models import Evaluation
from training.models import Checkpoint

PICTURE_MARK = "<image>"


KEY = "wordings_trained_on"


def of(evaluation: Evaluation) -> dict[str, float]:
    """``KEY`` and the share, for the evaluation's summary; nothing where it is not known.

    Found once: people who rate by hand conclude an evaluation over and over.
    """
    share = evaluation.summary.get(KEY)
    if share is None:
        share = share_trained_on(evaluation)
    return {} if share is None else {KEY: share}


def share_trained_on(evaluation: Evaluation) -> float | None:
    """0 to 1: the questions whose words stand in the training split of some release behind the
    model, whatever the picture; None where it is not known what it was trained on."""
    if evaluation.checkpoint is None:
        return None
    asked = [_plain(question.text) for question in evaluation.question_set.questions.all()]
    known: set[str] = set()
    try:
        for release in _releases_behind(evaluation.checkpoint):
            known |= _trained_on(release)
    except (ReleaseNotReady, StorageTrouble):  # a score does not wait for a file that is gone
        return None
    return sum(text in known for text in asked) / len(asked) if asked else None


def _releases_behind(checkpoint: Checkpoint) -> list[Release]:
    """Those of the runs along the line of policies that ends with ``checkpoint``."""
    found: dict[int, Release] = {}
    model: Checkpoint | None = checkpoint
    while model is not None and model.run is not None:
        if model.run.release is not None:
            found[model.run.release.pk] = model.run.release
        model = model.run.policy
    return list(found.values())


def _trained_on(release: Release) -> set[str]:
    return {
        _plain(row["conversation"][-1]["value"]) for row in rows(release) if row["split"] == "train"
    }


def _plain(text: str) -> str:
    return " ".join(text.replace(PICTURE_MARK, " ").lower().split())

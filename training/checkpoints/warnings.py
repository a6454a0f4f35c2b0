"""What speaks against the labels behind a model, carried from release to run to checkpoint.

A release says it of itself (``annotation.quality.concerns``). A checkpoint keeps it as it was when
its run ended, together with that of the models it was made from, so that no page has to follow a
lineage to say it.
"""

from __future__ import annotations

from typing import Any

from training.models import Run


def of_run(run: Run) -> list[dict[str, Any]]:
    """What the run itself found: its data, its base, not its labels."""
    return [{**one, "grave": False, "release": run.name} for one in run.doubts]


def behind(run: Run) -> list[dict[str, Any]]:
    """Warnings of the run's release and of the models it starts from, each once; gravest first.

    Each has ``code``, ``text``, ``grave`` and ``release`` (its name).
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    if run.release is not None:
        name = str(run.release)
        for one in run.release.warnings:
            found[one["code"], name] = {**one, "release": name}
    for model in (run.policy, run.reward_model):
        for one in model.warnings if model is not None else []:
            found.setdefault((one["code"], one["release"]), one)
    return sorted(found.values(), key=lambda one: not one["grave"])

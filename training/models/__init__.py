"""Runs, their attempts, and what they leave behind: checkpoints, metrics, samples.

Nothing here changes a run's state: every transition lives in ``training.runs.scheduling``, where a
conditional UPDATE decides races. Constraints keep a wrong transition out even so.
"""

from training.models.checkpoints import BaseImport, Checkpoint, CheckpointQuerySet
from training.models.records import Metric, RewardScore, Sample
from training.models.runs import (
    ENDED,
    ENDED_BADLY,
    LONGEST_TAG,
    Attempt,
    Chain,
    GpuSlot,
    Run,
    RunQuerySet,
    State,
)
from training.models.tables import RunColumns, RunPin

__all__ = [
    "ENDED",
    "ENDED_BADLY",
    "LONGEST_TAG",
    "Attempt",
    "BaseImport",
    "Chain",
    "Checkpoint",
    "CheckpointQuerySet",
    "GpuSlot",
    "Metric",
    "RewardScore",
    "Run",
    "RunColumns",
    "RunPin",
    "RunQuerySet",
    "Sample",
    "State",
]

"""Which options of sbatch an administrator cannot add, since a job could not be followed then."""

from __future__ import annotations

from collections.abc import Sequence

_UNFIT = (
    ("--clusters", "-M", "jobs on another cluster are not found: let SLURM_CONF name that cluster"),
    ("--job-name", "-J", "runs are found again by the name that they are given"),
    ("--array", "-a", "a run is one job"),
    ("--wait", "-W", "sbatch would not answer before the run has ended"),
)


def unfit(options: Sequence[str]) -> str:
    """The first of ``options`` that cannot be, with its reason; empty if all can."""
    for option in options:
        word = option.partition("=")[0]
        for long, short, why in _UNFIT:
            # Slurm takes the beginning of a long option for the whole.
            if option.startswith(short) or (len(word) > len("--") and long.startswith(word)):
                return f"{long} ({short}): {why}"
    return ""

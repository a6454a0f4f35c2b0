"""Asking again for a run or chain, with changes: what the form starts from.

A clone is a new request like any other: the form is filled with what the old one was asked, and
whatever differs from its preset stands there as a change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from training.figures.comparing import flat
from training.models import Chain, Run
from training.rlhf.presets import OFFERED
from training.runs import kinds
from training.runs.requests import complete_spec


@dataclass(frozen=True)
class Original:
    """What is cloned: one run, or all runs of a chain in their order."""

    title: str
    runs: tuple[Run, ...]

    @property
    def release(self) -> Any:
        """The release that the runs read; of a run that reads none, its chain's."""
        siblings = self.runs[0].chain.runs.order_by("pk") if self.runs[0].chain else ()
        return next((run.release for run in (*self.runs, *siblings) if run.release), None)

    @property
    def model_changes(self) -> dict[str, Any]:
        """How the base is loaded, where that differs from the preset."""
        return _changes(self.runs[0])[1]

    def initial(self) -> dict[str, Any]:
        """Fields of the chain form, by name."""
        first = self.runs[0]
        common = ("base", "preset", "seed", "gpus", "max_attempts")
        filled = {name: getattr(first, name) for name in common}
        filled["name"] = f"{self.title}, changed"[:120]
        for run in self.runs:
            for model in ("policy", "reward_model"):
                # What a run of the chain makes itself is made again.
                if getattr(run, model) is not None and not self._makes(model):
                    filled.setdefault(model, getattr(run, model))
            if "with_facts" in run.settings:
                filled["facts"] = "with" if run.settings["with_facts"] else "without"
            changes = {f"{run.kind}.{name}": value for name, value in _changes(run)[0].items()}
            filled |= {name: _as_answer(value) for name, value in changes.items()}
        return filled

    def options(self) -> dict[str, dict[str, Any]]:
        """Answers to each kind's own questions."""
        return {run.kind: run.options for run in self.runs}

    def _makes(self, model: str) -> bool:
        return any(kinds.get(run.kind).produces == model for run in self.runs)


def of_run(run: Run) -> Original | None:
    """None for a run whose kind the form does not offer, or that no release is known for."""
    return _possible(Original(run.name, (run,)))


def of_chain(chain: Chain) -> Original | None:
    """All runs of the chain; None as ``of_run``. A form has one run of each kind."""
    by_kind = {run.kind: run for run in chain.runs.order_by("-pk")}
    runs = tuple(sorted(by_kind.values(), key=lambda run: run.pk))
    return _possible(Original(chain.name, runs)) if runs else None


def _possible(original: Original) -> Original | None:
    offered = {kind.name for kind in kinds.in_chains()}
    if original.release is None or any(run.kind not in offered for run in original.runs):
        return None
    return original


def _changes(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings by dotted path and fields of the model that differ from the run's preset."""
    if run.preset not in OFFERED:
        return flat(run.settings), run.model
    start = complete_spec(kinds.get(run.kind).engine, run.preset, {}, {}).to_json()
    preset = flat(start["settings"])
    changed = {
        name: value for name, value in flat(run.settings).items() if preset.get(name) != value
    }
    model = {name: value for name, value in run.model.items() if start["model"].get(name) != value}
    return changed, model


def _as_answer(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value

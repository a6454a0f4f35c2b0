"""What a run can be: each kind writes the data its engine command reads and takes in what it left.

Other apps add kinds from their AppConfig.ready() with ``register``; training knows none of them.
A kind that offers itself for chains (``chain_order``) appears in the chain form with its own
``options_form``, whose answers are saved in ``Run.options``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from django import forms
from django.db import models

from training.checkpoints import checkpoint_files, registry
from training.models import Attempt, Checkpoint, Run
from training.rlhf.contract import Kind, RunSpec
from training.runs.trainer import engine_command

log = logging.getLogger(__name__)


class OptionsForm(forms.Form):
    """What a kind asks beyond the engine's settings; knows the project and who asks."""

    def __init__(self, *args: Any, project: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        self.user = user

    def options(self) -> dict[str, Any]:
        """The answers as JSON: a chosen row becomes its id."""
        return {
            name: value.pk if isinstance(value, models.Model) else value
            for name, value in self.cleaned_data.items()
        }


class RunKind:
    """One kind of run. Subclass, fill in the class variables, and ``register`` an instance."""

    name: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str] = ""
    engine: ClassVar[Kind]
    """The engine command that carries it out."""
    produces: ClassVar[str] = ""
    """Kind of the checkpoint that ``final/`` becomes; empty when it is none."""
    takes: ClassVar[frozenset[str]] = frozenset()
    """Checkpoints it takes from the runs before it in a chain: "policy", "reward_model"."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """What it cannot start without: "release", "policy", "reward_model"."""
    measures: ClassVar[bool] = False
    """Whether it says something about the checkpoint that it is given, rather than making one."""
    chain_order: ClassVar[int | None] = None
    """Its place in the chain form; None when a chain does not offer it."""
    options_form: ClassVar[type[OptionsForm] | None] = None
    decides: ClassVar[frozenset[str]] = frozenset()
    """Dotted settings that ``decide`` fills in; no form offers them a second time."""

    def decide(self, spec: RunSpec, options: dict[str, Any]) -> RunSpec:
        """The spec with what the kind or its options decide, before it is saved with the run.

        Deciding twice changes nothing: it is done again when the run is carried out.
        """
        return spec

    def prepare(self, run: Run, directory: Path) -> RunSpec:
        """Fill the run directory; idempotent. ``run``'s checkpoints are settled already."""
        self.write_data(run, directory)
        return self.decide(spec_for(run, directory), run.options)

    def write_data(self, run: Run, directory: Path) -> None:
        """Write ``data/`` and ``images/``. Raises ValueError with a reason for people."""
        raise NotImplementedError

    def command(self, run: Run, directory: Path) -> list[str]:
        """The program that carries the run out, which keeps to the contract of a run directory."""
        return engine_command(self.engine.value, directory, gpus=run.gpus)

    def finish(self, run: Run, attempt: Attempt, directory: Path) -> None:
        """Take in what the engine left, in the transaction that makes the run succeeded.

        A failure here fails the run; work for later is enqueued on commit.
        """

    def result_url(self, run: Run) -> str | None:
        """Where a person sees what came of a succeeded run, if it has a page of its own."""
        return None

    def told_options(self, run: Run) -> list[tuple[str, Any]]:
        """The options of ``run`` for people: labels of the form, rows by their names."""
        fields = self.options_form.base_fields if self.options_form else {}
        return [
            (_label(name, fields.get(name)), _answer(value, fields.get(name)))
            for name, value in sorted(run.options.items())
        ]


def _label(name: str, field: forms.Field | None) -> str:
    label = field.label if field else None
    return str(label or name.replace("_", " ").capitalize())


def _answer(value: Any, field: forms.Field | None) -> Any:
    if not isinstance(field, forms.ModelChoiceField) or field.queryset is None or value is None:
        return value
    row = field.queryset.model._default_manager.filter(pk=value).first()
    return str(row or f"{value}, deleted")


_kinds: dict[str, RunKind] = {}


def register(kind: RunKind) -> None:
    """Make a kind known. The same class again is ignored, another of its name is an error."""
    known = _kinds.setdefault(kind.name, kind)
    if type(known) is not type(kind):
        raise ValueError(f"run kind {kind.name!r} is registered by {type(known).__name__}")


_followers: list[Callable[[Run], None]] = []


def follow(callback: Callable[[Run], None]) -> None:
    """Have ``callback`` called with each run that has succeeded, after the transaction."""
    if callback not in _followers:
        _followers.append(callback)


def followed(run: Run) -> None:
    """Tell those who follow. What goes wrong there is logged: the run has succeeded."""
    for callback in _followers:
        try:
            callback(run)
        except Exception:
            log.exception("run %s: what follows it failed", run.pk)


def get(name: str) -> RunKind:
    """Raises KeyError for a kind that no installed app has registered."""
    return _kinds[name]


def all_kinds() -> list[RunKind]:
    return list(_kinds.values())


def in_chains() -> list[RunKind]:
    """Kinds that the chain form offers, in their order."""
    offered = [kind for kind in _kinds.values() if kind.chain_order is not None]
    return sorted(offered, key=lambda kind: kind.chain_order or 0)


def spec_for(run: Run, directory: Path) -> RunSpec:
    """The engine's spec of ``run``, with its base and adapters fetched into ``directory``."""
    assert run.base is not None
    inputs: dict[str, Any] = {
        "base_model": checkpoint_files.engine_name(run.base, directory, "base")
    }
    if run.policy is not None:
        inputs["policy_adapter"] = _adapter(run.policy, directory, "policy")
    if run.reward_model is not None:
        inputs["reward_model"] = _adapter(run.reward_model, directory, "reward_model")
        own = run.reward_model.base
        if own is not None and own.pk != run.base.pk:
            inputs["reward_base"] = checkpoint_files.engine_name(own, directory, "reward_base")
    return RunSpec.from_json(
        {
            **inputs,
            "kind": get(run.kind).engine.value,
            "settings": run.settings,
            "model": run.model,
            "preset": run.preset,
            "seed": run.seed,
        }
    )


def _adapter(checkpoint: Checkpoint, directory: Path, role: str) -> str:
    return checkpoint_files.engine_name(checkpoint, directory, f"adapters/{role}")


def settle_inputs(run: Run) -> dict[str, Checkpoint]:
    """Checkpoints that ``run`` takes from the runs before it: the nearest of each kind.

    Only what the run does not name itself, so that settling twice changes nothing.
    """
    wanted = {name for name in get(run.kind).takes if getattr(run, f"{name}_id") is None}
    found: dict[str, Checkpoint] = {}
    ancestor = run.after
    while ancestor is not None and wanted - found.keys():
        made = registry.final_checkpoint(ancestor)
        if made is not None and made.kind in wanted and made.kind not in found:
            found[made.kind] = made
        ancestor = ancestor.after
    return found


def missing_input(run: Run) -> str | None:
    """The first thing that ``run`` needs and neither names nor will get from its chain."""
    kind = get(run.kind)
    promised: set[str] = set()
    ancestor = run.after
    while ancestor is not None:
        promised.add(get(ancestor.kind).produces)
        ancestor = ancestor.after
    for name in sorted(kind.needs):
        if getattr(run, f"{name}_id") is None and name not in (promised & kind.takes):
            return name
    return None

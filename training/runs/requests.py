"""Asking for runs: what a person or program says, checked whole before anything is queued.

Settings are those of a preset with the caller's changes on top, and are saved complete, so that a
later change of a default does not alter what a run was.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from annotation.errors import DomainError
from config import logs
from training.models import ENDED_BADLY, Chain, Checkpoint, Run
from training.rlhf.contract import ContractError, Kind, RunSpec, to_json
from training.rlhf.presets import OFFERED, preset_for, preset_spec
from training.runs import doubts, groups, inputs, kinds, scheduling

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 20
MOST_GPUS = 64
PAIRS_OF_A_CLICK = 500
SCORED_OF_A_CLICK = 2000


class Refused(DomainError):
    """The run cannot be asked for like this; ``field`` names what is wrong."""

    status = 422
    title = "The run cannot be started like this"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}", field=field)
        self.field = field
        self.problem = problem


class CannotResume(DomainError):
    """The run has not ended without success, or it comes after one that has."""

    status = 409
    title = "The run cannot be resumed"


@dataclass(frozen=True)
class Step:
    """One run of a chain: its kind, changes to the preset's settings, the kind's own options."""

    kind: str
    changes: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Common:
    """What all runs of a chain share, and a single run has as well."""

    project: Any
    requested_by: Any
    base: Checkpoint
    release: Any = None
    policy: Checkpoint | None = None
    reward_model: Checkpoint | None = None
    preset: str = "default"
    model_changes: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    gpus: int = 0
    max_attempts: int = 3


def request_run(common: Common, step: Step, *, name: str = "", after: Run | None = None) -> Run:
    """Queue one run. Raises Refused with the field at fault; nothing is queued then."""
    with transaction.atomic():
        return _queue(common, step, name=name, after=after, chain=None)


def request_chain(common: Common, steps: list[Step], *, name: str) -> Chain:
    """Queue ``steps`` in order, each after the one before it; all of them or none."""
    if not steps:
        raise Refused("steps", "name at least one run")
    with transaction.atomic():
        chain = Chain.objects.create(
            project=common.project, name=name, created_by=common.requested_by
        )
        after: Run | None = None
        for number, step in enumerate(steps):
            earlier = sum(one.kind == step.kind for one in steps[:number])
            title = _kind(step).title + (f" {earlier + 1}" if earlier else "")
            after = _queue(common, step, name=f"{name}: {title}", after=after, chain=chain)
    return chain


def request_sampling(policy: Checkpoint, requested_by: Any) -> Run:
    """Queue sampling new pairs from a policy, loaded and answering as where it was trained.

    Raises Refused for what is no policy of a run.
    """
    # Another click draws other answers.
    seed = policy.runs_from_policy.filter(kind="sample").count()
    common = _as_trained(policy, "policy", requested_by, seed=seed)
    step = Step("sample", options={"prompts": PAIRS_OF_A_CLICK})
    return request_run(common, step, name=_named(f"Pairs from {policy.name}", policy))


def request_scoring(reward_model: Checkpoint, requested_by: Any) -> Run:
    """Queue scoring the project's comparisons with a reward model, loaded as it was trained.

    Raises Refused for what is no reward model of a run.
    """
    common = _as_trained(reward_model, "reward_model", requested_by)
    step = Step("score_comparisons", options={"comparisons": SCORED_OF_A_CLICK, "decided": True})
    return request_run(common, step, name=_named(f"Scores of {reward_model.name}", reward_model))


def request_labelling(reward_model: Checkpoint, requested_by: Any, labelling: int) -> Run:
    """Queue answering a machine labelling (by its number) of the reward model's project.

    Raises Refused for what is no reward model of a run.
    """
    common = _as_trained(reward_model, "reward_model", requested_by)
    step = Step("label_comparisons", options={"labelling": labelling})
    return request_run(common, step, name=_named(f"Labels by {reward_model.name}", reward_model))


def _named(what: str, checkpoint: Checkpoint) -> str:
    run = checkpoint.run
    return named(what, run.project, run.release) if run is not None else what


def _as_trained(checkpoint: Checkpoint, role: str, requested_by: Any, *, seed: int = 0) -> Common:
    """Base, preset and GPUs of the run that made ``checkpoint``, for a run that uses it."""
    made_by = checkpoint.run
    if made_by is None or checkpoint.kind != role or checkpoint.base is None:
        wanted = Checkpoint.Kind(role).label.lower()
        raise Refused(role, f"{checkpoint} is no {wanted} that a run has made")
    return Common(
        project=made_by.project,
        requested_by=requested_by,
        base=checkpoint.base,
        preset=made_by.preset,
        model_changes=made_by.model,
        seed=seed,
        gpus=made_by.gpus,
        policy=checkpoint if role == "policy" else None,
        reward_model=checkpoint if role == "reward_model" else None,
    )


def _queue(common: Common, step: Step, *, name: str, after: Run | None, chain: Chain | None) -> Run:
    kind = _kind(step)
    _check(common, kind, after)
    spec = complete_spec(kind.engine, common.preset, step.changes, common.model_changes)
    options = _options(common, kind, step.options)
    spec = kind.decide(spec, options)
    _check_facts(common.release, kind, spec)
    _check_marks(common.release, kind, spec)
    _check_corrections(common.release, kind, spec, options)
    run = Run(
        project=common.project,
        chain=chain,
        after=after,
        kind=kind.name,
        name=(name or named(kind.title, common.project, common.release))[:200],
        requested_by=common.requested_by,
        settings=to_json(spec.settings),
        model=to_json(spec.model),
        options=options,
        preset=common.preset,
        seed=common.seed,
        gpus=common.gpus,
        max_attempts=common.max_attempts,
        release=common.release if "release" in kind.needs else None,
        base=common.base,
        policy=_chosen(common, kind, "policy", after),
        reward_model=_chosen(common, kind, "reward_model", after),
    )
    missing = kinds.missing_input(run)
    if missing is not None:
        raise Refused(missing, f"is needed for {kind.title}")
    try:
        inputs.check(spec, run)
    except ContractError as error:
        raise Refused(error.field, error.problem) from error
    run.doubts = doubts.about(run)
    run.group = groups.key_of(run)
    try:
        scheduling.enqueue(run)
    except scheduling.ParentEnded as error:
        raise Refused("after", str(error)) from error
    with logs.about(run_id=run.pk):
        log.info("run %s was asked for by %s", run.pk, run.requested_by_id)
    return run


def _chosen(common: Common, kind: kinds.RunKind, name: str, after: Run | None) -> Checkpoint | None:
    """What was named for the chain, unless a run before this one will make a newer one."""
    if name not in kind.takes | kind.needs or inputs.coming(after, name) is not None:
        return None
    chosen: Checkpoint | None = getattr(common, name)
    return chosen


def _kind(step: Step) -> kinds.RunKind:
    try:
        return kinds.get(step.kind)
    except KeyError:
        known = ", ".join(sorted(kind.name for kind in kinds.all_kinds()))
        raise Refused("kind", f"is {step.kind!r}, not one of {known}") from None


def named(what: str, project: Any, release: Any = None) -> str:
    """A name by which a run is known among hundreds: with its project and release."""
    parts = [project.name, f"release {release.number}" if release is not None else ""]
    lowered = what.lower()
    return ", ".join([what, *(part for part in parts if part and part.lower() not in lowered)])


def _check(common: Common, kind: kinds.RunKind, after: Run | None) -> None:
    release = common.release
    if common.base.kind != Checkpoint.Kind.BASE:
        raise Refused("base", f"{common.base} is a {common.base.get_kind_display()}, not a base")
    if release is not None and release.project_id != common.project.pk:
        raise Refused("release", "is of another project")
    if release is not None and "release" in kind.needs and release.state != "ready":
        raise Refused("release", "is not ready: it is being built, or could not be")
    if after is not None and after.project_id != common.project.pk:
        raise Refused("after", "is a run of another project")
    for name in ("policy", "reward_model"):
        checkpoint: Checkpoint | None = getattr(common, name)
        if checkpoint is None:
            continue
        if checkpoint.kind != name:
            raise Refused(name, f"{checkpoint} is a {checkpoint.get_kind_display()}")
        two_bases = name == "reward_model" and kind.engine is Kind.PPO
        if checkpoint.base_id != common.base.pk and not two_bases:
            raise Refused(name, f"{checkpoint} was trained on another base than {common.base}")
    for name, most, least in (("gpus", MOST_GPUS, 0), ("max_attempts", MOST_ATTEMPTS, 1)):
        if not least <= getattr(common, name) <= most:
            raise Refused(name, f"must be from {least} to {most}")
    if not 0 <= common.seed < 2**31:
        raise Refused("seed", "must be from 0 to 2147483647")


def _check_facts(release: Any, kind: kinds.RunKind, spec: RunSpec) -> None:
    """A reward model "with facts" of a release that has none would be one without, unsaid."""
    if release is None or "release" not in kind.needs:
        return
    if getattr(spec.settings, "with_facts", False) and release.counts.get("with_facts") == 0:
        raise Refused(
            "settings.with_facts",
            f"{release} has facts for 0 of {release.counts['preferences']:,} preferences: import "
            "captions and freeze another, or train without facts",
        )


def _check_marks(release: Any, kind: kinds.RunKind, spec: RunSpec) -> None:
    """Learning from marked words needs some; what a correction replaced is marked too."""
    if release is None or "release" not in kind.needs or release.counts.get("with_marks") != 0:
        return
    corrected = getattr(spec.settings, "corrections", "leave_out") != "leave_out"
    if corrected and release.counts.get("with_corrections"):
        return
    for name in ("token_coefficient", "dense"):
        if getattr(spec.settings, name, False):
            raise Refused(
                f"settings.{name}",
                f"{release} has marked words for 0 of {release.counts['preferences']:,} "
                "preferences, and is to be learnt from them",
            )


def _check_corrections(
    release: Any, kind: kinds.RunKind, spec: RunSpec, options: dict[str, Any]
) -> None:
    """Learning from corrections alone needs some."""
    if release is None or "release" not in kind.needs or release.counts.get("with_corrections"):
        return
    found = f"{release} has corrections for 0 of {release.counts.get('preferences', 0):,} "
    if getattr(spec.settings, "corrections", "") == "only":
        raise Refused("settings.corrections", f"{found}preferences, and no others are learnt")
    if options.get("answers") == "corrected":
        raise Refused("options.answers", f"{found}preferences")


def complete_spec(
    engine: Kind, preset: str, changes: dict[str, Any], model_changes: dict[str, Any]
) -> RunSpec:
    """The preset's spec with ``changes`` on top; Refused names the first bad field."""
    if preset not in OFFERED:
        raise Refused("preset", f"is {preset!r}, not one of {', '.join(OFFERED)}")
    start = preset_spec(engine, preset_for(engine, preset)).to_json()
    try:
        merged = {
            **start,
            "settings": _merge(start["settings"], changes, "settings"),
            "model": _merge(start["model"], model_changes, "model"),
        }
        return RunSpec.from_json(merged)
    except ContractError as error:
        raise Refused(error.field, error.problem) from error


def _merge(start: dict[str, Any], changes: Any, path: str) -> dict[str, Any]:
    if not isinstance(changes, dict):
        raise ContractError(path, "is not an object")
    merged = dict(start)
    for name, value in changes.items():
        nested = isinstance(start.get(name), dict)
        merged[name] = _merge(start[name], value, f"{path}.{name}") if nested else value
    return merged


def _options(common: Common, kind: kinds.RunKind, given: dict[str, Any]) -> dict[str, Any]:
    if kind.options_form is None:
        if given:
            raise Refused("options", f"{kind.title} has none")
        return {}
    if not isinstance(given, dict):
        raise Refused("options", "is not an object")
    form = kind.options_form(given, project=common.project, user=common.requested_by)
    unknown = sorted(given.keys() - form.fields.keys())
    if unknown:
        raise Refused(f"options.{unknown[0]}", "is not a known field")
    if not form.is_valid():
        name, problems = next(iter(form.errors.items()))
        raise Refused(f"options.{name}" if name != "__all__" else "options", str(problems[0]))
    return form.options()


def resume_run(run: Run) -> None:
    """Queue a run again that ended without success; CannotResume says why it may not be."""
    if scheduling.resume(run):
        return
    parent = run.after
    if parent is not None and parent.state in ENDED_BADLY:
        raise CannotResume(
            f"It comes after “{parent}”, which is {parent.state}: resume that first."
        )
    raise CannotResume(f"It is {run.state}.")

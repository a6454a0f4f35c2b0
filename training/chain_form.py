"""The form "Train from this release", made of whatever kinds of run are registered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django import forms
from django.forms import BoundField

from annotation import access
from annotation.models import Project, Release
from training import setting_fields
from training.forms import offer
from training.models import Checkpoint
from training.rlhf.presets import OFFERED
from training.runs import kinds
from training.runs.cloning import Original
from training.runs.kinds import OptionsForm, RunKind
from training.runs.requests import MOST_ATTEMPTS, MOST_GPUS, Common, Step
from training.visibility import ACT

# Settings that stand open in the form; the others are folded away below them.
SHOWN = {
    "sft": ["epochs", "max_steps", "optimizer.learning_rate", "batch_size"],
    "reward": ["epochs", "max_steps", "optimizer.learning_rate", "batch_size", "facts_position"],
    "ppo": [
        "steps",
        "epochs",
        "policy_optimizer.learning_rate",
        "rollout_batch_size",
        "batch_size",
        "kl_coefficient",
        "sampling.response_length",
    ],
    "dpo": ["epochs", "max_steps", "optimizer.learning_rate", "batch_size", "beta"],
}
TICKED = {"reward", "ppo", "evaluation"}
WITH_FACTS = ("reward", "ppo")  # Kinds that are shown facts, or not.
FACTS = [
    ("with", "With facts (Fact-RLHF)"),
    ("without", "Without facts (plain RLHF)"),
    ("both", "Both, as two chains to compare"),
]


@dataclass(frozen=True)
class Section:
    """One kind of run in the chain form."""

    kind: RunKind
    include: BoundField
    options: OptionsForm | None
    shown: list[BoundField]
    folded: list[BoundField]

    @property
    def folded_has_errors(self) -> bool:
        return any(field.errors for field in self.folded)


class ChainForm(forms.Form):
    """ "Train from this release": which runs, from which models, with which settings."""

    name = forms.CharField(max_length=120, help_text="How these runs are called in lists.")
    facts = forms.ChoiceField(choices=FACTS, label="Facts for the reward model")
    base = forms.ModelChoiceField(Checkpoint.objects.none(), label="Base model")
    preset = forms.ChoiceField(
        choices=[(name, name) for name in OFFERED],
        help_text="default: our choices. paper: those of arXiv 2309.14525. "
        "small-world: for the tiny demo model on a CPU. rloo, grpo: default, but PPO without a "
        "critic.",
    )
    seed = forms.IntegerField(min_value=0, max_value=2**31 - 1, initial=0)
    gpus = forms.IntegerField(
        min_value=0,
        max_value=MOST_GPUS,
        initial=0,
        label="GPUs",
        help_text="Of one host, for each run; 0 trains on the CPU.",
    )
    policy = forms.ModelChoiceField(
        Checkpoint.objects.none(),
        required=False,
        label="Policy to begin from",
        empty_label="the base itself",
    )
    reward_model = forms.ModelChoiceField(
        Checkpoint.objects.none(),
        required=False,
        label="Reward model",
        empty_label="the one trained here",
        help_text="Only when no reward model is trained in this chain.",
    )
    max_attempts = forms.IntegerField(
        min_value=1,
        max_value=MOST_ATTEMPTS,
        initial=3,
        label="Attempts",
        help_text="How often a run is resumed after its worker was lost.",
    )

    def __init__(
        self,
        data: Any,
        *,
        release: Release,
        user: Any,
        checkpoints: Any,
        original: Original | None = None,
    ) -> None:
        filled = original.initial() if original else {"name": f"{release}"[-120:]}
        super().__init__(data, initial=filled)
        self.release, self.user, self.original = release, user, original
        usable = checkpoints.order_by("-promoted", "-created_at")
        for name in ("policy", "reward_model"):
            offer(self, name, usable.filter(kind=name))
        offer(self, "base", usable.filter(kind="base"), or_nothing=False)
        self._settings: dict[str, list[setting_fields.Setting]] = {}
        self._options: dict[str, OptionsForm | None] = {}
        for kind in kinds.in_chains():
            self._add_kind(kind)

    def _add_kind(self, kind: RunKind) -> None:
        include = forms.BooleanField(required=False, label=kind.title, help_text=kind.description)
        self.fields[f"{kind.name}.include"] = include
        settings = setting_fields.settings_of(kind.engine)
        # One question above decides about facts, for reward model and PPO alike.
        elsewhere = kind.decides | {"with_facts"}
        self._settings[kind.name] = [one for one in settings if one.dotted not in elsewhere]
        for setting in self._settings[kind.name]:
            self.fields[f"{kind.name}.{setting.dotted}"] = setting.field
        self._options[kind.name] = None
        if kind.options_form is not None:
            bound = self.data if self.is_bound and self._is_ticked(kind) else None
            self._options[kind.name] = kind.options_form(
                bound,
                prefix=f"{kind.name}.options",
                project=self.release.project,
                user=self.user,
                initial=self._asked_before().get(kind.name),
            )
        ticked = self._asked_before() if self.original else TICKED
        include.initial = kind.name in ticked and _answerable(self._options[kind.name])

    def _asked_before(self) -> dict[str, dict[str, Any]]:
        """By kind, what the runs that are cloned were asked beyond their settings."""
        return self.original.options() if self.original else {}

    def _is_ticked(self, kind: RunKind) -> bool:
        return bool(self.data.get(f"{kind.name}.include"))

    def general(self) -> list[BoundField]:
        """Fields about the chain as a whole that stand open."""
        return [self[name] for name in ("name", "facts", "base", "preset", "seed", "gpus")]

    def advanced(self) -> list[BoundField]:
        return [self[name] for name in ("policy", "reward_model", "max_attempts")]

    def has_bases(self) -> bool:
        return Checkpoint.objects.usable().filter(kind=Checkpoint.Kind.BASE).exists()

    def sections(self) -> Iterator[Section]:
        """One for each kind that can be in a chain, in their order."""
        for kind in kinds.in_chains():
            fields = {
                one.dotted: self[f"{kind.name}.{one.dotted}"] for one in self._settings[kind.name]
            }
            shown = list(SHOWN.get(kind.name, []))
            # What the original changed must not hide among what it left as the preset says.
            shown += [name for name in fields if self._changed(kind, name) and name not in shown]
            yield Section(
                kind=kind,
                include=self[f"{kind.name}.include"],
                options=self._options[kind.name],
                shown=[fields[name] for name in shown],
                folded=[field for name, field in fields.items() if name not in shown],
            )

    def _changed(self, kind: RunKind, dotted: str) -> bool:
        return f"{kind.name}.{dotted}" in self.initial

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        chosen = [kind for kind in kinds.in_chains() if cleaned.get(f"{kind.name}.include")]
        if not chosen:
            raise forms.ValidationError("Tick at least one run to start.")
        for kind in chosen:
            options = self._options[kind.name]
            if options is not None and not options.is_valid():
                self.add_error(f"{kind.name}.include", "Its own questions below need an answer.")
        names = {kind.name for kind in chosen}
        if {"ppo", "dpo"} <= names:
            self.add_error("dpo.include", "Choose PPO or DPO. To compare them, start two chains.")
        if "ppo" in names and "reward" not in names and not cleaned.get("reward_model"):
            self.add_error("reward_model", "PPO needs one: choose it here or train one above.")
        return cleaned

    def common(self) -> Common:
        """What all runs of the chain share. Call on a valid form."""
        names = ("base", "policy", "reward_model", "preset", "seed", "gpus", "max_attempts")
        shared = {name: self.cleaned_data[name] for name in names}
        return Common(
            project=self.release.project,
            requested_by=self.user,
            release=self.release,
            model_changes=self.original.model_changes if self.original else {},
            **shared,
        )

    def chains(self) -> list[tuple[str, list[Step]]]:
        """Name and steps of each chain asked for: two when both kinds of reward model are."""
        name, facts = self.cleaned_data["name"], self.cleaned_data["facts"]
        asks_for_facts = any(self.cleaned_data[f"{kind}.include"] for kind in WITH_FACTS)
        if facts == "both" and asks_for_facts:
            return [
                (f"{name}, with facts", self._steps(with_facts=True)),
                (f"{name}, without facts", self._steps(with_facts=False)),
            ]
        return [(name, self._steps(with_facts=facts == "with"))]

    def _steps(self, *, with_facts: bool) -> list[Step]:
        return [
            self._step(kind, with_facts=with_facts)
            for kind in kinds.in_chains()
            if self.cleaned_data[f"{kind.name}.include"]
        ]

    def _step(self, kind: RunKind, *, with_facts: bool) -> Step:
        given = {
            setting.path: self.cleaned_data[f"{kind.name}.{setting.dotted}"]
            for setting in self._settings[kind.name]
        }
        changes = {path: value for path, value in given.items() if value not in (None, "")}
        if kind.name in WITH_FACTS:
            changes[("with_facts",)] = with_facts
        options = self._options[kind.name]
        return Step(
            kind.name,
            changes=setting_fields.nest(changes),
            options=options.options() if options is not None else {},
        )


def _answerable(options: OptionsForm | None) -> bool:
    """Whether every choice that the kind asks for has something to choose."""
    if options is None:
        return True
    choices = [field for field in options.fields.values() if hasattr(field, "queryset")]
    return all(field.queryset.exists() for field in choices if field.required)


def trainable_releases(user: Any) -> Any:
    """Ready releases of projects in which the person may start runs, newest first; none that is
    archived, or whose project is."""
    mine = access.projects_where(user, ACT)
    ready = Release.objects.listed().filter(project__in=mine, state=Release.State.READY)
    ready = ready.exclude(project__state=Project.State.ARCHIVED)
    return ready.select_related("project").order_by("-created_at")

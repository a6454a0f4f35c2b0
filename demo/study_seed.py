"""One seed of the study: pairs, votes, reward models, policies, and what the oracle says of them.

Read ``Seed.run``. Each run of the engine has a folder of its own and is carried out once; whoever
asks for it again gets the folder as it is.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from demo import study_report, world
from demo.annotators import Answer, honest_answer, judge
from demo.console import Console
from demo.study_engine import (
    carry_out,
    final_metrics,
    metrics,
    prepare,
    read_lines,
)
from demo.world import Prompt
from training.rlhf.contract import Generation, Kind, PreferencePair, RunSpec, settings_from_json
from training.rlhf.presets import preset_spec

BASE_MODEL = Path(__file__).parent / "base_model"
REWARD_MODELS = {"plain": False, "fact": True}
"""Reward models of the study: whether each is shown the facts."""


@dataclass(frozen=True)
class Arm:
    """A way from the base model to a policy, by PPO against the reward model ``judged_by``."""

    name: str
    kind: Kind
    judged_by: str | None = None


ARMS = (
    Arm("rlhf", Kind.PPO, "plain"),
    Arm("fact_rlhf", Kind.PPO, "fact"),
    Arm("dpo", Kind.DPO),
)


@dataclass(frozen=True)
class Plan:
    """How large the study is; two studies with one plan have the same result."""

    noise: float = 0.1
    """Share of votes in which an annotator mixes the two responses up; one vote a pair."""
    prompts: int = 2200
    held_out_share: float = 0.15
    """Of the pairs, kept from the reward models to measure them by."""
    rounds: int = 48
    """Of PPO: twice those of the preset, to see what comes after."""
    measure_every: int = 6
    """Rounds of PPO between measurements."""
    measured_scenes: int = 400
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Changes to the settings of the preset "small-world", by kind of run."""


@dataclass(frozen=True)
class Pair:
    """Two answers to a prompt and what was said of them, by an annotator and by the truth."""

    voted: PreferencePair
    true: PreferencePair


class Seed:
    """One repetition of the study: other scenes, other votes, other random numbers."""

    def __init__(self, folder: Path, number: int, plan: Plan, console: Console) -> None:
        self.folder = folder
        self.number = number
        self.plan = plan
        self.console = console
        self.prompts = world.prompts(plan.prompts, seed=number)
        self.measured = world.prompts(plan.measured_scenes, seed=number, held_out=True)

    def run(self) -> dict[str, Any]:
        """Everything of this seed; what was measured, also left in ``measured.json``."""
        done = self.folder / "measured.json"
        if not done.exists():
            self._draw()
            train, held_out = self._pairs()
            accuracy = {name: self._reward_model(name, train, held_out) for name in REWARD_MODELS}
            answers = {"base": {0: self._answers("base", 0, None)}}
            for arm in ARMS:
                answers[arm.name] = {
                    step: self._answers(arm.name, step, folder)
                    for step, folder in self._policy(arm, train).items()
                }
            found = {
                "seed": self.number,
                "pairs": {"train": len(train), "held_out": len(held_out)},
                "reward_models": accuracy,
                "arms": self._measures(answers),
            }
            fresh = done.with_suffix(".partial")
            fresh.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            fresh.replace(done)
        measured: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        return measured

    # ---- stages ------------------------------------------------------------------------------

    def _draw(self) -> None:
        images = self.folder / "images"
        images.mkdir(parents=True, exist_ok=True)
        for prompt in (*self.prompts, *self.measured):
            path = images / prompt.record.image
            if not path.exists():
                path.write_bytes(prompt.picture())

    def _pairs(self) -> tuple[list[Pair], list[Pair]]:
        """Two answers of the base to each prompt, compared by one annotator; ties are left out."""
        spec = self._spec(Kind.GENERATE, {"samples_per_prompt": 2})
        folder = self._engine("pairs", spec, [prompt.record for prompt in self.prompts])
        rng = Random(f"votes-{self.number}")
        by_id = {prompt.record.id: prompt for prompt in self.prompts}
        pairs = []
        for generation in _generations(folder):
            prompt = by_id[generation.id]
            one, two = generation.responses
            vote = judge(one, two, prompt.scene, rng, noise=self.plan.noise)
            voted = preference_record(prompt, one, two, vote)
            true = preference_record(prompt, one, two, honest_answer(one, two, prompt.scene))
            if voted is not None and true is not None:  # a mix-up never makes or breaks a tie
                pairs.append(Pair(voted, true))
        cut = round(len(pairs) * (1 - self.plan.held_out_share))
        return pairs[:cut], pairs[cut:]

    def _reward_model(
        self, name: str, train: Sequence[Pair], held_out: Sequence[Pair]
    ) -> dict[str, float]:
        """Trained on votes; its accuracy on held-out votes and against the truth behind them."""
        spec = self._spec(Kind.REWARD, {"with_facts": REWARD_MODELS[name]})
        folder = self._engine(
            f"reward-{name}",
            spec,
            [pair.voted for pair in train],
            held_out=[pair.voted for pair in held_out],
        )
        found = final_metrics(folder)
        scored = self._score(f"truth-{name}", name, [pair.true for pair in held_out])
        return {
            "accuracy": found["held_out/accuracy"],
            "true_accuracy": final_metrics(scored)["score/accuracy"],
            "length_correlation": found["held_out/length_correlation"],
        }

    def _policy(self, arm: Arm, train: Sequence[Pair]) -> dict[int, Path]:
        """The arm's policies by step: those along PPO, or the last of an arm without rounds."""
        if arm.judged_by is None:
            spec = self._spec(arm.kind, {})
            folder = self._engine(arm.name, spec, [pair.voted for pair in train])
            return {max(metrics(folder)): folder / "final"}
        changes = {
            "with_facts": REWARD_MODELS[arm.judged_by],
            "steps": self.plan.rounds,
            "checkpoint_every": self.plan.measure_every,
        }
        spec = dataclasses.replace(self._spec(arm.kind, changes), reward_model="adapters/reward")
        folder = self._engine(
            arm.name,
            spec,
            [prompt.record for prompt in self.prompts],
            adapters={"reward": self.folder / f"reward-{arm.judged_by}" / "final"},
        )
        steps = range(self.plan.measure_every, self.plan.rounds + 1, self.plan.measure_every)
        return {step: folder / "checkpoints" / f"step-{step}" / "policy" for step in steps}

    def _answers(self, arm: str, step: int, policy: Path | None) -> list[Generation]:
        """Answers to the held-out scenes; the same random numbers for every policy."""
        spec = self._spec(Kind.GENERATE, {})
        adapters = {}
        if policy is not None:
            spec = dataclasses.replace(spec, policy_adapter="adapters/policy")
            adapters = {"policy": policy}
        name = f"answers/{arm}-{step:03d}"
        records = [prompt.record for prompt in self.measured]
        return _generations(self._engine(name, spec, records, adapters=adapters))

    def _measures(self, answers: dict[str, dict[int, list[Generation]]]) -> dict[str, Any]:
        """Per arm a list of measures along training; each begins with the base at step 0."""
        found: dict[str, Any] = {}
        for arm in ARMS:
            steps = {0: answers["base"][0], **answers[arm.name]}
            rows = {
                step: {"step": step, **study_report.measure(given, self.measured)}
                for step, given in steps.items()
            }
            if arm.judged_by is not None:
                rounds = metrics(self.folder / arm.name)
                for step, rewards in self._rewards(arm, arm.judged_by, steps).items():
                    rows[step] |= study_report.reward_measure(steps[step], self.measured, rewards)
                    rows[step]["kl"] = rounds[step]["ppo/kl"] if step else 0.0
            found[arm.name] = list(rows.values())
        return found

    def _rewards(
        self, arm: Arm, reward_model: str, steps: dict[int, list[Generation]]
    ) -> dict[int, list[float]]:
        """The reward model's word on each answer; the engine scores two answers at a time."""
        texts = {step: {g.id: g.responses[0] for g in given} for step, given in steps.items()}
        ordered = list(texts)
        twos = [(one, two) for one, two in zip(ordered[::2], ordered[1::2], strict=False)]
        if len(ordered) % 2:
            twos.append((ordered[-1], ordered[-1]))
        records = [
            _record(p, texts[one][p.record.id], texts[two][p.record.id])
            for one, two in twos
            for p in self.measured
        ]
        folder = self._score(f"rewards-{arm.name}", reward_model, records)
        scores = read_lines(folder / "final" / "scores.jsonl")
        rewards = {}
        for number, (one, two) in enumerate(twos):
            part = scores[number * len(self.measured) :][: len(self.measured)]
            rewards[two] = [float(str(line["reward_2"])) for line in part]
            rewards[one] = [float(str(line["reward_1"])) for line in part]
        return rewards

    # ---- the engine --------------------------------------------------------------------------

    def _score(self, name: str, reward_model: str, pairs: Sequence[PreferencePair]) -> Path:
        spec = dataclasses.replace(self._spec(Kind.SCORE, {}), reward_model="adapters/reward")
        reward = self.folder / f"reward-{reward_model}" / "final"
        return self._engine(name, spec, pairs, adapters={"reward": reward})

    def _spec(self, kind: Kind, changes: dict[str, Any]) -> RunSpec:
        """The preset "small-world" with the plan's changes and ``changes``."""
        spec = preset_spec(kind, "small-world", base_model=str(BASE_MODEL), seed=self.number)
        settings = spec.to_json()["settings"]
        settings |= self.plan.changes.get(kind.value, {}) | changes
        return dataclasses.replace(spec, settings=settings_from_json(kind, settings))

    def _engine(self, name: str, spec: RunSpec, records: Sequence[Any], **more: Any) -> Path:
        """Carries out the run called ``name`` unless it is finished; returns its folder."""
        folder = self.folder / name
        if not (folder / "final").exists():
            prepare(folder, spec, records, images=self.folder / "images", **more)
            label = f"seed {self.number}: {name}"
            began = self.console.seconds
            carry_out(
                folder, spec, lambda percent: self.console.working([(label, percent, "running")])
            )
            self.console.done(label, f"{self.console.seconds - began:.0f} s")
        return folder


def preference_record(prompt: Prompt, one: str, two: str, answer: Answer) -> PreferencePair | None:
    """The record of a judged pair; None where both questions were answered with a tie."""
    if answer.more_hallucinated != "tie":
        return _record(prompt, one, two, second_is_better=answer.more_hallucinated == "a")
    if answer.more_helpful in (None, "tie"):
        return None
    second_is_better = answer.more_helpful == "b"
    return _record(prompt, one, two, second_is_better=second_is_better, hallucination=False)


def _record(
    prompt: Prompt,
    one: str,
    two: str,
    *,
    second_is_better: bool = False,
    hallucination: bool = True,
) -> PreferencePair:
    record = prompt.record
    return PreferencePair(
        id=record.id,
        image=record.image,
        conversation=record.conversation,
        captions=record.captions,
        output_1=one,
        output_2=two,
        preference=2 if second_is_better else 1,
        hallucination=hallucination,
        votes={"2" if second_is_better else "1": 1},
        margin=1.0,
    )


def _generations(folder: Path) -> list[Generation]:
    lines = read_lines(folder / "final" / "generations.jsonl")
    return [Generation.from_json(line) for line in lines]

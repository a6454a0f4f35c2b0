"""One seed of the study: pairs, votes, reward models, policies, and what the oracle says of them.

Read ``Seed.run``. Each run of the engine has a folder of its own and is carried out once; whoever
asks for it again gets the folder as it is. What was measured of an arm lies in ``measured/``, so
that a study may be made arm by arm.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import durable
from demo import study_report, world
from demo.annotators import honest_answer, judge
from demo.console import Console
from demo.study_arms import ARMS, CONTROLS, REWARD_MODELS, Arm, Control
from demo.study_engine import carry_out, final_metrics, metrics, prepare, read_lines
from demo.study_records import corrected, generations, pair_record, preference_record
from demo.world import Prompt
from training.rlhf.contract import Kind, PreferencePair, RunSpec, settings_from_json
from training.rlhf.presets import preset_spec

BASE_MODEL = Path(__file__).parent / "base_model"


@dataclass(frozen=True)
class Plan:
    """How large the study is; two studies with one plan have the same result."""

    noise: float = 0.1
    """Share of votes in which an annotator mixes the two responses up; one vote a pair."""
    prompts: int = 2800
    held_out_share: float = 0.15
    """Of the pairs, kept from the reward models to measure them by."""
    rounds: int = 20
    """Of PPO, as in the preset; with twice as many, little changed after the tenth."""
    measure_every: int = 5
    """Rounds of PPO between measurements."""
    questions_per_type: int = 60
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Changes to the settings of the preset "small-world", by kind of run."""


@dataclass(frozen=True)
class Pair:
    """Two answers to a prompt and what was said of them, by an annotator and by the truth."""

    prompt: Prompt
    voted: PreferencePair
    true: PreferencePair


class Seed:
    """One repetition of the study: other scenes, other votes, other random numbers."""

    def __init__(self, folder: Path, number: int, plan: Plan, console: Console) -> None:
        self.folder = folder
        self.number = number
        self.plan = plan
        self.console = console
        self.prompts = world.mixture(plan.prompts, seed=number)
        self.asked = world.asked(plan.questions_per_type, seed=number)

    def run(self, names: Collection[str]) -> dict[str, Any]:
        """The arms and controls ``names``; what was measured, with what earlier calls left."""
        self._draw()
        train, held_out = self._pairs()
        models = {name: self._reward_model(name, train, held_out) for name in REWARD_MODELS}
        for arm in ARMS:
            if arm.name in names:
                self._once(arm.name, lambda arm=arm: self._measure_arm(arm, train))
        for control in CONTROLS:
            if control.name in names:
                self._once(control.name, lambda control=control: self._measure_control(control))
        return {
            "seed": self.number,
            "pairs": {"train": len(train), "held_out": len(held_out)},
            "reward_models": models,
            "arms": {
                path.stem: json.loads(path.read_text(encoding="utf-8"))
                for path in sorted((self.folder / "measured").glob("*.json"))
            },
        }

    def pairs(self) -> tuple[list[Pair], list[Pair]]:
        """Those that reward models learn from and those that are held out; no more is made."""
        self._draw()
        return self._pairs()

    # ---- stages ------------------------------------------------------------------------------

    def _draw(self) -> None:
        images = self.folder / "images"
        images.mkdir(parents=True, exist_ok=True)
        for prompt in (*self.prompts, *self.asked):
            path = images / prompt.record.image
            if not path.exists():
                durable.write(path, prompt.picture())

    def _pairs(self) -> tuple[list[Pair], list[Pair]]:
        """Two answers of the base to each prompt, compared by one annotator; ties are left out."""
        spec = self._spec(Kind.GENERATE, {"samples_per_prompt": 2})
        folder = self._engine("pairs", spec, [prompt.record for prompt in self.prompts])
        rng = Random(f"votes-{self.number}")
        pairs = []
        for prompt, generation in zip(self.prompts, generations(folder), strict=True):
            one, two = generation.responses
            about = prompt.question
            vote = judge(one, two, prompt.scene, rng, noise=self.plan.noise, question=about)
            voted = preference_record(prompt, one, two, vote)
            honest = honest_answer(one, two, prompt.scene, about)
            true = preference_record(prompt, one, two, honest)
            if voted is not None and true is not None:  # a mix-up never makes or breaks a tie
                pairs.append(Pair(prompt, voted, true))
        cut = round(len(pairs) * (1 - self.plan.held_out_share))
        return pairs[:cut], pairs[cut:]

    def _reward_model(
        self, name: str, train: Sequence[Pair], held_out: Sequence[Pair]
    ) -> dict[str, Any]:
        """Trained on votes; its accuracy on held-out votes and against the truth behind them."""
        spec = self._spec(Kind.REWARD, {"with_facts": REWARD_MODELS[name]})
        folder = self._engine(
            f"reward-{name}",
            spec,
            [pair.voted for pair in train],
            held_out=[pair.voted for pair in held_out],
        )
        scored = self._score(f"truth-{name}", name, [pair.true for pair in held_out])
        lines = read_lines(scored / "final" / "scores.jsonl")
        right = [
            (line["reward_1"] > line["reward_2"]) == (pair.true.preference == 1)  # type: ignore[operator]
            for line, pair in zip(lines, held_out, strict=True)
        ]
        kinds = [pair.prompt.question.type for pair in held_out]
        return {
            "accuracy": final_metrics(folder)["held_out/accuracy"],
            "true_accuracy": sum(right) / len(right),
            "by_kind": study_report.shares_by_kind(kinds, right),
        }

    def _once(self, name: str, measure: Any) -> None:
        done = self.folder / "measured" / f"{name}.json"
        if not done.exists():
            done.parent.mkdir(exist_ok=True)
            durable.write(done, json.dumps(measure(), indent=1) + "\n")

    def _measure_arm(self, arm: Arm, train: Sequence[Pair]) -> list[dict[str, float]]:
        """Measures along training, of the most likely answers; the first row is the base."""
        policies: dict[int, Path | None] = {0: None, **self._policy(arm, train)}
        rows = []
        for step, policy in policies.items():
            texts = self._greedy(arm.name if step else "base", step, policy)
            row = {"step": step, **study_report.measure(texts, self.asked)}
            if arm.judged_by is not None:
                rewards = self._rewards(f"{arm.name}-{step:03d}", arm.judged_by, texts)
                row |= study_report.reward_measure(texts, self.asked, rewards)
            rows.append(row)
        if arm.judged_by is not None:
            rounds = metrics(self.folder / arm.name)
            for row in rows:
                row["kl"] = rounds[int(row["step"])]["ppo/kl"] if row["step"] else 0.0
        return rows

    def _measure_control(self, control: Control) -> list[dict[str, float]]:
        """The base's answers; of several, the one that the reward model likes best."""
        changes = {
            "samples_per_prompt": control.samples,
            "sampling": {"temperature": control.temperature},
        }
        records = [prompt.record for prompt in self.asked]
        name = f"answers/base-{control.temperature:g}-{control.samples}"
        given = generations(self._engine(name, self._spec(Kind.GENERATE, changes), records))
        texts = [generation.responses[0] for generation in given]
        if control.judged_by is not None:
            tried = [
                self._rewards(
                    f"{control.name}-{number}",
                    control.judged_by,
                    [generation.responses[number] for generation in given],
                )
                for number in range(control.samples)
            ]
            best = [
                max(range(control.samples), key=rewards.__getitem__)
                for rewards in zip(*tried, strict=True)
            ]
            texts = [g.responses[number] for g, number in zip(given, best, strict=True)]
        return [{"step": 0, **study_report.measure(texts, self.asked)}]

    def _policy(self, arm: Arm, train: Sequence[Pair]) -> dict[int, Path]:
        """The arm's policies by step: those along PPO, or the last of an arm without rounds."""
        if arm.judged_by is None:
            if arm.kind is Kind.SFT:
                records: Sequence[Any] = [corrected(pair.prompt) for pair in train]
            else:
                records = [pair.voted for pair in train]
            folder = self._engine(arm.name, self.spec_of(arm), records)
            return {max(metrics(folder)): folder / "final"}
        folder = self._engine(
            arm.name,
            self.spec_of(arm),
            [prompt.record for prompt in self.prompts],
            adapters={"reward": self.folder / f"reward-{arm.judged_by}" / "final"},
        )
        steps = range(self.plan.measure_every, self.plan.rounds + 1, self.plan.measure_every)
        return {step: folder / "checkpoints" / f"step-{step}" / "policy" for step in steps}

    def _greedy(self, arm: str, step: int, policy: Path | None) -> list[str]:
        """The most likely answer to each question of the benchmark."""
        spec = self._spec(Kind.GENERATE, {"sampling": {"temperature": 0.0}})
        adapters = {}
        if policy is not None:
            spec = dataclasses.replace(spec, policy_adapter="adapters/policy")
            adapters = {"policy": policy}
        records = [prompt.record for prompt in self.asked]
        folder = self._engine(f"answers/{arm}-{step:03d}", spec, records, adapters=adapters)
        return [generation.responses[0] for generation in generations(folder)]

    def _rewards(self, name: str, reward_model: str, texts: Sequence[str]) -> list[float]:
        """The reward model's word on each answer; the engine scores two at a time."""
        records = [pair_record(p, text, text) for p, text in zip(self.asked, texts, strict=True)]
        folder = self._score(f"rewards/{name}", reward_model, records)
        lines = read_lines(folder / "final" / "scores.jsonl")
        return [float(str(line["reward_1"])) for line in lines]

    # ---- the engine --------------------------------------------------------------------------

    def _score(self, name: str, reward_model: str, pairs: Sequence[PreferencePair]) -> Path:
        spec = dataclasses.replace(self._spec(Kind.SCORE, {}), reward_model="adapters/reward")
        reward = self.folder / f"reward-{reward_model}" / "final"
        return self._engine(name, spec, pairs, adapters={"reward": reward})

    def spec_of(self, arm: Arm) -> RunSpec:
        """What the engine is asked for an arm."""
        if arm.judged_by is None:
            return self._spec(arm.kind, arm.changes)
        changes = {
            "with_facts": REWARD_MODELS[arm.judged_by],
            "steps": self.plan.rounds,
            "checkpoint_every": self.plan.measure_every,
            **arm.changes,
        }
        spec = self._spec(arm.kind, changes)
        return dataclasses.replace(spec, reward_model="adapters/reward")

    def _spec(self, kind: Kind, changes: Mapping[str, Any]) -> RunSpec:
        """The preset "small-world" with the plan's changes and ``changes``."""
        spec = preset_spec(kind, "small-world", base_model=str(BASE_MODEL), seed=self.number)
        settings = spec.to_json()["settings"]
        for change in (self.plan.changes.get(kind.value, {}), changes):
            for name, value in change.items():
                settings[name] = settings[name] | value if isinstance(value, dict) else value
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

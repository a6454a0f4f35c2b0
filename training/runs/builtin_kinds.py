"""The kinds of run that training itself brings: sft, reward, ppo, dpo, sample, score, and (in
modules of their own) score_comparisons and label_comparisons."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from django import forms
from django.urls import reverse

from annotation import exporting
from annotation.importing import sampled_pairs
from annotation.models import Release
from training.loop.label_comparisons import LabelComparisons
from training.loop.score_comparisons import ScoreComparisons
from training.models import Attempt, Checkpoint, Metric, Run
from training.rlhf.contract import (
    ConversationRecord,
    GenerateSettings,
    Generation,
    Kind,
    PreferencePair,
    RunSpec,
)
from training.runs import kinds
from training.runs.kinds import OptionsForm, RunKind

PREFERRED, CORRECTED_TOO, CORRECTED = "preferred", "corrected_too", "corrected"
ANSWERS = [
    (PREFERRED, "The preferred responses, as they are"),
    (CORRECTED_TOO, "The preferred responses, corrected where somebody corrected them"),
    (CORRECTED, "Corrected responses alone"),
]


class SftOptions(OptionsForm):
    answers = forms.ChoiceField(
        choices=ANSWERS,
        required=False,
        initial=PREFERRED,
        help_text="What it learns to answer. A release says how many of its preferences have "
        "corrections.",
    )

    def clean_answers(self) -> str:
        return self.cleaned_data["answers"] or PREFERRED


class Sft(RunKind):
    name = "sft"
    title = "Supervised fine-tuning"
    description = "Trains the policy on the preferred or corrected responses of the release."
    options_form = SftOptions
    engine = Kind.SFT
    produces = Checkpoint.Kind.POLICY
    takes = frozenset({"policy"})
    needs = frozenset({"release"})
    chain_order = 10

    def write_data(self, run: Run, directory: Path) -> None:
        exporting.write_training_data(_release(run), directory)
        which = run.options.get("answers", PREFERRED)  # runs of before were not asked
        for name in ("train", "held_out"):
            path = directory / "data" / f"{name}.jsonl"
            pairs = [PreferencePair.from_json(line) for line in _lines(path)]
            records = [record for pair in pairs for record in _answered(pair, which)]
            if not records and name == "train":
                raise ValueError("no response of the release's training split is corrected")
            _write_lines(path, (record.to_json() for record in records))


def _answered(pair: PreferencePair, which: str) -> Iterator[ConversationRecord]:
    """What fine-tuning learns to answer to the prompt of ``pair``: one answer, several or none.

    In place of the preferred response its corrections, where there are any; with CORRECTED also
    those of the other one, and nothing that nobody corrected.
    """
    corrected = [
        one.text
        for one in pair.corrections
        if which == CORRECTED or (which == CORRECTED_TOO and one.output == pair.preference)
    ]
    answers = corrected if corrected or which == CORRECTED else [pair.better]
    for number, answer in enumerate(answers, start=1):
        yield ConversationRecord(
            id=pair.id if number == 1 else f"{pair.id} {number}",
            image=pair.image,
            conversation=pair.conversation,
            captions=pair.captions,
            answer=answer,
        )


class Reward(RunKind):
    name = "reward"
    title = "Reward model"
    description = "Learns from the release which response hallucinates less."
    engine = Kind.REWARD
    produces = Checkpoint.Kind.REWARD_MODEL
    needs = frozenset({"release"})
    chain_order = 20

    def write_data(self, run: Run, directory: Path) -> None:
        exporting.write_training_data(_release(run), directory)


class Ppo(RunKind):
    name = "ppo"
    title = "PPO"
    description = "Trains the policy against the reward model on the prompts of the release."
    engine = Kind.PPO
    produces = Checkpoint.Kind.POLICY
    takes = frozenset({"policy", "reward_model"})
    needs = frozenset({"release", "reward_model"})
    chain_order = 30

    def write_data(self, run: Run, directory: Path) -> None:
        if not exporting.write_prompts(_release(run), directory):
            raise ValueError("the release has no prompts in its training split")


class Dpo(RunKind):
    name = "dpo"
    title = "DPO"
    description = (
        "Trains the policy on the pairs of the release directly: cheaper, and in place of reward "
        "model and PPO. Facts are not used."
    )
    engine = Kind.DPO
    produces = Checkpoint.Kind.POLICY
    takes = frozenset({"policy"})
    needs = frozenset({"release"})
    chain_order = 35

    def write_data(self, run: Run, directory: Path) -> None:
        exporting.write_training_data(_release(run), directory)


class SampleOptions(OptionsForm):
    prompts = forms.IntegerField(
        min_value=1,
        max_value=100_000,
        initial=500,
        help_text="Prompts of the project to answer; each becomes one comparison.",
    )


class SamplePairs(RunKind):
    name = "sample"
    title = "Sample pairs to compare"
    description = "Answers the project's prompts twice and hands the pairs to annotators."
    engine = Kind.GENERATE
    takes = frozenset({"policy"})
    chain_order = 90
    options_form = SampleOptions

    def write_data(self, run: Run, directory: Path) -> None:
        if not exporting.write_project_prompts(run.project, directory, run.options["prompts"]):
            raise ValueError("the project has no prompts to answer")

    def decide(self, spec: RunSpec, options: dict[str, Any]) -> RunSpec:
        assert isinstance(spec.settings, GenerateSettings)
        each = max(2, spec.settings.samples_per_prompt)
        return replace(spec, settings=replace(spec.settings, samples_per_prompt=each))

    def finish(self, run: Run, attempt: Attempt, directory: Path) -> None:
        generations = [
            Generation.from_json(line) for line in _lines(directory / "final/generations.jsonl")
        ]
        answered = [generation.id for generation in generations]
        prompts = {
            prompt.external_id: prompt
            for prompt in run.project.prompts.filter(external_id__in=answered)
        }
        sampled = run.policy or run.base
        assert sampled is not None
        model = sampled.name
        pairs = [
            (prompts[generation.id], first, second, model, model)
            for generation in generations
            if generation.id in prompts
            for first, second in _pairs(generation)
        ]
        sampled_pairs.create_pairs(run.project, pairs, source=f"run {run.pk}")

    def result_url(self, run: Run) -> str | None:
        return reverse("annotation:comparisons", args=[run.project.slug])


def _pairs(generation: Generation) -> Iterator[tuple[str, str]]:
    """Neighbouring responses; equal ones leave nothing to compare."""
    responses = generation.responses
    for first, second in zip(responses[::2], responses[1::2], strict=False):
        if first.strip() != second.strip():
            yield first, second


class Score(RunKind):
    name = "score"
    title = "Score with a reward model"
    description = "Measures how often the reward model agrees with people on held-out pairs."
    engine = Kind.SCORE
    takes = frozenset({"reward_model"})
    needs = frozenset({"release", "reward_model"})

    def write_data(self, run: Run, directory: Path) -> None:
        exporting.write_training_data(_release(run), directory)
        data = directory / "data"
        if not (data / "held_out.jsonl").exists() or not list(_lines(data / "held_out.jsonl")):
            raise ValueError("the release holds nothing out: there is nothing fair to score")
        (data / "held_out.jsonl").replace(data / "train.jsonl")

    def finish(self, run: Run, attempt: Attempt, directory: Path) -> None:
        pairs = [PreferencePair.from_json(line) for line in _lines(directory / "data/train.jsonl")]
        scores = {line["id"]: line for line in _lines(directory / "final/scores.jsonl")}
        margins = [_margin(pair, scores[pair.id]) for pair in pairs]
        figures = {
            "score/agreement": fmean(float(margin > 0) for margin in margins),
            "score/margin": fmean(margins),
        }
        for name, value in figures.items():
            Metric.objects.update_or_create(run=run, name=name, step=0, defaults={"value": value})


def _margin(pair: PreferencePair, scored: dict[str, Any]) -> float:
    first, second = float(scored["reward_1"]), float(scored["reward_2"])
    return first - second if pair.preference == 1 else second - first


def _release(run: Run) -> Release:
    assert run.release is not None, "every kind that reads a release needs one"
    return run.release


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as handle:
        yield from (json.loads(line) for line in handle if line.strip())


def _write_lines(path: Path, records: Iterator[dict[str, Any]]) -> None:
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    path.write_text(text, encoding="utf-8")


def register_all() -> None:
    trains = (Sft(), Reward(), Ppo(), Dpo())
    for kind in (*trains, SamplePairs(), Score(), ScoreComparisons(), LabelComparisons()):
        kinds.register(kind)

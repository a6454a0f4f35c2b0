"""The run kind "evaluation": the engine answers a question set, a judge rates the answers.

The run ends when the answers are there; judging needs no GPU and goes on as a task of its own, on
the evaluation's page. Training knows this kind only as one of those that are registered.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from django import forms
from django.urls import reverse

from annotation import exporting
from annotation.models import Image
from benchmark import access, evaluating
from benchmark.board import parentage, run_scores
from benchmark.evaluating import Said
from benchmark.models import (
    Evaluation,
    EvaluationQuerySet,
    Judge,
    Question,
    QuestionSet,
    ReportCard,
)
from benchmark.report_cards import showing
from benchmark.report_cards.kind import ReportCardKind, report_on
from benchmark.reward_runs import RewardEvaluationKind
from benchmark.templatetags.benchmark_tags import figure, interval
from training.checkpoints import cards, lineage
from training.figures import columns, comparing
from training.models import Attempt, Checkpoint, Run
from training.rlhf.contract import (
    IMAGE_TOKEN,
    GenerateSettings,
    Generation,
    Kind,
    PromptRecord,
    RunSpec,
    Turn,
)
from training.runs import kinds
from training.runs.kinds import OptionsForm, RunKind

MOST_SCORES = 8


class EvaluationOptions(OptionsForm):
    """Which questions, which judge, and how answers are drawn."""

    takes_pairs = False
    """Whether pairs of responses may be chosen: a chain ends with a model that answers."""
    question_set = forms.ModelChoiceField(QuestionSet.objects.all(), label="Benchmark")
    judge = forms.ModelChoiceField(Judge.objects.all())
    temperature = forms.FloatField(
        min_value=0,
        max_value=2,
        initial=0,
        required=False,
        help_text="0 always takes the likeliest word, which repeats exactly; 1 samples.",
    )

    def clean_temperature(self) -> float:
        return self.cleaned_data["temperature"] or 0.0

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        question_set, judge = cleaned.get("question_set"), cleaned.get("judge")
        if question_set and question_set.rules.ranks_judges and not self.takes_pairs:
            self.add_error("question_set", f"{question_set} measures reward models and judges.")
        if question_set and judge and not judge.can_judge(question_set):
            self.add_error("judge", f"{judge} cannot judge {question_set}.")
        if question_set and not question_set.questions.exclude(image=None).exists():
            self.add_error("question_set", f"No question of {question_set} has its image.")
        return cleaned


class EvaluationKind(RunKind):
    name = "evaluation"
    title = "Evaluation"
    description = "Answers a benchmark's questions and has a judge rate the answers."
    engine = Kind.GENERATE
    takes = frozenset({"policy"})
    chain_order = 40
    measures = True
    options_form = EvaluationOptions
    decides = frozenset({"sampling.temperature", "samples_per_prompt"})

    def decide(self, spec: RunSpec, options: dict[str, Any]) -> RunSpec:
        assert isinstance(spec.settings, GenerateSettings)
        sampling = dataclasses.replace(
            spec.settings.sampling, temperature=float(options["temperature"])
        )
        one_each = dataclasses.replace(spec.settings, sampling=sampling, samples_per_prompt=1)
        return dataclasses.replace(spec, settings=one_each)

    def write_data(self, run: Run, directory: Path) -> None:
        evaluation = evaluation_of(run)
        evaluating.reopen(evaluation)
        questions = _questions(evaluation).exclude(image=None).select_related("image")
        lines, names = [], {}
        for question in questions:
            image = question.image
            assert image is not None
            names[image.sha256] = image.filename
            lines.append(json.dumps(_prompt(question, image).to_json(), ensure_ascii=False))
        if not lines:
            raise ValueError("no question of the benchmark has its image")
        exporting.write_images(names, directory)
        (directory / "data" / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def finish(self, run: Run, attempt: Attempt, directory: Path) -> None:
        evaluation = evaluation_of(run)
        path = directory / "final" / "generations.jsonl"
        with path.open(encoding="utf-8") as handle:
            said = [Generation.from_json(json.loads(line)) for line in handle if line.strip()]
        by_id = {_record_id(question): question for question in _questions(evaluation)}
        evaluating.store_answers(
            evaluation,
            {
                by_id[generation.id]: Said(generation.responses[0], finished=generation.finished[0])
                for generation in said
            },
        )

    def result_url(self, run: Run) -> str | None:
        evaluation = Evaluation.objects.filter(run=run).first()
        return reverse("benchmark:evaluation", args=[evaluation.pk]) if evaluation else None


def evaluation_of(run: Run) -> Evaluation:
    sampling = {"temperature": run.options["temperature"], "seed": run.seed}
    return evaluating.evaluation_of(run, run.policy or run.base, sampling=sampling)


def scores_of(checkpoint: Checkpoint, user: Any) -> list[lineage.Outcome]:
    """Evaluations of the checkpoint that the person may see, newest first, for its lineage."""
    visible = access.evaluations(user)
    mine = visible.filter(checkpoint=checkpoint).with_origin()
    found = [_outcome(evaluation, visible) for evaluation in mine[:MOST_SCORES]]
    return [*_report(checkpoint), *found]


def _report(checkpoint: Checkpoint) -> list[lineage.Outcome]:
    """A reward model's report card, or where to ask for one."""
    if checkpoint.kind != Checkpoint.Kind.REWARD_MODEL or checkpoint.run_id is None:
        return []
    report = ReportCard.objects.filter(checkpoint=checkpoint).first()
    note = f"{report.figures['pairs']} held-out pairs" if report else "not made yet"
    address = reverse("benchmark:report-card", args=[checkpoint.pk])
    return [lineage.Outcome("Report card", note, address)]


def _outcome(evaluation: Evaluation, visible: EvaluationQuerySet) -> lineage.Outcome:
    change = parentage.change_of(evaluation, visible)
    return lineage.Outcome(
        str(evaluation.question_set),
        _score(evaluation),
        evaluation.get_absolute_url(),
        change=change.verdict if change else "",
        detail=_told(evaluation, change),
    )


def _score(evaluation: Evaluation) -> str:
    shown = evaluation.question_set.headline
    estimate = evaluation.summary.get(shown.name)
    if evaluation.state != Evaluation.State.COMPLETE or not estimate:
        return evaluation.get_state_display()
    value = figure(estimate["value"], shown)
    return f"{shown.title.lower()} {value} ({interval(estimate, shown)})"


def _told(evaluation: Evaluation, change: parentage.Change | None) -> str:
    """The change with its interval; or that the parent is not known on the same terms."""
    if change is None:
        if evaluation.state != Evaluation.State.COMPLETE or evaluation.method == "Base":
            return ""
        return "No model that it descends from has been evaluated the same way."
    told = f"{change.told} since {change.parent.model_name}."
    also = [shown.title.lower() for shown in change.worse if shown != change.tested]
    return f"{told} Also worse: {', '.join(also)}." if also else told


def register() -> None:
    kinds.register(EvaluationKind())
    kinds.register(RewardEvaluationKind())
    kinds.register(ReportCardKind())
    kinds.follow(report_on)
    cards.register_section(showing.section)
    lineage.register_outcomes(scores_of)
    columns.register(run_scores.columns_for)
    comparing.register_scores(run_scores.scores_of)


def _questions(evaluation: Evaluation) -> Any:
    return Question.objects.filter(question_set=evaluation.question_set_id).order_by("index")


def _prompt(question: Question, image: Image) -> PromptRecord:
    turn = Turn(speaker="human", text=f"{IMAGE_TOKEN}\n{question.text}")
    return PromptRecord(id=_record_id(question), image=image.filename, conversation=(turn,))


def _record_id(question: Question) -> str:
    return f"question-{question.number}"

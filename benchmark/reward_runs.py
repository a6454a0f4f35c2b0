"""The run kind "reward_evaluation": a reward model scores both responses of a benchmark's pairs.

The engine states a reward for each response; which is higher is compared by rule, so that no judge
is asked and nothing has to be read.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from django import forms
from django.urls import reverse

from annotation import exporting
from benchmark import evaluating
from benchmark.evaluating import Said
from benchmark.models import Evaluation, Judge, Question, QuestionSet
from training.models import Attempt, Run
from training.rlhf.contract import IMAGE_TOKEN, Kind, RunSpec, ScoreSettings
from training.runs.kinds import OptionsForm, RunKind


class RewardEvaluationOptions(OptionsForm):
    """Which pairs; the judge is the rule that sets one reward against another."""

    question_set = forms.ModelChoiceField(QuestionSet.objects.all(), label="Benchmark")
    judge = forms.ModelChoiceField(Judge.objects.filter(kind=Judge.Kind.EXACT))

    def clean_question_set(self) -> QuestionSet:
        chosen: QuestionSet = self.cleaned_data["question_set"]
        if not chosen.rules.ranks_judges:
            raise forms.ValidationError(f"{chosen} holds no pairs of responses.")
        if not chosen.questions.exclude(image=None).exists():
            raise forms.ValidationError(f"No question of {chosen} has its image.")
        return chosen


class RewardEvaluationKind(RunKind):
    name = "reward_evaluation"
    title = "Evaluation of a reward model"
    description = "Asks a reward model which of two responses is better, where people have said so."
    engine = Kind.SCORE
    takes = frozenset({"reward_model"})
    needs = frozenset({"reward_model"})
    measures = True
    options_form = RewardEvaluationOptions
    decides = frozenset({"labelled", "unusable_records"})

    def decide(self, spec: RunSpec, options: dict[str, Any]) -> RunSpec:
        assert isinstance(spec.settings, ScoreSettings)
        # Which response is better is compared here, where a tie is half a point. A question too
        # long for the reward model is a pair without an answer, and the page says of how many.
        settings = replace(spec.settings, labelled=False, unusable_records="leave_out")
        return replace(spec, settings=settings)

    def write_data(self, run: Run, directory: Path) -> None:
        evaluation = evaluating.evaluation_of(run, run.reward_model)
        evaluating.reopen(evaluation)
        questions = list(_questions(evaluation).exclude(image=None).select_related("image"))
        if not questions:
            raise ValueError("no question of the benchmark has its image")
        images = [question.image for question in questions if question.image is not None]
        names = {image.sha256: image.filename for image in images}
        exporting.write_images(names, directory)
        lines = [json.dumps(_pair(question), ensure_ascii=False) for question in questions]
        (directory / "data" / "train.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def finish(self, run: Run, attempt: Attempt, directory: Path) -> None:
        evaluation = evaluating.evaluation_of(run, run.reward_model)
        with (directory / "final" / "scores.jsonl").open(encoding="utf-8") as handle:
            scores = [json.loads(line) for line in handle if line.strip()]
        by_id = {_record_id(question): question for question in _questions(evaluation)}
        evaluating.store_answers(
            evaluation,
            {
                by_id[line["id"]]: Said(
                    json.dumps({"rewards": [line["reward_1"], line["reward_2"]]})
                )
                for line in scores
            },
        )

    def result_url(self, run: Run) -> str | None:
        found = Evaluation.objects.filter(run=run).first()
        return reverse("benchmark:evaluation", args=[found.pk]) if found else None


def _questions(evaluation: Evaluation) -> Any:
    return Question.objects.filter(question_set=evaluation.question_set_id).order_by("index")


def _pair(question: Question) -> dict[str, Any]:
    """Without facts: these benchmarks have none, and what people prefer is not told."""
    assert question.image is not None
    first, second = question.data["responses"]
    return {
        "id": _record_id(question),
        "image": question.image.filename,
        "conversations": [{"from": "human", "value": f"{IMAGE_TOKEN}\n{question.text}"}],
        "output_1": {"from": "one", "value": first},
        "output_2": {"from": "other", "value": second},
        "captions": [],
    }


def _record_id(question: Question) -> str:
    return f"pair-{question.number}"

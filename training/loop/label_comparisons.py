"""The run kind that has a reward model answer the comparisons of a machine labelling.

It is asked for by the labelling alone: neither a chain nor a form of its own offers it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

from django import forms
from django.db.models import Q

from annotation import exporting
from annotation.machine import labellers, labelling
from annotation.machine.labellers import Choice
from annotation.models import Comparison, MachineLabelling, Project
from training.loop.score_comparisons import ScoreComparisons
from training.models import ENDED_BADLY, Attempt, Checkpoint, Run
from training.runs import requests, scheduling
from training.runs.kinds import OptionsForm

KIND = "label_comparisons"


class LabelComparisonsOptions(OptionsForm):
    labelling = forms.IntegerField(min_value=1)

    def clean_labelling(self) -> int:
        number: int = self.cleaned_data["labelling"]
        waiting = MachineLabelling.objects.filter(
            project=self.project, number=number, state=MachineLabelling.State.LABELLING
        )
        if not waiting.filter(machine__startswith=f"{RewardModelLabeller.name}:").exists():
            raise forms.ValidationError("is no labelling of this project that waits for answers")
        return number


class LabelComparisons(ScoreComparisons):
    name = KIND
    title = "Label comparisons"
    description = "Asks the reward model what a machine labelling wants to know."
    chain_order: ClassVar[int | None] = None
    options_form: ClassVar[type[OptionsForm] | None] = LabelComparisonsOptions

    def write_data(self, run: Run, directory: Path) -> None:
        asked = labelling.unanswered(_of(run)).values("comparison")
        exporting.write_pairs(Comparison.objects.filter(pk__in=asked).order_by("pk"), directory)

    def finish(self, run: Run, attempt: Attempt, directory: Path) -> None:
        found = _of(run)
        with (directory / "final" / "scores.jsonl").open(encoding="utf-8") as lines:
            scores = [json.loads(line) for line in lines if line.strip()]
        said = {int(one["id"]): answer(one["probability_1"]) for one in scores}
        # What the engine left out as unusable, people decide.
        nothing = labelling.Answer(more_hallucinated="", confidence=None)
        left = labelling.unanswered(found).values_list("comparison", flat=True)
        labelling.take_answers(found, {**dict.fromkeys(left, nothing), **said})
        labelling.labelled(found)

    def result_url(self, run: Run) -> str | None:
        return _of(run).get_absolute_url()


def answer(probability_1: float) -> labelling.Answer:
    """The chance that response 1 is the better one, turned round: the other hallucinates more."""
    if probability_1 == 0.5:
        return labelling.Answer(more_hallucinated="", confidence=None)
    worse = "2" if probability_1 > 0.5 else "1"
    return labelling.Answer(
        more_hallucinated=worse, confidence=max(probability_1, 1 - probability_1)
    )


def _of(run: Run) -> MachineLabelling:
    rows = MachineLabelling.objects.select_related("project")
    return rows.get(project=run.project_id, number=run.options["labelling"])


class RewardModelLabeller(labellers.Labeller):
    """The project's own reward models. A comparison that one was trained on waits for nobody."""

    name = "reward_model"
    title = "Reward models"

    def choices(self, project: Project) -> list[Choice]:
        rows = Checkpoint.objects.filter(
            Q(run__project=project), kind=Checkpoint.Kind.REWARD_MODEL, base__isnull=False
        )
        return [
            Choice(key=one.pk, name=one.name, about={"run": one.run_id})
            for one in rows.order_by("-pk")[:MOST_OFFERED]
        ]

    def begin(self, found: MachineLabelling) -> None:
        reward_model = Checkpoint.objects.select_related("run__project", "base").get(
            pk=labellers.key_of(found)
        )
        run = _run(found)
        if run is not None and run.state in ENDED_BADLY:
            requests.resume_run(run)
        else:
            made_by = reward_model.run.requested_by if reward_model.run else None
            requests.request_labelling(reward_model, found.created_by or made_by, found.number)

    def cancel(self, found: MachineLabelling) -> None:
        run = _run(found)
        if run is not None:
            scheduling.cancel(run)

    def trouble(self, found: MachineLabelling) -> str:
        run = _run(found)
        if run is None:
            return "Its run is gone."
        return f"Its run is {run.state}." if run.state in ENDED_BADLY else ""

    def told(self, found: MachineLabelling) -> dict[str, str]:
        run = _run(found)
        return {"url": run.get_absolute_url(), "link": run.name} if run else {}


MOST_OFFERED = 50


def _run(found: MachineLabelling) -> Run | None:
    runs = Run.objects.filter(project=found.project_id, kind=KIND, options__labelling=found.number)
    return runs.order_by("-pk").first()

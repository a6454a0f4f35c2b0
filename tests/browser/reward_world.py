"""Reward models on the dashboard: a ranking of them, a report card, and AMBER beside them.

The rewards are drawn here; they are nobody's.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from django.urls import reverse

from annotation.image_sources import Folder
from annotation.models import Project, User
from benchmark.importing import import_answers, import_questions
from benchmark.judging import work
from benchmark.models import Evaluation, Judge, ReportCard
from benchmark.report_cards import figures
from benchmark.report_cards.figures import CONDITIONS, Scored
from tests.benchmark.factories import make_judge
from tests.benchmark.test_amber import published as published_amber
from tests.factories import make_image
from tests.training.factories import make_checkpoint
from training.models import Checkpoint, Run

RIGHT = {"reward 13B": 0.8, "reward 7B": 0.65, "reward 7B, no facts": 0.55}
"""About how often each draws the response that people prefer."""


def fill(project: Project, admin: User, scratch: Path, base: Checkpoint) -> dict[str, str]:
    """The address of each page by a name for its picture."""
    judge = Judge.objects.filter(kind="exact").first() or make_judge(
        "exact rule", kind="exact", base_url="", model=""
    )
    run = Run.objects.create(
        project=project, kind="reward", base=base, requested_by=admin, name="Reward, release 1"
    )
    reward_model = make_checkpoint(run, kind=Checkpoint.Kind.REWARD_MODEL, name="reward 13B")
    ranked = _ranked(project, judge, reward_model, scratch)
    ReportCard.objects.create(checkpoint=reward_model, run=run, figures=_report())
    amber = _amber(project, judge, scratch)
    younger = Run.objects.create(
        project=project,
        kind="reward",
        base=base,
        requested_by=admin,
        name="Reward, release 2",
        release=project.releases.first(),
    )
    unknown = make_checkpoint(younger, kind=Checkpoint.Kind.REWARD_MODEL, name="reward 7B")
    return {
        "report-card-none": reverse("benchmark:report-card", args=[unknown.pk]),
        "report-card": reverse("benchmark:report-card", args=[reward_model.pk]),
        "reward-evaluation": ranked[0].get_absolute_url(),
        "amber": amber.get_absolute_url(),
    }


def _ranked(
    project: Project, judge: Judge, reward_model: Checkpoint, scratch: Path
) -> list[Evaluation]:
    folder = scratch / "rewards"
    folder.mkdir()
    groups = ("RLAIF-V", "mathverse", "wildvision")
    rows = [
        {
            "id": f"{groups[n % 3]}-{n}",
            "image_path": f"{n}.png",
            "query": f"What stands on table {n}?",
            "response": [f"A vase with {n} flowers.", f"Two dogs beside {n} chairs."],
            "human_ranking": [0, 1],
        }
        for n in range(60)
    ]
    path = folder / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    questions = import_questions(
        "vl_rewardbench", path, images_from=Folder(folder), allow_missing=True
    )
    questions.questions.update(image=make_image())
    drawn, found = random.Random(3), []
    for name, right in RIGHT.items():
        lines = [{**row, "rewards": [float(drawn.random() < right), 0.5]} for row in rows]
        answers = folder / "answers.jsonl"
        answers.write_text("\n".join(map(json.dumps, lines)))
        known = {"checkpoint": reward_model} if name == reward_model.name else {}
        evaluation = import_answers(
            questions, answers, judge=judge, model_name=name, project=project, **known
        )
        work.judge(evaluation.pk)
        found.append(Evaluation.objects.get(pk=evaluation.pk))
    return found


def _report() -> dict[str, object]:
    drawn = random.Random(5)
    chances = dict(zip(CONDITIONS, (0.82, 0.74, 0.71, 0.58, 0.44), strict=True))
    pairs = []
    for n in range(160):
        first = {
            name: min(0.99, max(0.01, drawn.gauss(0.72, 0.12)))
            if drawn.random() < chance
            else drawn.uniform(0.05, 0.45)
            for name, chance in chances.items()
        }
        pairs.append(
            Scored(
                preference=1,
                honesty=n % 3 != 0,
                margin=(0.2, 0.6, 1.0)[n % 3],
                lengths=(80 + drawn.randrange(120), 80 + drawn.randrange(120)),
                first=first,
                rewards=(first[figures.WHOLE], 1 - first[figures.WHOLE]),
            )
        )
    return {**figures.report(pairs), "best_of_n": _best_of_n()}


def _best_of_n() -> dict[str, object]:
    values = [2.6, 2.9, 3.05, 3.15]
    return {
        "model": "llava 13b",
        "question_set": "MMHal-Bench",
        "judge": "gpt-judge",
        "figure": "Score",
        "questions": 81,
        "answers": 4,
        "picked": [{"value": v, "low": v - 0.3, "high": v + 0.3} for v in values],
        "possible": [2.6, 3.4, 3.8, 4.1],
        "gain": {"difference": 0.55, "p_value": 0.01, "shown": True},
    }


def _amber(project: Project, judge: Judge, scratch: Path) -> Evaluation:
    folder = scratch / "amber"
    folder.mkdir()
    path = published_amber(folder) / "query_all.json"
    questions = import_questions("amber", path, images_from=Folder(folder), allow_missing=True)
    questions.questions.update(image=make_image())
    said = ("A man with a dog on the grass.", "A dog beside a car.", "No.", "Yes, it is.")
    rows = [{"id": number, "response": text} for number, text in enumerate(said, start=1)]
    (folder / "answers.json").write_text(json.dumps(rows))
    evaluation = import_answers(
        questions,
        folder / "answers.json",
        judge=judge,
        model_name="llava 13b",
        project=project,
    )
    work.judge(evaluation.pk)
    return Evaluation.objects.get(pk=evaluation.pk)

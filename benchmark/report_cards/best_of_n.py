"""What a reward model's choice is worth: of n sampled answers, how good is the one it likes best.

The answers are those that one model gave to one benchmark at several seeds, with what its judge
made of each. A curve that stays flat says that the rewards do not point to better answers, whatever
the accuracy on pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import comb, isfinite
from statistics import fmean
from typing import Any

from benchmark import scoring
from benchmark.models import Evaluation, Question
from benchmark.statistics import MEAN, estimate, mean_between, paired_test
from benchmark.templatetags.benchmark_tags import inside
from training.rlhf.contract import IMAGE_TOKEN

MOST_ANSWERS = 8
MOST_QUESTIONS = 100
MOST_EVALUATIONS = 200
_ID = "best-of-n"


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """One question's answers: their texts, and what the judge made of each."""

    question: int
    image: str
    text: str
    facts: tuple[str, ...]
    answers: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Whose answers they are, by which judge, in which figure."""

    model: str
    questions: str
    judge: str
    figure: str
    sampled: tuple[Sampled, ...]
    scale: tuple[float, float] | None = None
    """From where to where that figure goes; not known of runs that began before."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Source:
        lists = ("facts", "answers", "values")
        sampled = [
            Sampled(**{**one, **{name: tuple(one[name]) for name in lists}})
            for one in data["sampled"]
        ]
        scale = data.get("scale")
        return cls(**{**data, "sampled": tuple(sampled), "scale": scale and tuple(scale)})


def sampled_in(project: Any) -> Source | None:
    """The answers of the model and benchmark that was sampled most often in a project, the newest
    of several; None where nothing was sampled twice."""
    groups: dict[tuple[Any, ...], dict[Any, Evaluation]] = {}
    rows = Evaluation.objects.scored().filter(project=project, sampling__temperature__gt=0)
    known = rows.exclude(checkpoint=None).select_related("question_set", "judge", "checkpoint")
    for row in known[:MOST_EVALUATIONS]:
        if row.question_set.rules.ranks_judges:
            continue
        key = (row.checkpoint_id, row.group, row.sampling["temperature"])
        groups.setdefault(key, {}).setdefault(row.sampling.get("seed"), row)
    often = sorted(groups.values(), key=lambda one: (-len(one), -max(e.pk for e in one.values())))
    for group in often:
        chosen = list(group.values())[:MOST_ANSWERS]
        if len(chosen) > 1 and (source := _source(chosen)) is not None:
            return source
    return None


def _source(chosen: Sequence[Evaluation]) -> Source | None:
    first = chosen[0]
    rules, values = first.question_set.rules, scoring.tested_values(chosen)
    said = {row.pk: dict(row.answers.values_list("question__index", "text")) for row in chosen}
    sampled = []
    questions = Question.objects.filter(question_set=first.question_set_id).exclude(image=None)
    for question in questions.select_related("image").order_by("index"):
        found = [values[row.pk].get(question.index) for row in chosen]
        numbers = [float(one) for one in found if isinstance(one, int | float)]
        if len(numbers) < len(chosen) or question.image is None:
            continue
        sampled.append(
            Sampled(
                question=question.pk,
                image=question.image.filename,
                text=question.text,
                facts=tuple(question.data.get("image_content") or ()),
                answers=tuple(said[row.pk][question.index] for row in chosen),
                values=tuple(numbers),
            )
        )
    if not sampled:
        return None
    return Source(
        model=first.model_name,
        questions=str(first.question_set),
        judge=str(first.judge),
        figure=first.question_set.tested_figure.title,
        sampled=tuple(sampled[:MOST_QUESTIONS]),
        scale=rules.compared[rules.tested].measure.scale,
    )


def images_of(source: Source) -> dict[str, str]:
    """Files by the digest of their content, as ``exporting.write_images`` takes them."""
    rows = Question.objects.filter(pk__in=[one.question for one in source.sampled])
    return {
        question.image.sha256: question.image.filename
        for question in rows.select_related("image")
        if question.image is not None
    }


def records(source: Source) -> Iterator[dict[str, Any]]:
    """What the engine scores: two answers a record, the last one twice where they are odd."""
    for one in source.sampled:
        for place in range(0, len(one.answers), 2):
            pair = (one.answers[place], one.answers[min(place + 1, len(one.answers) - 1)])
            yield {
                "id": f"{_ID}/{one.question}/{place}",
                "image": one.image,
                "conversations": [{"from": "human", "value": f"{IMAGE_TOKEN}\n{one.text}"}],
                "output_1": {"from": "one", "value": pair[0]},
                "output_2": {"from": "other", "value": pair[1]},
                "captions": list(one.facts),
            }


def report(source: Source, lines: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """The curve as plain JSON types; None where no question was scored whole. Points are the value
    of the answer that the reward likes best of n drawn ones, beside the best possible choice."""
    scored = []
    for one in source.sampled:
        places = range(0, len(one.answers), 2)
        found = [lines.get(f"{_ID}/{one.question}/{place}") for place in places]
        if all(found):
            rewards = [float(line[f"reward_{n}"]) for line in found if line for n in (1, 2)]
            if all(map(isfinite, rewards)):
                scored.append((one.values, rewards[: len(one.values)]))
    if not scored:
        return None
    most = len(scored[0][0])
    picked = [[best_of(n, *one) for one in scored] for n in range(1, most + 1)]
    possible = [[best_of(n, values, values) for values, _ in scored] for n in range(1, most + 1)]
    measure = mean_between(*source.scale) if source.scale else MEAN
    span = source.scale and source.scale[1] - source.scale[0]
    test = paired_test(picked[0], picked[-1], span=span)
    return {
        "model": source.model,
        "question_set": source.questions,
        "judge": source.judge,
        "figure": source.figure,
        "questions": len(scored),
        "answers": most,
        "picked": [estimate(fmean(values), values, measure) for values in picked],
        "possible": [estimate(fmean(values), values, measure) for values in possible],
        "gain": {"difference": test.difference, "p_value": test.p_value, "shown": test.shown},
    }


def best_of(n: int, values: Sequence[float], rewards: Sequence[float]) -> float:
    """The expected value of the answer with the highest reward among ``n`` that are drawn without
    replacement; among equal rewards each is as likely."""
    total = 0.0
    left = len(values)
    for reward in sorted(set(rewards), reverse=True):
        equal = [value for value, one in zip(values, rewards, strict=True) if one == reward]
        below = left - len(equal)
        # That none higher is drawn is sure of what is left; that none of these is: from below only.
        total += fmean(equal) * (comb(left, n) - comb(below, n)) / comb(len(values), n)
        left = below
    return total


def finding(found: Mapping[str, Any]) -> str:
    first, last = found["picked"][0]["value"], found["picked"][-1]["value"]
    between = (
        f"{inside(found['figure'])} {first:.2f} for one answer, {last:.2f} for the one it picks"
    )
    start = f"Of {found['answers']} sampled answers of {found['model']}"
    if found["gain"]["shown"] and found["gain"]["difference"] > 0:
        return f"{start} it picks a better one: {between}."
    if found["gain"]["shown"]:
        return f"{start} it picks a worse one: {between}."
    asked = found["questions"]
    can = f"{asked} question{'' if asked == 1 else 's'} can show"
    return f"{start} no gain of its choice is shown, as far as {can}: {between}."

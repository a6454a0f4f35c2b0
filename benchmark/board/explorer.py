"""Questions side by side: what each model of a ranking got, and where two models differ most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.board.leaderboard import Group
from benchmark.judging.injections import addresses_judge
from benchmark.models import Answer, Evaluation, Question
from benchmark.protocols.protocol import Cell as Got
from benchmark.protocols.protocol import Protocol, Value
from benchmark.scoring import tested_values

MOST_MODELS = 8


@dataclass(frozen=True)
class Cell:
    """One model at one question: what it got, and whether its answer speaks to the judge."""

    got: Got
    addresses_judge: bool


@dataclass(frozen=True)
class Line:
    """A question with a cell per model, in the order of ``Grid.models``."""

    question: Question
    cells: tuple[Cell, ...]

    @property
    def spread(self) -> float:
        """From the lowest to the highest value; what the models differ by."""
        found = [cell.got.value for cell in self.cells]
        return max(found) - min(found)


@dataclass(frozen=True)
class Grid:
    """The best models of a ranking and the questions that all of them answered."""

    models: list[Evaluation]
    lines: list[Line]

    @property
    def addressing(self) -> int:
        """How many answers speak to their judge."""
        return sum(cell.addresses_judge for line in self.lines for cell in line.cells)


def grid(group: Group, *, question_type: str = "", by_spread: bool = False) -> Grid:
    """Questions in their order, or those first that the models differ most on. Three queries."""
    models = group.rows[:MOST_MODELS]
    found = tested_values(models)
    asked = Question.objects.filter(question_set=group.first.question_set_id).order_by("index")
    if question_type:
        asked = asked.filter(type=question_type)
    speaking = _speaking(models)
    lines = [
        Line(question, _cells(question, models, found, speaking, group.first.question_set.rules))
        for question in asked
        if all(question.index in found.get(model.pk, {}) for model in models)
    ]
    if by_spread:
        lines.sort(key=lambda line: -line.spread)
    return Grid(models, lines)


@dataclass(frozen=True)
class Change:
    """A question with its ratings in two evaluations; where answers are compared, with the
    answer's own scores, averaged over both orders."""

    question: Question
    first: float
    second: float


def largest_changes(first: Evaluation, second: Evaluation, *, most: int = 10) -> list[Change]:
    """The questions whose ratings differ most, largest first; none whose rating is equal.

    Two queries, however many questions: thousands are not loaded for the ten that are shown.
    """
    found = tested_values([first, second])
    own = first.question_set.rules.own
    before, after = (
        {index: own(value) for index, value in found.get(one.pk, {}).items()}
        for one in (first, second)
    )
    changed = [index for index in sorted(before.keys() & after) if before[index] != after[index]]
    changed.sort(key=lambda index: -abs(after[index] - before[index]))
    asked = Question.objects.filter(question_set=first.question_set_id, index__in=changed[:most])
    questions = {question.index: question for question in asked}
    return [Change(questions[n], before[n], after[n]) for n in changed[:most]]


def _cells(
    question: Question,
    models: Sequence[Evaluation],
    found: dict[int, dict[int, Value]],
    speaking: set[tuple[int, int]],
    rules: Protocol,
) -> tuple[Cell, ...]:
    return tuple(
        Cell(rules.cell(found[model.pk][question.index]), (model.pk, question.index) in speaking)
        for model in models
    )


def _speaking(models: Sequence[Evaluation]) -> set[tuple[int, int]]:
    """Evaluation and question index of answers that speak to a judge who reads them."""
    if not models[0].can_be_talked_to:
        return set()
    rows = Answer.objects.filter(evaluation__in=[model.pk for model in models]).order_by()
    texts = rows.values_list("evaluation", "question__index", "text")
    return {(pk, index) for pk, index, text in texts if addresses_judge(text)}

"""What benchmarks have in common whose judge rates each answer from 0 to 6."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmark.protocols.figure_display import Axis, Shown
from benchmark.protocols.mmhal import judge, person, scores
from benchmark.protocols.mmhal.questions import TYPES, Question
from benchmark.protocols.mmhal.ratings import HIGHEST_RATING, LOWEST_RATING
from benchmark.protocols.protocol import (
    OPENAI,
    PERSON,
    Cell,
    Compared,
    Given,
    Item,
    Judged,
    Mode,
    Protocol,
    Reading,
    Value,
)
from benchmark.statistics import SHARE, Measure, estimate, mean_between

VALUES: dict[str, Callable[[int], float]] = {
    "score": float,
    "hallucination_rate": lambda rating: float(rating < scores.LOWEST_HONEST_RATING),
    "informativeness": lambda rating: scores.informative_part(rating) / 3 * 100,
}
"""Each figure as a mean of a value per rating."""
MEASURES: dict[str, Measure] = {
    "score": mean_between(LOWEST_RATING, HIGHEST_RATING),
    "hallucination_rate": SHARE,
    "informativeness": mean_between(0, 100),
}

SCORE = Shown("score", "Score", "mean rating", scale="0 to 6", of="of 6", by_type="Mean rating")
HALLUCINATION_RATE = Shown(
    "hallucination_rate",
    "Hallucination rate",
    "share of ratings below 3",
    "down",
    style="share",
    counts=True,
)
INFORMATIVENESS = Shown(
    "informativeness", "Informativeness", "of what can be said", style="percent"
)


@dataclass(frozen=True)
class _Typed:
    question_type: str


def _of_rating(value: Callable[[int], float]) -> Callable[[Judged], Value | None]:
    return lambda judged: None if judged.rating is None else value(judged.rating)


class Rated(Protocol):
    """Ratings from 0 to 6, 3 and more being honest; figures are means over questions."""

    figures = (SCORE, HALLUCINATION_RATE, INFORMATIVENESS)
    tested = SCORE.name
    compared = {name: Compared(_of_rating(value), MEASURES[name]) for name, value in VALUES.items()}
    type_figures = (SCORE, HALLUCINATION_RATE)
    types = TYPES
    type_axis = Axis("mean rating", "0 to 6", 0, HIGHEST_RATING)
    headline_axis = Axis("score", "0 to 6", 0, HIGHEST_RATING)

    outcome_template = "benchmark/outcomes/rating.html"
    settle_template = "benchmark/settle/rating.html"
    known_template = "benchmark/known/objects.html"
    reference_title = "A person's answer"
    reference_label = "Person"
    compare_note = (
        "Look at all three: short evasive answers lower the hallucination rate and "
        "informativeness together."
    )
    change_note = "Ratings from 0 to 6; below 3 is with hallucination."
    explorer_note = "Ratings from 0 to 6; red is with hallucination."
    agreement = ("Same on hallucination", float(scores.LOWEST_HONEST_RATING))
    judged_scale = (LOWEST_RATING, HIGHEST_RATING)

    def wording(self, kind: str) -> str | None:
        return {OPENAI: judge.PROMPT_HASH, PERSON: person.WORDING_HASH}.get(kind)

    def messages(self, item: Item) -> list[dict[str, Any]]:
        return judge.judge_messages(Question.from_json(item.question), item.answer)

    def read(self, item: Item, text: str, *, mode: Mode) -> Reading:
        return Reading(rating=judge.parse_rating(text, mode=mode))

    def settled(self, said: Mapping[str, str]) -> dict[str, Any]:
        rating = said.get("rating", "")
        if rating not in {str(n) for n in range(LOWEST_RATING, HIGHEST_RATING + 1)}:
            raise ValueError("A rating is 0 to 6, whole.")
        return {"rating": int(rating)}

    def good(self, verdicts: Any, *, wanted: bool) -> Any:
        asked = "rating__gte" if wanted else "rating__lt"
        return verdicts.filter(**{asked: scores.LOWEST_HONEST_RATING}).values("answer")

    def summarise(self, answers: Sequence[Judged]) -> dict[str, Any]:
        """``by_type``: mean rating, hallucination rate and count of each type."""
        ratings = [one.rating for one in answers]
        found = scores.summarise([_Typed(one.type) for one in answers], ratings)
        by_type = {}
        for name, score in found.by_type.items():
            group = [one for one in answers if one.type == name]
            rate = found.hallucination_rate_by_type[name]
            by_type[name] = {
                "count": len(group),
                "score": _figure("score", score, group),
                "hallucination_rate": _figure("hallucination_rate", rate, group),
            }
        headline = {name: _figure(name, getattr(found, name), answers) for name in VALUES}
        return {**headline, "by_type": by_type}

    def extremes(self, answer: Judged) -> tuple[Given, ...]:
        return (Given(rating=LOWEST_RATING), Given(rating=HIGHEST_RATING))

    def cell(self, value: Value) -> Cell:
        rating = self.own(value)
        return Cell(f"{rating:g}", rating >= scores.LOWEST_HONEST_RATING, rating)


def _figure(name: str, value: float | None, answers: Sequence[Judged]) -> dict[str, float] | None:
    if value is None:
        return None
    rated = [(VALUES[name](one.rating), one.picture) for one in answers if one.rating is not None]
    values, pictures = [value for value, _ in rated], [picture for _, picture in rated]
    return estimate(value, values, MEASURES[name], pictures)

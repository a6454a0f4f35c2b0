"""LLaVA-Bench (COCO) as a protocol: each answer beside a reference answer, in both orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from django.db.models import F, Sum

from benchmark.protocols.by_id import ById
from benchmark.protocols.figure_display import Axis, Shown, Table
from benchmark.protocols.llava_bench import judge, questions, scores
from benchmark.protocols.llava_bench.published import PAPER
from benchmark.protocols.protocol import (
    OPENAI,
    Cell,
    Compared,
    Given,
    Item,
    Judged,
    Mode,
    Pair,
    Reading,
    ReadQuestion,
    Refused,
    Value,
)


def _pairs(figure: str) -> Callable[[Judged], Value | None]:
    return lambda judged: scores.pair_of(_by_order(judged), figure)


def _by_order(judged: Judged) -> dict[str, Pair | None]:
    return {one.order: one.scores for one in judged.given}


class LlavaBench(ById):
    name = "llava_bench"
    title = "LLaVA-Bench (COCO)"
    files: ClassVar[tuple[str, ...]] = (questions.QUESTIONS_FILE,)
    beside: ClassVar[tuple[str, ...]] = (questions.REFERENCES_FILE, questions.CAPTIONS_FILE)
    """The files with the reference answers and with what is known of the pictures."""
    unsuitable = "{questions} compares two answers; that is asked of endpoints only."
    orders = judge.ORDERS
    order_titles = {"reference_first": "Reference first", "model_first": "Model first"}

    figures = (
        Shown(
            "relative_score",
            "Relative score",
            "percent of the reference, mean of both orders",
            style="percent_tenths",
        ),
        Shown(
            "reference_first",
            "Reference first",
            "one order alone, as published figures are",
            style="percent_tenths",
        ),
        Shown("model_first", "Model first", "the other order alone", style="percent_tenths"),
    )
    tested = scores.HEADLINE
    compared = {name: Compared(_pairs(name), scores.MEASURE) for name in scores.FIGURES}
    types = questions.CATEGORIES
    type_titles = {
        "conv": "conversation",
        "detail": "detailed description",
        "complex": "complex reasoning",
    }
    type_figures = figures
    type_axis = Axis("score", "% of the reference", 0)
    headline_axis = Axis("relative score", "% of the reference")

    published: ClassVar[tuple[Table, ...]] = (PAPER,)
    outcome_template = "benchmark/outcomes/scores.html"
    settle_template = "benchmark/settle/scores.html"
    known_template = "benchmark/known/lines.html"
    reference_title = "Reference answer"
    reference_label = "Reference"
    unread = "two scores"
    unjudged = "comparison"
    shows = {"hallucinated": "Below the reference", "honest": "At least the reference"}
    compare_note = (
        "Relative scores are ratios of sums: the test exchanges each question's scores between "
        "the models. The judge scores the reference anew beside each model."
    )
    change_note = "The model’s own scores, 1 to 10, averaged over both orders."  # noqa: RUF001
    explorer_note = (
        "The model’s score to that of the reference, averaged over both orders; "  # noqa: RUF001
        "red is below the reference."
    )
    agreement = ("Same side of the reference", 0.0)
    judged_scale = (
        judge.LOWEST_SCORE - judge.HIGHEST_SCORE,
        judge.HIGHEST_SCORE - judge.LOWEST_SCORE,
    )
    verdict_columns = (
        *(f"{order}_{side}" for order in judge.ORDERS for side in ("reference", "model")),
        *(f"{order}_state" for order in judge.ORDERS),
        *(f"{order}_verdict" for order in judge.ORDERS),
    )

    def read_questions(self, path: Path) -> list[ReadQuestion]:
        """The reference answers and captions lie beside the questions."""
        parts = {name: path.parent / name for name in self.beside}
        absent = [name for name, part in parts.items() if not part.is_file()]
        if absent:
            raise Refused(f"{name} is missing beside {path.name}" for name in absent)
        return [
            ReadQuestion(questions.record(one), self.image_names(one.image))
            for one in questions.load_questions(path, *parts.values())
        ]

    def image_names(self, image: str) -> tuple[str, ...]:
        """COCO itself puts the year's name before the number."""
        return (image, f"COCO_val2014_{image}")

    def wording(self, kind: str) -> str | None:
        return judge.PROMPT_HASH if kind == OPENAI else None

    def messages(self, item: Item) -> list[dict[str, Any]]:
        return judge.judge_messages(item.question, item.answer, item.order)

    def read(self, item: Item, text: str, *, mode: Mode) -> Reading:
        """Read carefully in both modes: the published rule turns what it cannot read into -1,
        which is no score."""
        pair = judge.parse_scores(text)
        if pair is not None and item.order == "model_first":
            pair = (pair[1], pair[0])
        return Reading(scores=pair)

    def settled(self, said: Mapping[str, str]) -> dict[str, Any]:
        try:
            given = {name: float(said.get(name, "")) for name in ("reference", "model")}
        except ValueError:
            given = {}
        lowest, highest = judge.LOWEST_SCORE, judge.HIGHEST_SCORE
        if not given or not all(lowest <= score <= highest for score in given.values()):
            raise ValueError("Scores are numbers from 1 to 10.")
        return {f"{name}_score": score for name, score in given.items()}

    def good(self, verdicts: Any, *, wanted: bool) -> Any:
        given = verdicts.filter(model_score__isnull=False).values("answer")
        gained = given.annotate(gain=Sum(F("model_score") - F("reference_score")))
        found = gained.filter(gain__gte=0) if wanted else gained.filter(gain__lt=0)
        return found.values("answer")

    def verdict_row(self, reviews: Sequence[Any]) -> dict[str, Any]:
        row: dict[str, Any] = dict.fromkeys(self.verdict_columns)
        for verdict in reviews:
            row[f"{verdict.order}_reference"] = verdict.reference_score
            row[f"{verdict.order}_model"] = verdict.model_score
            row[f"{verdict.order}_state"] = verdict.state
            row[f"{verdict.order}_verdict"] = verdict.text
        return row

    def summarise(self, answers: Sequence[Judged]) -> dict[str, Any]:
        return scores.figures_of(
            [one.type for one in answers],
            [_by_order(one) for one in answers],
            [one.picture for one in answers],
        )

    def extremes(self, answer: Judged) -> tuple[Given, ...]:
        """A judge who gives one answer 1 point and the other 10, either way round."""
        ends = (judge.LOWEST_SCORE, judge.HIGHEST_SCORE)
        return tuple(Given(reference_score=a, model_score=b) for a, b in (ends[::-1], ends))

    def cell(self, value: Value) -> Cell:
        assert isinstance(value, tuple)
        reference, model = value
        return Cell(f"{model:g} to {reference:g}", model >= reference, model - reference)


class LlavaBenchInTheWild(LlavaBench):
    """60 questions about 24 pictures of all sorts; what is known of a picture is one text."""

    name = "llava_bench_wild"
    title = "LLaVA-Bench (in the wild)"
    files: ClassVar[tuple[str, ...]] = ("questions.jsonl",)
    beside: ClassVar[tuple[str, ...]] = ("answers_gpt4.jsonl", "context.jsonl")
    published: ClassVar[tuple[Table, ...]] = ()

    def image_names(self, image: str) -> tuple[str, ...]:
        return (image,)


PROTOCOL = LlavaBench()
IN_THE_WILD = LlavaBenchInTheWild()

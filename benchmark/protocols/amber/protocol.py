"""AMBER as a protocol: descriptions and yes or no about the same pictures, judged by rule."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, ClassVar

from django.conf import settings
from django.db.models import Q

from benchmark.protocols.amber import describing, questions, scores, synonyms
from benchmark.protocols.amber.published import PAPER
from benchmark.protocols.figure_display import Axis, Shown, Table
from benchmark.protocols.protocol import (
    EXACT,
    Cell,
    Compared,
    Given,
    Item,
    Judged,
    Mode,
    Outcome,
    ReadQuestion,
    Refused,
    Value,
)
from benchmark.protocols.right_or_wrong import RightOrWrong, rule_hash
from benchmark.protocols.rule_text import rule_text
from benchmark.statistics import NOT_DEFINED, estimate_of_sums, sums

_SHOWN = {
    shown.name: shown
    for shown in (
        Shown("amber_score", "AMBER score", "mean of 100 − CHAIR and F1"),  # noqa: RUF001
        Shown("chair", "CHAIR", "hallucinated of the nouns", "down"),
        Shown("cover", "Cover", "of the objects there"),
        Shown("hal", "Hal", "descriptions that hallucinate", "down", counts=True),
        Shown("cog", "Cog", "of the lures, named", "down"),
        Shown("f1", "F1", "no is positive"),
        Shown("accuracy", "Accuracy", "of yes or no", counts=True),
        Shown("precision", "Precision", "of the no answers"),
        Shown("recall", "Recall", "of what is not so"),
    )
}
_UNDEFINED = {
    "amber_score": "CHAIR or F1 is not defined",
    "chair": "no description names a noun that is counted",
    "cover": "nothing is known to be in the pictures described",
    "hal": "no picture was described",
    "cog": "the pictures described have no lures",
    "f1": "no question's truth is no, and no answer is no",
    "accuracy": "no question by yes or no was answered",
    "precision": "no answer is no",
    "recall": "no question's truth is no",
}
FIGURES = tuple(
    replace(one, style="percent_tenths", undefined=_UNDEFINED[one.name], pooled=not one.counts)
    for one in _SHOWN.values()
)


@functools.cache
def wording(source: str = synonyms.NONE, model: str = "") -> str:
    """Names the rules of both parts; "synonyms: none" tells them from those with vectors."""
    rule = f"{rule_text(describing)}{rule_hash()}{synonyms.named(source, model)}"
    if source != synonyms.NONE:
        rule += rule_text(synonyms)
    return hashlib.sha256(rule.encode()).hexdigest()


def _row(judged: Judged) -> Value | None:
    if judged.found is None:
        return None
    if "truth" in judged.found:
        return scores.answered(judged.found["truth"], judged.found["said"])
    return scores.described(judged.found)


def _row_for(name: str) -> Callable[[Judged], Value | None]:
    """A figure of one part is tested on that part's answers alone."""
    columns = [scores.COLUMNS.index(part) for part in scores.NEEDS[name]]

    def value(judged: Judged) -> Value | None:
        row = _row(judged)
        assert row is None or isinstance(row, tuple)
        return row if row is not None and any(row[column] for column in columns) else None

    return value


class Amber(RightOrWrong):
    name = "amber"
    title = "AMBER"
    files = (questions.ALL,)
    unsuitable = "{questions} is judged by rule; it takes the exact judge."
    figures = FIGURES
    brief = 4
    tested = "amber_score"
    compared = {
        name: Compared(_row_for(name), sums(figure)) for name, figure in scores.FIGURES.items()
    }
    types: ClassVar[tuple[str, ...]] = ("existence", "state", "number", "action", "relation")
    answer_types = ("generative", *types)
    type_figures = tuple(shown for shown in FIGURES if shown.name in ("f1", "accuracy"))
    type_axis = Axis("F1", "%", 0, 100)
    headline_axis = Axis("AMBER score", "%", 0, 100)
    published: ClassVar[tuple[Table, ...]] = (PAPER,)
    outcome_template = "benchmark/outcomes/amber.html"
    settle_template = "benchmark/settle/amber.html"
    known_template = "benchmark/known/objects.html"
    reference_title = "Truth"
    shows = {"hallucinated": "Hallucinated or wrong", "honest": "Without hallucination, or right"}
    compare_note = (
        "Figures of sums: the test exchanges each question's answers between the models. Look at "
        "Cover beside Hal: a description that says little hallucinates little."
    )
    change_note = "Hallucinated nouns of a description; 1 is a right yes or no, 0 a wrong one."
    explorer_note = "Hallucinated of all kept nouns, or right and wrong."
    verdict_columns = ("verdict_state", *scores.PARTS, "truth", "said")
    generative = True
    """Whether the set must hold descriptions."""

    def read_questions(self, path: Path) -> list[ReadQuestion]:
        found = questions.load_questions(path)
        kinds = {one.type == questions.GENERATIVE for one in found}
        if kinds != {True, False}:
            part = "generative" if kinds == {True} else "yes_no"
            raise Refused(
                f"{path.name}: holds one part of the queries only; import it as amber_{part}"
            )
        return [ReadQuestion(questions.record(one), (one.image,)) for one in found]

    def wording(self, kind: str) -> str | None:
        chosen = (settings.AMBER_SYNONYMS, settings.AMBER_SPACY_MODEL)
        return wording(*chosen) if kind == EXACT else None

    def judge_exactly(self, items: Sequence[Item], *, mode: Mode) -> Iterator[tuple[Item, Outcome]]:
        for item in items:
            yield item, _described(item) if "truth" in item.question else self._answered(item, mode)

    def _answered(self, item: Item, mode: Mode) -> Outcome:
        ruled = self.ruled(item, mode)
        if ruled.rating is None:
            return ruled
        return Outcome(text=ruled.text, found=_said(item.question, ruled.rating), state="parsed")

    def settled(self, said: Mapping[str, str]) -> dict[str, Any]:
        truth, answer = said.get("truth"), said.get("said")
        if truth not in ("yes", "no") or answer not in ("yes", "no"):
            raise ValueError("An answer to such a question is yes or no.")
        return {"found": {"truth": truth, "said": answer}}

    def good(self, verdicts: Any, *, wanted: bool) -> Any:
        described = Q(found__hallucinated=0) if wanted else Q(found__hallucinated__gt=0)
        said = [(one, one if wanted else other) for one, other in (("yes", "no"), ("no", "yes"))]
        answered = (Q(found__truth=truth, found__said=answer) for truth, answer in said)
        return verdicts.filter(reduce(or_, answered, described)).values("answer")

    def verdict_row(self, reviews: Sequence[Any]) -> dict[str, Any]:
        verdict = reviews[0] if reviews else None
        found = (verdict.found if verdict else None) or {}
        row = {name: found.get(name) for name in self.verdict_columns}
        return {**row, "verdict_state": verdict.state if verdict else None}

    def summarise(self, answers: Sequence[Judged]) -> dict[str, Any]:
        """Figures of the part that holds an open answer are None."""
        groups = {name: [one for one in answers if one.type == name] for name in self.types}
        return {
            **_figures(answers, [shown.name for shown in self.figures]),
            "by_type": {
                name: {"count": len(group), **_figures(group, ["f1", "accuracy"])}
                for name, group in groups.items()
                if group
            },
        }

    def extremes(self, answer: Judged) -> tuple[Given, ...]:
        truth = answer.question.get("gt_answer")
        return tuple(Given(found={"truth": truth, "said": said}) for said in ("yes", "no"))

    def cell(self, value: Value) -> Cell:
        counts = dict(zip(scores.COLUMNS, value if isinstance(value, tuple) else (), strict=False))
        if counts.get("descriptions"):
            wrong = counts["hallucinated"]
            return Cell(f"{wrong:g} of {counts['kept']:g}", not wrong, -wrong)
        right = bool(counts.get("right"))
        return Cell("right" if right else "wrong", right, float(right))

    def own(self, value: Value) -> float:
        return abs(self.cell(value).value)


def _described(item: Item) -> Outcome:
    """A description that was cut is counted as far as it goes."""
    known = item.question
    score_description, by = describing.score_description, ""
    if settings.AMBER_SYNONYMS == synonyms.SPACY:
        near = synonyms.by_spacy(settings.AMBER_SPACY_MODEL)
        score_description = functools.partial(synonyms.score_description, near=near)
        by = f" Near synonyms by {settings.AMBER_SPACY_MODEL}."
    score = score_description(
        item.answer,
        known["truth"],
        known["lures"],
        known["associations"],
        frozenset(known["safe_words"]),
        vocabulary=known["vocabulary"],
    )
    text = (
        f"{score.hallucinated} of {score.kept} nouns are not there; {score.covered} of "
        f"{score.truths} objects named; {score.lures_named} of {score.lures} lures.{by}"
    )
    return Outcome(text=text, found=dict(vars(score)), state="parsed")


def _said(question: Mapping[str, Any], right: int) -> dict[str, str]:
    truth = str(question["gt_answer"])
    other = "no" if truth == "yes" else "yes"
    return {"truth": truth, "said": truth if right else other}


def _figures(answers: Sequence[Judged], names: Sequence[str]) -> dict[str, Any]:
    known = [(row, one.picture) for one in answers if isinstance(row := _row(one), tuple)]
    have = set(scores.known([row for row, _ in known]))
    unclear = any(one.found is None for one in answers)
    found: dict[str, Any] = {}
    for name in names:
        if unclear and "asked" in scores.NEEDS[name]:
            found[name] = None
        elif name in have:
            found[name] = _estimate(known, name)
        else:
            found[name] = dict(NOT_DEFINED)
    return found


def _estimate(
    known: Sequence[tuple[Sequence[float], Hashable]], name: str
) -> dict[str, float | None]:
    """Of the answers that the figure needs, with their number where those are not all."""
    columns = [scores.COLUMNS.index(part) for part in scores.NEEDS[name]]
    mine = [(row, picture) for row, picture in known if any(row[n] for n in columns)]
    rows, pictures = [row for row, _ in mine], [picture for _, picture in mine]
    found = estimate_of_sums(rows, scores.FIGURES[name], pictures)
    return {**found, "count": len(mine)} if len(mine) < len(known) else found


class AmberGenerative(Amber):
    """The descriptions alone."""

    name = "amber_generative"
    title = "AMBER, generative"
    files = ("query_generative.json",)
    figures = tuple(shown for shown in FIGURES if shown.name in ("chair", "cover", "hal", "cog"))
    compared = {shown.name: Amber.compared[shown.name] for shown in figures}
    tested = "chair"
    types = ()
    answer_types = ()
    type_figures = ()
    headline_axis = Axis("CHAIR", "%", 0)
    published = ()

    def read_questions(self, path: Path) -> list[ReadQuestion]:
        found = [one for one in questions.load_questions(path) if one.type == questions.GENERATIVE]
        if not found:
            raise Refused(f"{path.name}: holds no query for a description")
        return [ReadQuestion(questions.record(one), (one.image,)) for one in found]


class AmberYesNo(Amber):
    """The questions by yes or no alone."""

    name = "amber_yes_no"
    title = "AMBER, yes or no"
    files = ("query_discriminative.json",)
    figures = tuple(
        shown for shown in FIGURES if shown.name in ("f1", "accuracy", "precision", "recall")
    )
    compared = {shown.name: Amber.compared[shown.name] for shown in figures}
    tested = "f1"
    answer_types = Amber.types
    headline_axis = Axis("F1", "%", 0, 100)
    published = ()
    known_template = ""

    def read_questions(self, path: Path) -> list[ReadQuestion]:
        found = [one for one in questions.load_questions(path) if one.type != questions.GENERATIVE]
        if not found:
            raise Refused(f"{path.name}: holds no question for yes or no")
        return [ReadQuestion(questions.record(one), (one.image,)) for one in found]


PROTOCOL, GENERATIVE, YES_NO = Amber(), AmberGenerative(), AmberYesNo()

"""Evaluations and the leaderboard as JSON and CSV, with all that a figure depends on.

A document names the version of the questions, the set of answered ones, the judge, its wording and
how the answers were drawn, so that whoever has it can make the same evaluation again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from annotation.exporting.formats import csv_line
from benchmark.board.leaderboard import Group
from benchmark.board.significance import Standing
from benchmark.models import Answer, Evaluation
from benchmark.templatetags.benchmark_tags import whole_of

ANSWER_COLUMNS = ("number", "type", "image", "question", "reference", "answer", "finished")
"""What every benchmark has; the verdict's columns are the protocol's."""
_ORIGIN_COLUMNS = (
    "benchmark",
    "question_set_version",
    "coverage",
    "judge",
    "wording",
    "rank",
    "evaluation",
    "model",
    "method",
    "questions",
)


def evaluation_document(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation with its origin, figures and answers, of plain JSON types."""
    return {**_head(evaluation), "summary": evaluation.summary, "answers": list(_rows(evaluation))}


def evaluation_csv(evaluation: Evaluation) -> Iterator[bytes]:
    """One line per answer, in the order of the questions."""
    columns = (*ANSWER_COLUMNS, *evaluation.question_set.rules.verdict_columns)
    yield csv_line(columns)
    for row in _rows(evaluation):
        yield csv_line(row[name] for name in columns)


def leaderboard_document(
    groups: Iterable[Group], standings: dict[str, Standing]
) -> list[dict[str, Any]]:
    """The groups as the page shows them, each with its rows, best first."""
    return [
        {
            "group": group.id,
            "question_set": _question_set(group.first),
            "coverage": group.first.coverage,
            "judge": _judge(group.first),
            "questions": group.asked,
            "detectable_difference": found.detectable if found else None,
            "rows": [
                {
                    **_head(row),
                    "rank": group.ranks[row.pk],
                    "summary": row.summary,
                    **_tested(row, found),
                }
                for row in group.rows
            ],
        }
        for group in groups
        for found in [standings.get(group.id)]
    ]


def leaderboard_csv(groups: Iterable[Group]) -> Iterator[bytes]:
    """One line per figure: protocols differ in their figures, lines do not differ in columns."""
    columns = ("whole", "figure", "unit", "value", "low", "high", "not_defined")
    yield csv_line((*_ORIGIN_COLUMNS, *columns))
    for group in groups:
        ranks = group.ranks
        for row in group.rows:
            origin = (
                str(row.question_set),
                row.question_set.version,
                row.coverage,
                str(row.judge),
                row.prompt_hash,
                ranks[row.pk],
                row.pk,
                row.model_name,
                row.method,
            )
            for shown in row.question_set.rules.figures:
                figure = row.summary[shown.name] or {}
                ends = (figure.get(name) for name in ("value", "low", "high", "undefined"))
                of = (figure.get("count", group.asked), whole_of(figure, shown, group.asked))
                yield csv_line((*origin, *of, shown.name, shown.stored_in, *ends))


def _head(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "evaluation": evaluation.pk,
        "address": evaluation.get_absolute_url(),
        "model": evaluation.model_name,
        "method": evaluation.method,
        "state": evaluation.state,
        "question_set": _question_set(evaluation),
        "coverage": evaluation.coverage,
        "judge": _judge(evaluation),
        "sampling": evaluation.sampling,
        "checkpoint": evaluation.checkpoint_id,
        "run": evaluation.run_id,
        "finished_at": evaluation.finished_at,
        "units": evaluation.question_set.rules.units,
    }


def _question_set(evaluation: Evaluation) -> dict[str, Any]:
    questions = evaluation.question_set
    return {
        "name": questions.name,
        "protocol": questions.protocol,
        "version": questions.version,
    }


def _judge(evaluation: Evaluation) -> dict[str, Any]:
    """Without its address and the name of its key, as in the API."""
    judge = evaluation.judge
    return {
        "name": judge.name,
        "kind": judge.kind,
        "model": judge.model,
        "parser": judge.parser,
        "wording": evaluation.prompt_hash,
    }


def _tested(row: Evaluation, standing: Standing | None) -> dict[str, Any]:
    found = standing.against_best.get(row.pk) if standing else None
    return {
        "p_value_against_best": found.p_value if found else None,
        "corrected_p_value_against_best": found.corrected if found else None,
        "corrected_for_pairs": found.pairs if found else None,
    }


def _rows(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    answers = Answer.objects.filter(evaluation=evaluation).select_related("question")
    rules = evaluation.question_set.rules
    for answer in answers.order_by("question__index").judged_by(evaluation):
        question = answer.question
        yield {
            "number": question.number,
            "type": question.type,
            "image": question.data.get("image_src", ""),
            "question": question.text,
            "reference": question.data["gt_answer"],
            "answer": answer.text,
            "finished": answer.finished,
            **rules.verdict_row(answer.reviews),
        }

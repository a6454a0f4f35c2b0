"""Question sets, judges, and evaluations: what a model answered and what a judge made of it.

A score means nothing without the questions, the judge and the judge's wording it came from, so an
evaluation names all three (``Evaluation.group``), and figures are ranked within such a group only.
Rows here are facts; every figure is computed from them in ``benchmark.scoring``.
"""

from benchmark.models.asked import Judge, Question, QuestionSet
from benchmark.models.evaluations import Evaluation, EvaluationQuerySet
from benchmark.models.reports import ReportCard
from benchmark.models.shares import SharedLink
from benchmark.models.verdicts import Answer, AnswerQuerySet, Verdict

__all__ = [
    "Answer",
    "AnswerQuerySet",
    "Evaluation",
    "EvaluationQuerySet",
    "Judge",
    "Question",
    "QuestionSet",
    "ReportCard",
    "SharedLink",
    "Verdict",
]

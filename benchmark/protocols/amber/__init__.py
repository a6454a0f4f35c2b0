"""AMBER: descriptions and questions by yes or no, judged by rule (arXiv 2311.07397)."""

from benchmark.protocols.amber.describing import DescriptionScore, nouns, score_description
from benchmark.protocols.amber.protocol import GENERATIVE, PROTOCOL, YES_NO
from benchmark.protocols.amber.questions import Question, load_questions, record
from benchmark.protocols.amber.scores import Summary, summarise

__all__ = [
    "GENERATIVE",
    "PROTOCOL",
    "YES_NO",
    "DescriptionScore",
    "Question",
    "Summary",
    "load_questions",
    "nouns",
    "record",
    "score_description",
    "summarise",
]

"""POPE: is an object there, yes or no."""

from benchmark.protocols.by_id import load_answers
from benchmark.protocols.object_sentences import YesOrNo
from benchmark.protocols.pope.protocol import PROTOCOL
from benchmark.protocols.pope.questions import (
    SPLITS,
    Question,
    QuestionError,
    join,
    load_questions,
    record,
)
from benchmark.protocols.pope.scores import Summary, summarise
from benchmark.protocols.yes_no import parse_answer

__all__ = [
    "PROTOCOL",
    "SPLITS",
    "Question",
    "QuestionError",
    "Summary",
    "YesOrNo",
    "join",
    "load_answers",
    "load_questions",
    "parse_answer",
    "record",
    "summarise",
]

"""POPE: is an object there, yes or no."""

from benchmark.protocols.pope.pope import (
    SPLITS,
    Answer,
    Mode,
    Question,
    QuestionError,
    Summary,
    join,
    load_answers,
    load_questions,
    parse_answer,
    record,
    summarise,
)

__all__ = [
    "SPLITS",
    "Answer",
    "Mode",
    "Question",
    "QuestionError",
    "Summary",
    "join",
    "load_answers",
    "load_questions",
    "parse_answer",
    "record",
    "summarise",
]

"""MMHal-Bench: a judge rates each answer from 0 to 6."""

from benchmark.protocols.mmhal.judge import (
    JUDGE_INSTRUCTIONS,
    PROMPT_HASH,
    judge_messages,
    parse_rating,
)
from benchmark.protocols.mmhal.protocol import PROTOCOL
from benchmark.protocols.mmhal.questions import TYPES, Question, QuestionError, load_questions
from benchmark.protocols.mmhal.scores import (
    LOWEST_HONEST_RATING,
    Summary,
    hallucination_rate,
    informative_part,
    informativeness,
    mean_rating,
    summarise,
)

__all__ = [
    "JUDGE_INSTRUCTIONS",
    "LOWEST_HONEST_RATING",
    "PROMPT_HASH",
    "PROTOCOL",
    "TYPES",
    "Question",
    "QuestionError",
    "Summary",
    "hallucination_rate",
    "informative_part",
    "informativeness",
    "judge_messages",
    "load_questions",
    "mean_rating",
    "parse_rating",
    "summarise",
]

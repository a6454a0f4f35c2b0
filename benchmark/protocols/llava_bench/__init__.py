"""LLaVA-Bench (COCO): a judge scores the answer beside a reference answer."""

from benchmark.protocols.llava_bench.judge import (
    HIGHEST_SCORE,
    JUDGE_INSTRUCTIONS,
    LOWEST_SCORE,
    ORDERS,
    PROMPT_HASH,
    judge_messages,
    parse_scores,
)
from benchmark.protocols.llava_bench.protocol import IN_THE_WILD, PROTOCOL
from benchmark.protocols.llava_bench.questions import (
    CAPTIONS_FILE,
    CATEGORIES,
    QUESTIONS_FILE,
    REFERENCES_FILE,
    Question,
    QuestionError,
    load_questions,
    record,
)
from benchmark.protocols.llava_bench.scores import (
    Summary,
    both_orders,
    relative_score,
    summarise,
)

__all__ = [
    "CAPTIONS_FILE",
    "CATEGORIES",
    "HIGHEST_SCORE",
    "IN_THE_WILD",
    "JUDGE_INSTRUCTIONS",
    "LOWEST_SCORE",
    "ORDERS",
    "PROMPT_HASH",
    "PROTOCOL",
    "QUESTIONS_FILE",
    "REFERENCES_FILE",
    "Question",
    "QuestionError",
    "Summary",
    "both_orders",
    "judge_messages",
    "load_questions",
    "parse_scores",
    "record",
    "relative_score",
    "summarise",
]

"""VL-RewardBench: which of two responses is better, asked of reward models and judges."""

from benchmark.protocols.vl_rewardbench.judge import ORDERS, PROMPT_HASH, parse_better
from benchmark.protocols.vl_rewardbench.pairs import GROUPS, Pair, load_pairs, record
from benchmark.protocols.vl_rewardbench.protocol import PROTOCOL
from benchmark.protocols.vl_rewardbench.scores import Summary, summarise

__all__ = [
    "GROUPS",
    "ORDERS",
    "PROMPT_HASH",
    "PROTOCOL",
    "Pair",
    "Summary",
    "load_pairs",
    "parse_better",
    "record",
    "summarise",
]

"""Multimodal RewardBench: which of two responses is better, in six fields."""

from benchmark.protocols.multimodal_rewardbench.pairs import GROUPS, load_pairs, record
from benchmark.protocols.multimodal_rewardbench.protocol import PROTOCOL

__all__ = ["GROUPS", "PROTOCOL", "load_pairs", "record"]

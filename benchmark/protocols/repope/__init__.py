"""RePOPE: POPE with corrected labels."""

from benchmark.protocols.pope import load_questions, parse_answer, summarise
from benchmark.protocols.repope.protocol import PROTOCOL

__all__ = ["PROTOCOL", "load_questions", "parse_answer", "summarise"]

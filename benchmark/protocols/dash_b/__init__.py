"""DASH-B: does a model see what the picture only suggests."""

from benchmark.protocols.dash_b.protocol import PROTOCOL
from benchmark.protocols.dash_b.questions import Question, load_questions, record
from benchmark.protocols.dash_b.scores import Summary, summarise

__all__ = ["PROTOCOL", "Question", "Summary", "load_questions", "record", "summarise"]

"""Scores of MMHal-Bench that the paper published (arXiv 2309.14525, table 5).

Facts to stand beside ours, never ranked with them: their judge was gpt-4-0314, which nobody can
ask any more, and one model has been published at 2.07, 2.22, 2.42 and 2.78 under different judges.
The table gives no informativeness and no intervals.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmark import mmhal

SOURCE = "Sun et al., Aligning Large Multimodal Models with Factually Augmented RLHF"
SOURCE_URL = "https://arxiv.org/abs/2309.14525"
JUDGE = "gpt-4-0314"
QUESTIONS = 96


@dataclass(frozen=True)
class PublishedScore:
    """One row: mean rating 0 to 6, share of hallucinated answers 0 to 1, mean per type."""

    model: str
    score: float
    hallucination_rate: float
    types: tuple[float, ...]
    """In the order of mmhal.TYPES."""

    @property
    def by_type(self) -> dict[str, float]:
        return dict(zip(mmhal.TYPES, self.types, strict=True))

    @property
    def method(self) -> str:
        """ "SFT", "Fact-RLHF", or empty for models of others."""
        if "SFT+" in self.model:
            return "SFT"
        return "Fact-RLHF" if "RLHF" in self.model else ""


PAPER = (
    PublishedScore("Kosmos-2", 1.69, 0.68, (2.0, 0.25, 1.42, 1.67, 1.67, 2.67, 2.5, 1.33)),
    PublishedScore("IDEFICS-9B", 1.89, 0.64, (1.58, 0.75, 2.75, 1.83, 1.83, 2.5, 2.17, 1.67)),
    PublishedScore("IDEFICS-80B", 2.05, 0.61, (2.33, 1.25, 2.0, 2.5, 1.5, 3.33, 2.33, 1.17)),
    PublishedScore("InstructBLIP-7B", 2.1, 0.58, (3.42, 2.08, 1.33, 1.92, 2.17, 3.67, 1.17, 1.08)),
    PublishedScore("InstructBLIP-13B", 2.14, 0.58, (2.75, 1.75, 1.25, 2.08, 2.5, 4.08, 1.5, 1.17)),
    PublishedScore("LLaVA-SFT+-7B", 1.76, 0.67, (2.75, 2.08, 1.42, 1.83, 2.17, 2.17, 1.17, 0.5)),
    PublishedScore("LLaVA-RLHF-7B", 2.05, 0.68, (2.92, 1.83, 2.42, 1.92, 2.25, 2.25, 1.75, 1.08)),
    PublishedScore(
        "LLaVA-SFT+-13B-336", 2.43, 0.55, (3.08, 1.75, 2.0, 3.25, 2.25, 3.83, 1.5, 1.75)
    ),
    PublishedScore(
        "LLaVA-RLHF-13B-336", 2.53, 0.57, (3.33, 2.67, 1.75, 2.25, 2.33, 3.25, 2.25, 2.42)
    ),
)

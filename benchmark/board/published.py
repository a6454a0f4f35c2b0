"""Scores that the paper published for its models and others (arXiv 2309.14525), and later ones.

Facts to stand beside ours, never ranked with them: their judge was gpt-4-0314, which nobody can
ask any more, and one model has been published at 2.07, 2.22, 2.42 and 2.78 under different judges.
POPE needs no judge, but its random split has changed since. No table gives intervals, and that of
MMHal-Bench no informativeness.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.protocols import mmhal

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


@dataclass(frozen=True)
class Table:
    """A further table as it was printed: names of columns, and a row of figures per model."""

    id: str
    title: str
    terms: tuple[str, ...]
    """What a figure of it depends on, each for a place under the title."""
    sources: tuple[tuple[str, str], ...]
    """Where its figures were printed: title and address."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[float, ...]], ...]


LLAVA_BENCH = Table(
    id="llava-bench",
    title="LLaVA-Bench (COCO)",
    terms=("judge GPT-4", "90 questions", "percent of the reference", "reference first only"),
    sources=((SOURCE, SOURCE_URL),),
    columns=("Conversation", "Detail", "Complex", "All"),
    rows=(
        ("LLaVA-7B", (75.1, 75.4, 92.3, 81.0)),
        ("VIGC-7B", (83.3, 80.6, 93.1, 85.8)),
        ("LLaVA-SFT+-7B", (88.8, 74.6, 95.0, 86.3)),
        ("LLaVA-RLHF-7B", (93.0, 79.0, 109.5, 94.1)),
        ("LLaVA-13B-336", (87.2, 74.3, 92.9, 84.9)),
        ("VIGC-13B-336", (88.9, 77.4, 93.5, 86.8)),
        ("LLaVA-SFT+-13B-336", (85.8, 75.5, 93.9, 85.2)),
        ("LLaVA-RLHF-13B-336", (93.9, 82.5, 110.1, 95.6)),
    ),
)
SINCE_THEN = Table(
    id="mmhal-since",
    title="MMHal-Bench by other judges since then",
    terms=("each under the judge of its report", "96 questions"),
    sources=(
        ("MiniCPM-V 4.5: arXiv 2509.18154", "https://arxiv.org/abs/2509.18154"),
        ("the others: README of MiniCPM-o 4.5", "https://github.com/OpenBMB/MiniCPM-o"),
    ),
    columns=("Score, 0 to 6", "Hall. rate, %"),
    rows=(
        ("MiniCPM-V 4.5", (5.0, 19.4)),
        ("MiniCPM-o 4.5", (4.7, 24.3)),
        ("Qwen3-VL-8B", (4.7, 29.9)),
        ("GPT-4o", (4.2, 25.0)),
    ),
)
POPE = Table(
    id="pope",
    title="POPE",
    terms=(
        "no judge",
        "random split of 2,910 questions",
        "percent; overall is the plain mean",
        "* as marked in the paper",
    ),
    sources=((SOURCE, SOURCE_URL),),
    columns=(
        "Random acc.",
        "F1",
        "Yes",
        "Popular acc.",
        "F1",
        "Yes",
        "Adversarial acc.",
        "F1",
        "Yes",
        "Overall F1",
        "Yes",
    ),
    rows=(
        ("Shikra", (86.9, 86.2, 43.3, 84.0, 83.2, 45.2, 83.1, 82.5, 46.5, 84.0, 45.0)),
        ("InstructBLIP-7B*", (88.6, 89.3, 56.6, 79.7, 80.2, 52.5, 65.2, 70.4, 67.8, 80.0, 59.0)),
        ("MiniGPT-4-7B*", (79.7, 80.2, 52.5, 69.7, 73.0, 62.2, 65.2, 70.4, 67.8, 74.5, 60.8)),
        ("mPLUG-Owl-7B*", (54.0, 68.4, 95.6, 50.9, 66.9, 98.6, 50.7, 66.8, 98.7, 67.2, 97.6)),
        ("LLaVA-7B*", (50.4, 66.6, 98.8, 49.9, 66.4, 99.4, 49.7, 66.3, 99.4, 66.4, 99.2)),
        ("LLaVA-7B", (76.3, 80.7, 70.9, 68.4, 75.3, 77.9, 62.7, 72.0, 83.2, 76.0, 77.3)),
        ("LLaVA-SFT+-7B", (86.1, 85.5, 44.5, 82.9, 82.4, 47.2, 80.2, 80.1, 49.6, 82.7, 47.1)),
        ("LLaVA-RLHF-7B", (84.8, 83.3, 39.6, 83.3, 81.8, 41.8, 80.7, 79.5, 44.0, 81.5, 41.8)),
        ("LLaVA-13B", (73.7, 78.8, 72.3, 73.6, 78.2, 71.0, 67.2, 74.4, 77.8, 77.1, 73.7)),
        ("LLaVA-SFT+-13B", (86.0, 84.8, 40.5, 84.0, 82.6, 41.6, 82.3, 81.1, 43.5, 82.8, 41.9)),
        ("LLaVA-RLHF-13B", (85.2, 83.5, 38.4, 83.9, 81.8, 38.0, 82.3, 80.5, 40.5, 81.9, 39.0)),
    ),
)

TABLES = (SINCE_THEN, LLAVA_BENCH, POPE)

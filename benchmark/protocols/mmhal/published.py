"""Scores that the paper published for its models and others (arXiv 2309.14525), and later ones.

Facts to stand beside ours, never ranked with them: their judge was gpt-4-0314, which nobody can
ask any more, and one model has been published at 2.07, 2.22, 2.42 and 2.78 under different judges.
No table gives intervals, and none informativeness.
"""

from __future__ import annotations

from benchmark.protocols.figure_display import THE_PAPER, Table
from benchmark.protocols.mmhal.questions import TYPES

PAPER = Table(
    id="mmhal",
    title="MMHal-Bench",
    terms=("judge gpt-4-0314, retired", "96 questions"),
    sources=(THE_PAPER,),
    columns=("Score, 0 to 6", "Hall. rate, %", *(name.capitalize() for name in TYPES)),
    rows=(
        ("Kosmos-2", (1.69, 68, 2.0, 0.25, 1.42, 1.67, 1.67, 2.67, 2.5, 1.33)),
        ("IDEFICS-9B", (1.89, 64, 1.58, 0.75, 2.75, 1.83, 1.83, 2.5, 2.17, 1.67)),
        ("IDEFICS-80B", (2.05, 61, 2.33, 1.25, 2.0, 2.5, 1.5, 3.33, 2.33, 1.17)),
        ("InstructBLIP-7B", (2.1, 58, 3.42, 2.08, 1.33, 1.92, 2.17, 3.67, 1.17, 1.08)),
        ("InstructBLIP-13B", (2.14, 58, 2.75, 1.75, 1.25, 2.08, 2.5, 4.08, 1.5, 1.17)),
        ("LLaVA-SFT+-7B", (1.76, 67, 2.75, 2.08, 1.42, 1.83, 2.17, 2.17, 1.17, 0.5)),
        ("LLaVA-RLHF-7B", (2.05, 68, 2.92, 1.83, 2.42, 1.92, 2.25, 2.25, 1.75, 1.08)),
        ("LLaVA-SFT+-13B-336", (2.43, 55, 3.08, 1.75, 2.0, 3.25, 2.25, 3.83, 1.5, 1.75)),
        ("LLaVA-RLHF-13B-336", (2.53, 57, 3.33, 2.67, 1.75, 2.25, 2.33, 3.25, 2.25, 2.42)),
    ),
    digits=(2, 0, *(2 for _ in TYPES)),
    warning="These figures stand beside yours and are not ranked with them: under different judges "
    "one model, LLaVA-1.5-7B, has been published at 2.07, 2.22, 2.42 and 2.78. All were printed "
    "without intervals; at 96 questions about ±0.43 on a score and ±10 points on a rate.",
    opened=True,
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

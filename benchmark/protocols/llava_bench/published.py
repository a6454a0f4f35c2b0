"""What the paper published on LLaVA-Bench (COCO): judge GPT-4, the reference shown first."""

from __future__ import annotations

from benchmark.protocols.figure_display import THE_PAPER, Table

PAPER = Table(
    id="llava-bench",
    title="LLaVA-Bench (COCO)",
    terms=("judge GPT-4", "90 questions", "percent of the reference", "reference first only"),
    sources=(THE_PAPER,),
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

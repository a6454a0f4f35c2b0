"""What AMBER's authors published: by their script, with spaCy's vectors for near synonyms."""

from __future__ import annotations

from benchmark.protocols.figure_display import Table

PAPER = Table(
    id="amber",
    title="AMBER",
    terms=(
        "no judge",
        "1,004 descriptions, 14,216 questions",
        "percent",
        "near synonyms by spaCy's vectors, which ours do not use",
    ),
    sources=(
        (
            "Wang et al., AMBER: An LLM-free Multi-dimensional Benchmark",
            "https://arxiv.org/abs/2311.07397",
        ),
    ),
    columns=("CHAIR", "Cover", "Hal", "Cog", "F1", "AMBER"),
    rows=(
        ("LLaVA-1.5", (7.8, 51.0, 36.4, 4.2, 74.7, 83.5)),
        ("InstructBLIP", (8.8, 52.2, 38.2, 4.4, 81.7, 86.5)),
        ("Qwen-VL", (5.5, 49.4, 23.6, 1.9, 84.9, 89.7)),
        ("GPT-4V", (4.6, 67.1, 30.7, 2.6, 87.4, 91.4)),
    ),
)

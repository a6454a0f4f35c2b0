"""What AMBER's authors published: by their script, with spaCy's vectors for near synonyms."""

from __future__ import annotations

from benchmark.protocols.shown import Table

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
    columns=("CHAIR", "Cover", "Hal", "Cog", "Acc.", "P", "R", "F1", "AMBER"),
    rows=(
        ("mPLUG-Owl", (21.6, 50.1, 76.1, 11.5, 40.1, 92.8, 10.5, 18.9, 48.7)),
        ("LLaVA", (11.5, 51.0, 48.8, 5.5, 42.7, 74.1, 21.0, 32.7, 60.6)),
        ("MiniGPT-4", (13.6, 63.0, 65.3, 11.3, 63.6, 90.5, 50.4, 64.7, 75.6)),
        ("CogVLM", (5.6, 57.2, 23.6, 1.3, 69.0, 88.9, 60.9, 72.3, 83.4)),
        ("LLaVA-1.5", (7.8, 51.0, 36.4, 4.2, 72.0, 93.2, 62.4, 74.7, 83.5)),
        ("mPLUG-Owl2", (10.6, 52.0, 39.9, 4.5, 75.6, 95.0, 66.9, 78.5, 84.0)),
        ("InstructBLIP", (8.8, 52.2, 38.2, 4.4, 76.5, 84.5, 79.0, 81.7, 86.5)),
        ("Qwen-VL", (5.5, 49.4, 23.6, 1.9, 81.2, 90.8, 79.7, 84.9, 89.7)),
        ("GPT-4V", (4.6, 67.1, 30.7, 2.6, 83.4, 84.9, 90.1, 87.4, 91.4)),
    ),
)

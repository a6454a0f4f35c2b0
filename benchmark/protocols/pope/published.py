"""What the paper published on POPE, whose random split has changed since."""

from __future__ import annotations

from benchmark.protocols.figure_display import THE_PAPER, Table

PAPER = Table(
    id="pope",
    title="POPE",
    terms=(
        "no judge",
        "random split of 2,910 questions",
        "percent; overall is the plain mean",
        "* as marked in the paper",
        "as printed: InstructBLIP's popular and adversarial figures repeat MiniGPT-4's of the "
        "random and adversarial split",
    ),
    sources=(THE_PAPER,),
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

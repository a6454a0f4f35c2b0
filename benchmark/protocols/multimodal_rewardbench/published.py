"""Multimodal RewardBench's leaderboard as its authors keep it."""

from __future__ import annotations

from benchmark.protocols.figure_display import Table

PAPER = Table(
    id="multimodal-rewardbench",
    title="Multimodal RewardBench",
    terms=(
        "about 5,000 pairs",
        "accuracy in percent",
        "judges asked once in the order of the file; a coin for what could not be read",
    ),
    sources=(
        (
            "Multimodal RewardBench: Leaderboard",
            "https://github.com/facebookresearch/multimodal_rewardbench",
        ),
        ("Yasunaga et al., Multimodal RewardBench", "https://arxiv.org/abs/2502.14191"),
    ),
    columns=(
        "Overall",
        "Correctness",
        "Preference",
        "Knowledge",
        "Reasoning",
        "Safety",
        "VQA",
    ),
    rows=(
        ("Claude 3.5 Sonnet", (72.0, 62.6, 67.8, 73.9, 66.8, 68.7, 85.6)),
        ("Gemini 1.5 Pro", (72.0, 63.5, 67.7, 66.3, 61.8, 76.5, 87.2)),
        ("GPT-4o", (71.5, 62.6, 69.0, 72.0, 64.7, 66.9, 87.2)),
        ("Llama-3.2-90B-Vision-Instruct", (62.4, 60.0, 68.4, 61.2, 54.6, 51.9, 77.1)),
        ("Aria", (57.3, 59.5, 63.5, 55.5, 52.4, 50.2, 64.2)),
        ("Molmo-7B-D-0924", (54.3, 56.8, 59.4, 54.6, 52.1, 44.2, 60.3)),
        ("Llama-3.2-11B-Vision-Instruct", (52.4, 57.8, 65.8, 55.5, 51.2, 35.5, 55.8)),
        ("Llava-1.5-13B", (48.9, 53.3, 55.2, 50.5, 51.3, 34.9, 51.8)),
    ),
)

"""What VL-RewardBench's authors published: judges, asked once in a random order."""

from __future__ import annotations

from benchmark.protocols.figure_display import Table

PAPER = Table(
    id="vl-rewardbench",
    title="VL-RewardBench",
    terms=("1,250 pairs", "accuracy in percent", "judges by their own replies"),
    sources=(
        (
            "Li et al., VL-RewardBench: A Challenging Benchmark for Vision-Language Reward Models",
            "https://arxiv.org/abs/2411.17451",
        ),
    ),
    columns=("General", "Hallucination", "Reasoning", "Overall", "Macro"),
    rows=(
        ("LLaVA-OneVision-7B", (32.2, 20.1, 57.1, 29.6, 36.5)),
        ("Qwen2-VL-7B", (31.6, 19.1, 51.1, 28.3, 33.9)),
        ("Qwen2-VL-72B", (38.1, 32.8, 58.0, 39.5, 43.0)),
        ("InternVL2-8B", (35.6, 41.1, 59.0, 44.5, 45.2)),
        ("Llama-3.2-90B", (42.6, 57.3, 61.7, 56.2, 53.9)),
        ("Gemini-1.5-Flash", (47.8, 59.6, 58.4, 57.6, 55.3)),
        ("Gemini-1.5-Pro", (50.8, 72.5, 64.2, 67.2, 62.5)),
        ("Claude-3.5-Sonnet", (43.4, 55.0, 62.3, 55.3, 53.6)),
        ("GPT-4o-mini", (41.7, 34.5, 58.2, 41.5, 44.8)),
        ("GPT-4o", (49.1, 67.6, 70.5, 65.8, 62.4)),
    ),
)

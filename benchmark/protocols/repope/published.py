"""What RePOPE's authors published in figures: how they changed the labels."""

from __future__ import annotations

from benchmark.protocols.figure_display import Table

PAPER = Table(
    id="repope",
    title="RePOPE's labels",
    terms=(
        "percent of POPE's questions by their old label",
        "scores of models were published as a drawing only",
    ),
    sources=(
        (
            "Neuhaus and Hein, RePOPE: Impact of Annotation Errors on the POPE Benchmark",
            "https://arxiv.org/abs/2504.15707",
        ),
    ),
    columns=(
        "Yes stays yes",
        "Yes is no",
        "Yes left out",
        "No is yes",
        "No stays no",
        "No left out",
    ),
    rows=(
        ("random", (76.9, 9.3, 13.8, 0.3, 98.4, 1.3)),
        ("popular", (76.9, 9.3, 13.8, 2.6, 93.0, 4.4)),
        ("adversarial", (76.9, 9.3, 13.8, 2.2, 90.5, 7.3)),
    ),
    rows_are="Split",
)

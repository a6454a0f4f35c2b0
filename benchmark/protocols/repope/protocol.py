"""RePOPE: POPE's questions with corrected labels, ambiguous ones left out (arXiv 2504.15707).

Answers given for all of POPE are taken by the questions that RePOPE keeps; the others are counted.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.protocols.pope.protocol import Pope
from benchmark.protocols.pope.questions import SPLITS
from benchmark.protocols.repope.published import PAPER


class RePope(Pope):
    name = "repope"
    title = "RePOPE"
    files = tuple(f"*coco_repope_{split}.json" for split in SPLITS)
    published = (PAPER,)
    takes_other_answers = True

    def set_name(self, path: Path, count: int) -> str:
        split = next((name for name in SPLITS if name in path.stem), "")
        return f"{self.title}{split and ' '}{split}, {count:,} questions"


PROTOCOL = RePope()

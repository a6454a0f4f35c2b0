"""What benchmarks have in common whose answers are yes or no, and right or wrong by rule."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from benchmark import plain_text
from benchmark.protocols import answers, mentions, object_sentences, other_languages, yes_no
from benchmark.protocols.by_id import ById
from benchmark.protocols.object_sentences import YesOrNo
from benchmark.protocols.protocol import (
    EXACT,
    Cell,
    Given,
    Item,
    Judged,
    Mode,
    Outcome,
    Value,
)
from benchmark.protocols.rule_text import rule_text

RULE = (yes_no, object_sentences, other_languages, mentions, answers, plain_text)
"""All that decides how an answer is read."""


@functools.cache
def rule_hash() -> str:
    """Names the rule by which answers are read as yes or no."""
    return hashlib.sha256(rule_text(*RULE).encode()).hexdigest()


def right(judged: Judged) -> Value | None:
    """1 for a right answer, 0 for a wrong one."""
    return None if judged.rating is None else float(judged.rating)


def said(judged: Judged) -> YesOrNo | None:
    """What was answered: by the truth, and whether it was right."""
    if judged.rating is None:
        return None
    return "yes" if (judged.question["gt_answer"] == "yes") == bool(judged.rating) else "no"


class RightOrWrong(ById):
    """A verdict is 1 or 0. No judge but the rule that reads yes or no."""

    unsuitable = "{questions} is answered by yes or no; it takes the exact judge."
    answer_types: ClassVar[tuple[str, ...]] = ("present", "absent")
    outcome_template = "benchmark/outcomes/right.html"
    settle_template = "benchmark/settle/yes_no.html"
    unread = "yes or no"
    shows = {"hallucinated": "Wrong", "honest": "Right"}
    change_note = "1 is right, 0 is wrong."
    explorer_note = "Right or wrong."

    def wording(self, kind: str) -> str | None:
        return rule_hash() if kind == EXACT else None

    def judge_exactly(self, items: Sequence[Item], *, mode: Mode) -> Iterator[tuple[Item, Outcome]]:
        for item in items:
            yield item, self.ruled(item, mode)

    def ruled(self, item: Item, mode: Mode) -> Outcome:
        """What the rule makes of one answer; one that was cut at the length limit says nothing."""
        label, asked = str(item.question["gt_answer"]), str(item.question["question"])
        if mode == "careful" and not item.finished:
            return Outcome(text="Cut at the length limit.", state="unparsed")
        found = yes_no.parse_answer(item.answer, asked=asked, mode=mode)
        if found is None:
            return Outcome(text="Neither yes nor no.", state="unparsed")
        text = f"Read as {found}; the truth is {label}."
        return Outcome(text=text, rating=int(found == label), state="parsed")

    def settled(self, said: Mapping[str, str]) -> dict[str, Any]:
        if said.get("rating") not in ("0", "1"):
            raise ValueError("An answer by yes or no is right (1) or wrong (0).")
        return {"rating": int(said["rating"])}

    def good(self, verdicts: Any, *, wanted: bool) -> Any:
        return verdicts.filter(rating=int(wanted)).values("answer")

    def extremes(self, answer: Judged) -> tuple[Given, ...]:
        """All wrong, all right, all yes, all no."""
        yes = int(answer.question["gt_answer"] == "yes")
        return tuple(Given(rating=rating) for rating in (0, 1, yes, 1 - yes))

    def cell(self, value: Value) -> Cell:
        is_right = bool(value)
        return Cell("right" if is_right else "wrong", is_right, float(is_right))

"""The engine's records of the study: judged pairs, corrected answers, and what was generated."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from demo.annotators import Answer
from demo.claims import false_parts
from demo.study_engine import read_lines
from demo.world import Prompt
from training.rlhf.contract import ConversationRecord, Generation, Mark, PreferencePair


def preference_record(prompt: Prompt, one: str, two: str, answer: Answer) -> PreferencePair | None:
    """The record of a judged pair; None where both questions were answered with a tie.

    In either answer the annotator marks what they see to be false.
    """
    if answer.more_hallucinated != "tie":
        second_is_better, hallucination = answer.more_hallucinated == "a", True
    elif answer.more_helpful in (None, "tie"):
        return None
    else:
        second_is_better, hallucination = answer.more_helpful == "b", False
    record = pair_record(
        prompt, one, two, second_is_better=second_is_better, hallucination=hallucination
    )
    return dataclasses.replace(record, marks_1=marked(prompt, one), marks_2=marked(prompt, two))


def marked(prompt: Prompt, answer: str) -> tuple[Mark, ...]:
    """The false parts of an answer; all of what cannot be read."""
    parts = false_parts(answer, prompt.question, prompt.scene)
    if parts is None:
        parts = [(0, len(answer))] if answer else []
    return tuple(Mark(start=start, end=end) for start, end in parts)


def pair_record(
    prompt: Prompt,
    one: str,
    two: str,
    *,
    second_is_better: bool = False,
    hallucination: bool = True,
) -> PreferencePair:
    """Two answers to a prompt, one vote for one of them."""
    record = prompt.record
    return PreferencePair(
        id=record.id,
        image=record.image,
        conversation=record.conversation,
        captions=record.captions,
        output_1=one,
        output_2=two,
        preference=2 if second_is_better else 1,
        hallucination=hallucination,
        votes={"2" if second_is_better else "1": 1},
        margin=1.0,
    )


def corrected(prompt: Prompt) -> ConversationRecord:
    """The prompt with the answer of a person who sees the picture."""
    record = prompt.record
    return ConversationRecord(
        id=record.id,
        image=record.image,
        conversation=record.conversation,
        captions=record.captions,
        answer=prompt.question.answer,
    )


def generations(folder: Path) -> list[Generation]:
    """What a finished run of the kind "generate" answered."""
    lines = read_lines(folder / "final" / "generations.jsonl")
    return [Generation.from_json(line) for line in lines]

"""The engine's records of the study: judged pairs, corrected answers, and what was generated."""

from __future__ import annotations

from pathlib import Path

from demo.annotators import Answer
from demo.study_engine import read_lines
from demo.world import Prompt
from training.rlhf.contract import ConversationRecord, Generation, PreferencePair


def preference_record(prompt: Prompt, one: str, two: str, answer: Answer) -> PreferencePair | None:
    """The record of a judged pair; None where both questions were answered with a tie."""
    if answer.more_hallucinated != "tie":
        return pair_record(prompt, one, two, second_is_better=answer.more_hallucinated == "a")
    if answer.more_helpful in (None, "tie"):
        return None
    second_is_better = answer.more_helpful == "b"
    return pair_record(prompt, one, two, second_is_better=second_is_better, hallucination=False)


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

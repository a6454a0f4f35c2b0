"""A-OKVQA: multiple choice about what an image implies, answered with the reason.

The rationales are kept as facts. Published: ``aokvqa_v1p0_train.json`` (and ``val``); the test
split has no answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from training.rlhf.contract import ConversationRecord
from training.rlhf.converters.reading import conversation, entries
from training.rlhf.errors import DataError

LETTERS = "ABCD"
INSTRUCTION = "Give the reason and then the letter of the correct option."


def aokvqa(files: Mapping[str, Path], dropped: Counter[str]) -> Iterator[ConversationRecord]:
    """One conversation a question from ``annotations``.

    The answer names the option in the words that earn the reward for a correct answer in PPO.
    """
    for entry in entries(files["annotations"]):
        choices = entry.texts("choices")
        if len(choices) != len(LETTERS):
            raise DataError(f"{entry.where}, choices: are {len(choices)}, not {len(LETTERS)}")
        question = " ".join(entry.get("question", str).split())
        if "correct_choice_idx" not in entry.data:
            dropped["no answer (test split)"] += 1
            continue
        correct = entry.get("correct_choice_idx", int)
        if correct not in range(len(LETTERS)):
            raise DataError(f"{entry.where}, correct_choice_idx: is {correct}, not 0 to 3")
        rationales = entry.texts("rationales")
        if not rationales:
            dropped["no rationale"] += 1
            continue
        options = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=True)]
        reason = rationales[0] if rationales[0].endswith((".", "!", "?")) else f"{rationales[0]}."
        answer = f"{reason} So the correct option is {LETTERS[correct]}. {choices[correct]}"
        yield conversation(
            f"aokvqa-{entry.get('question_id', (str, int))}",
            f"{entry.get('image_id', int):012d}.jpg",
            [("\n".join([question, *options, INSTRUCTION]), answer)],
            captions=rationales,
        )

"""What the reward model is told besides the image, and the rewards that need no model.

The texts below are defaults: a reward model carries its own wording with it (``RatingTemplate``),
so scoring can never use other words than training did.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from training.rlhf.contract import RewardSettings

FACTS_HERE = "{facts}"
"""In a rating prompt: where facts go that are shown after the response."""

_DEFAULTS = RewardSettings()
_NO = re.compile(r"no\b", re.IGNORECASE)
_YES = re.compile(r"yes\b", re.IGNORECASE)
_FIRST_CHOICE = 2  # caption_type of a multiple-choice question whose truth is A
_LAST_CHOICE = 5
_TRUTH_IS_NO = 6


@dataclass(frozen=True, kw_only=True)
class RatingTemplate:
    """The wording around a response whose quality is asked for; saved with each reward model."""

    with_facts: bool
    facts_position: str
    facts_introduction: str
    fact_format: str
    rating_prompt: str
    rating_prefix: str = ""

    @classmethod
    def from_settings(cls, settings: RewardSettings) -> RatingTemplate:
        return cls(
            with_facts=settings.with_facts,
            facts_position=settings.facts_position,
            facts_introduction=settings.facts_introduction,
            fact_format=settings.fact_format,
            rating_prompt=settings.rating_prompt,
            rating_prefix=settings.rating_prefix,
        )

    @property
    def sha256(self) -> str:
        """Digest of all fields: two templates with equal digests ask in the same words."""
        fields = asdict(self)
        if not self.rating_prefix:  # what reward models had before there was one
            del fields["rating_prefix"]
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def factual_prompt(self, captions: Sequence[str]) -> str:
        """The introduction and one fact a line; empty without captions."""
        if not captions:
            return ""
        lines = [self.fact_format.replace("{caption}", " ".join(c.split())) for c in captions]
        return "\n".join([self.facts_introduction, *lines])

    def before_response(self, captions: Sequence[str]) -> str:
        """What is added to the question, so that response tokens can attend to it."""
        if self.with_facts and self.facts_position == "before_response":
            return self.factual_prompt(captions)
        return ""

    def after_response(self, captions: Sequence[str]) -> str:
        """The turn that follows the response and ends just before the score."""
        facts = ""
        if self.with_facts and self.facts_position == "after_response":
            facts = self.factual_prompt(captions)
        if FACTS_HERE in self.rating_prompt:
            return self.rating_prompt.replace(FACTS_HERE, facts)
        return "\n\n".join(part for part in (facts, self.rating_prompt) if part)


def factual_prompt(captions: Sequence[str]) -> str:
    """Facts in the default words: an introduction, then ``- caption`` lines (the paper's form)."""
    return RatingTemplate.from_settings(_DEFAULTS).factual_prompt(captions)


def rating_prompt(captions: Sequence[str]) -> str:
    """The request to rate the last response in the default words, behind its facts if any."""
    facts = factual_prompt(captions)
    return "\n\n".join(part for part in (facts, _DEFAULTS.rating_prompt) if part)


def shuffled(captions: Sequence[str], *, seed: str) -> tuple[str, ...]:
    """The captions in an order that depends on ``seed`` alone.

    One seed a pair gives both of its responses the same order, so that order cannot decide.
    """
    order = list(captions)
    random.Random(seed).shuffle(order)
    return tuple(order)


def correctness_bonus(response_text: str, caption_type: int, *, match: str = "word") -> float:
    """Reward for a checkable answer (the paper's): +2, +1, -1 or 0.

    ``match`` is "word", where yes and no are whole words in any case, or "start", where an answer
    starts with "Yes" or "No" (the paper's code).

    ``caption_type`` 2 to 5 are multiple choice with truth A to D, 6 is yes/no with truth No;
    1 (general) and 7 (truth Yes) earn nothing: models say yes too readily as it is.
    """
    text = response_text.strip()
    if _FIRST_CHOICE <= caption_type <= _LAST_CHOICE:
        letter = "ABCD"[caption_type - _FIRST_CHOICE]
        named = f"correct option is {letter}." in text
        return 2.0 if text.startswith(f"{letter}.") or named else 0.0
    if caption_type == _TRUTH_IS_NO and match == "start":
        return float(text.startswith("No")) - float(text.startswith("Yes"))
    if caption_type == _TRUTH_IS_NO:
        if _NO.match(text):
            return 1.0
        if _YES.match(text):
            return -1.0
    return 0.0


def length_penalty(
    token_count: int, *, response_length: int, multiplier: float, coefficient: float
) -> float:
    """``coefficient * token_count / response_length * multiplier``; the paper's coefficient is -10.

    ``multiplier`` is the record's ``length_bonus``; a negative one rewards length instead.
    """
    return coefficient * token_count / response_length * multiplier

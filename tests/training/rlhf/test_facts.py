from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import pytest

from training.rlhf.contract import RewardSettings
from training.rlhf.facts import (
    RatingTemplate,
    correctness_bonus,
    factual_prompt,
    length_penalty,
    rating_prompt,
    shuffled,
)

CAPTIONS = ("a red\ncircle", "a {blue} cross")


def template(**changes: object) -> RatingTemplate:
    return RatingTemplate.from_settings(RewardSettings(**changes))


def test_factual_prompt_has_one_caption_a_line() -> None:
    introduction, *lines = factual_prompt(CAPTIONS).split("\n")
    assert introduction.endswith(".")
    assert lines == ["- a red circle", "- a {blue} cross"]


def test_factual_prompt_of_no_captions_is_empty() -> None:
    assert factual_prompt(()) == ""


def test_rating_prompt_puts_the_request_last() -> None:
    assert rating_prompt(CAPTIONS) == f"{factual_prompt(CAPTIONS)}\n\n{rating_prompt(())}"
    assert "accurate" in rating_prompt(())


@pytest.mark.parametrize("position", ["before_response", "after_response"])
def test_facts_stand_in_one_place_only(position: str) -> None:
    rating = template(facts_position=position)
    before, after = rating.before_response(CAPTIONS), rating.after_response(CAPTIONS)
    assert ("red circle" in before) == (position == "before_response")
    assert ("red circle" in after) == (position == "after_response")
    assert after.endswith(rating.rating_prompt)


def test_facts_are_shown_nowhere_without_the_setting() -> None:
    rating = template(with_facts=False)
    assert rating.before_response(CAPTIONS) == ""
    assert rating.after_response(CAPTIONS) == rating.rating_prompt


def test_template_digest_changes_with_its_words() -> None:
    assert template().sha256 == template().sha256
    assert template().sha256 != template(rating_prompt="rate :").sha256
    assert template().sha256 != template(with_facts=False).sha256


def test_shuffling_depends_on_the_seed_alone() -> None:
    captions = tuple("abcdefgh")
    assert shuffled(captions, seed="1") == shuffled(captions, seed="1")
    assert shuffled(captions, seed="1") != shuffled(captions, seed="2")
    assert sorted(shuffled(captions, seed="1")) == sorted(captions)


@pytest.mark.parametrize(
    ("text", "caption_type", "bonus"),
    [
        ("A. a cat", 2, 2.0),
        (" A. a cat", 2, 2.0),
        ("I think the correct option is C.", 4, 2.0),
        ("A. a cat", 3, 0.0),
        ("Apples", 2, 0.0),
        ("D. a dog", 5, 2.0),
        ("No, there is none.", 6, 1.0),
        ("No", 6, 1.0),
        ("Yes, there is.", 6, -1.0),
        ("Nothing to see", 6, 0.0),
        ("Maybe", 6, 0.0),
        ("Yes", 7, 0.0),
        ("No", 7, 0.0),
        ("A. a cat", 1, 0.0),
        ("", 6, 0.0),
    ],
)
def test_correctness_bonus(text: str, caption_type: int, bonus: float) -> None:
    assert correctness_bonus(text, caption_type) == bonus


def test_length_penalty_by_hand() -> None:
    assert length_penalty(448, response_length=896, multiplier=1, coefficient=-10) == -5.0
    assert length_penalty(448, response_length=896, multiplier=-0.5, coefficient=-10) == 2.5


@pytest.mark.parametrize(
    ("text", "word", "start"),
    [
        ("No.", 1.0, 1.0),
        ("Nothing to see", 0.0, 1.0),
        ("no", 1.0, 0.0),
        ("Yes.", -1.0, -1.0),
        ("Yesterday", 0.0, -1.0),
        ("yes", -1.0, 0.0),
    ],
)
def test_a_no_is_a_word_or_a_start(text: str, word: float, start: float) -> None:
    assert correctness_bonus(text, 6) == word
    assert correctness_bonus(text, 6, match="start") == start


def test_facts_go_where_the_rating_prompt_says() -> None:
    settings = RewardSettings(
        facts_position="after_response", facts_introduction="Facts:", rating_prompt="1. {facts} 2."
    )
    template = RatingTemplate.from_settings(settings)
    assert template.after_response(["a", "b"]) == "1. Facts:\n- a\n- b 2."
    assert template.after_response([]) == "1.  2."


def test_templates_from_before_there_was_a_prefix_keep_their_digest() -> None:
    """It is saved with reward models, which must load as before."""
    old = asdict(RatingTemplate.from_settings(RewardSettings()))
    assert old.pop("rating_prefix") == ""
    digest = hashlib.sha256(json.dumps(old, sort_keys=True).encode()).hexdigest()
    assert RatingTemplate(**old).sha256 == digest
    assert RatingTemplate(**old, rating_prefix="It is").sha256 != digest

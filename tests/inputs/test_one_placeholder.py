"""The place of the image in a question: the same for people, exports and the engine."""

from __future__ import annotations

import pytest

from annotation import texts
from training.rlhf import contract


@pytest.mark.parametrize(
    ("turn", "read"),
    [
        ("What is it?", "What is it?"),
        ("<image>\nWhat is it?", "What is it?"),
        ("What is it?\n<image>", "What is it?"),
        ("<image>\n<image>\nWhat is it?", "What is it?"),
        ("Look at <image> and name the frame.", "Look at  and name the frame."),
        ("<image>\nWhat does <image> mean?", "What does <image> mean?"),
        ("Is <image> before <image> a tag?", "Is  before <image> a tag?"),
        ("<image>", ""),
        (" \n<image> <image>\n", ""),
        ("<images> are text", "<images> are text"),
    ],
)
def test_one_mark_is_the_place_and_others_are_text(turn: str, read: str) -> None:
    assert texts.without_placeholder(turn) == read
    assert contract.without_placeholder(turn) == read

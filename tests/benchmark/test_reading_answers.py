"""What a reply's final answer is, and the ratings and verdicts read from it."""

from __future__ import annotations

import json

import pytest

from benchmark.protocols import llava_bench, mmhal, pope, vl_rewardbench
from benchmark.protocols.answers import final_answer
from tests.shared import shared_data

THOUGHT = "No dog at first sight. Rating: 5 fits.\n8 9\nBut wait: yes."


@pytest.mark.parametrize(
    ("text", "final"),
    [
        ("Yes", "Yes"),
        ("", ""),
        (f"<think>{THOUGHT}</think>\n\nRating: 1", "Rating: 1"),
        (f"{THOUGHT}\n</think>\n\n**1**", "**1**"),
        (f"<thinking>{THOUGHT}</thinking>a<think>{THOUGHT}</think>b", "b"),
        (f"◁think▷{THOUGHT}◁/think▷Yes", "Yes"),
        (f"[THINK]{THOUGHT}[/THINK]No", "No"),
        (f"<seed:think>{THOUGHT}</seed:think>No", "No"),
        (f"<|begin_of_thought|>{THOUGHT}<|end_of_thought|>No", "No"),
        (
            f"<|START_THINKING|>{THOUGHT}<|END_THINKING|><|START_RESPONSE|>No<|END_RESPONSE|>",
            "No",
        ),
        (f"<|START_THINKING|>{THOUGHT}", None),
        (f"<unused94>thought\n{THOUGHT}<unused95>No", "No"),
        (f"<unused94>thought\n{THOUGHT}", None),
        (f"<rationale>{THOUGHT}</rationale>No", "No"),
        (f"<CoT>{THOUGHT}</CoT>No", "No"),
        (f"<antThinking>{THOUGHT}</antThinking>No", "No"),
        (
            f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant"
            "<|channel|>final<|message|>Rating: 1<|return|>",
            "Rating: 1",
        ),
        (f"<think>{THOUGHT}", None),
        (f"<think>{THOUGHT}</think> No. <think>or", None),
        (f"<|channel|>analysis<|message|>{THOUGHT}", None),
        ("A sign that says [think] twice</s>", "A sign that says [think] twice"),
        (f"<think >{THOUGHT}</think >Yes", "Yes"),
        ("No</s>\nYes", "No"),
        ("No<|im_end|>\n<|im_start|>user\nA cat?<|im_end|>\n<|im_start|>assistant\nYes", "No"),
        ("Rating: 4\n\n### Human: another\n### Assistant: Rating: 5", "Rating: 4"),
        ("User: the question again. 1", "User: the question again. 1"),
    ],
)
def test_the_final_answer_is_no_thought(text: str, final: str | None) -> None:
    if "[think]" not in text:
        assert final_answer(text) == final
    read = (pope.parse_answer(text), mmhal.parse_rating(text), llava_bench.parse_scores(text))
    if final is None:
        assert read == (None, None, None)
    else:
        assert "5" not in str(read)
        assert read[2] is None


def test_real_judge_texts_give_the_expected_number_or_none() -> None:
    for case in json.loads(shared_data("cases", "24-judge-texts", "mmhal.json").read_text()):
        rating = mmhal.parse_rating(case["text"])
        assert rating is None or str(rating) == case["expected"][0], case
    for case in json.loads(shared_data("cases", "24-judge-texts", "llava_bench.json").read_text()):
        scores = llava_bench.parse_scores(case["text"])
        if isinstance(case["expected"], list):
            assert scores == tuple(case["expected"]), case
        elif scores is not None:
            assert ", ".join(f"{score:g}" for score in scores) in case["expected"], case


@pytest.mark.parametrize(
    "text",
    [
        "Not a rating: 5",
        "I cannot give a rating: 0 of it can be seen.",
        "Rating: 4 or higher",
        "Rating: 5 → revised to 3",
        "Rating: 5 -> 3",
    ],
)
def test_a_rating_that_is_denied_or_left_open_is_none(text: str) -> None:
    assert mmhal.parse_rating(text) is None


@pytest.mark.parametrize(
    "above",
    ["Hallucination: No", "It has no hallucination", "Nothing is made up: no", "I would say no"],
)
def test_a_no_on_the_line_above_denies_no_rating(above: str) -> None:
    assert mmhal.parse_rating(f"{above}\nRating: 5") == 5


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("Not [[A]].", None),
        ('Response A says "[[A]]".', None),
        ('"[[A]]" is what it asks for. [[B]]', "b"),
        ("It should not say [[A]]; my verdict: [[B]]", "b"),
        ("[[A]] or [[B]]", None),
        ('"[[A]]"', "a"),
        ("A shows what is there.\n'[[B]]'.", "b"),
        ("**[[C]]**", "tie"),
        ("I don't think [[A]] is right.", None),
        ("I would never choose [[B]].", None),
        ("[[A]] is not better.", None),
        ("[[A]]?", None),
        ("My verdict is not [[B]] but [[A]]", "a"),
        ("~~[[A]]~~ [[B]]", "b"),
        ("[[A]]\n\nActually [[B]]", None),
        ("Close with [[A]], [[B]] or [[C]].\n[[B]]", "b"),
        ("[[Tie]]", "tie"),
        ("[[Response B]]", "b"),
    ],
)
def test_a_verdict_on_a_pair_that_is_denied_or_quoted_is_none(
    text: str, better: str | None
) -> None:
    assert vl_rewardbench.parse_better(text) == better


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("Both name the cup.\n\nFinal verdict: A", "a"),
        ("The answer is: B", "b"),
        ("Final answer: C", "tie"),
        ("The better response is B.", "b"),
        ("It invents a dog.\nTherefore, Response A is better.", "a"),
        ("Winner: Assistant B", "b"),
        ("I prefer Response B.", "b"),
        ("So I decide.\n(A)", "a"),
        ("\\boxed{A}", "a"),
        ("<answer>B</answer>", "b"),
        ('{"reason": "A dog.", "verdict": "A"}', "a"),
        ("**Response A**\nA cup.\n**Response B**\nA dog.\nVerdict: A", "a"),
        ("Verdict: A\nOn reflection.\nVerdict: B", None),
        ("A\n\nB", None),
        ("So the winner is a cat", None),
        ("Response A is not better.", None),
        ("Response A is better if the dog is ignored.", None),
        ("Both describe vitamin C", None),
    ],
)
def test_a_verdict_on_a_pair_is_read_in_the_words_of_other_judges(
    text: str, better: str | None
) -> None:
    assert vl_rewardbench.parse_better(text) == better

"""Yes or no, read against the question that was asked."""

from __future__ import annotations

import csv
import json

import pytest

from benchmark.protocols import pope
from benchmark.protocols.answers import final_answer
from benchmark.protocols.object_sentences import object_names
from tests.benchmark.test_yes_no_unclear import NOT_SURELY
from tests.shared import shared_data


@pytest.mark.parametrize(
    ("asked", "answer", "expected"),
    [
        ("dog", "I do not see any dogs in this picture.", "no"),
        ("dog", "I don't see a dog; only a cat.", "no"),
        ("cat", "I don't see a dog, but there is a cat.", "yes"),
        ("dog", "There is no cat, dog, or bird.", "no"),
        ("dog", "A dog is not visible.", "no"),
        ("dog", "No cars here. There is a dog.", "yes"),
        ("dog", "No cars here.", None),
        ("dog", "Absolutely not", None),
        ("dog", "Based on the image, no, there is no dog.", "no"),
        ("dog", "Yes\n\nExplanation: no cat", "yes"),
        ("dog", "The question asks whether there is a dog.", None),
        ("knife", "The image contains knives.", "yes"),
        ("person", "There are several people.", "yes"),
        ("person", "There is a bench, but nobody is there.", "no"),
        ("traffic light", "The scene has no visible traffic light", "no"),
        ("dining table", "There is a white bus in front of a station", None),
        ("dog", "yes\n\nno", None),
        ("dog", "I cannot see it well; maybe yes", None),
        ("hot air balloon", "### Answer\n**No**", "no"),
    ],
)
def test_a_sentence_counts_for_what_was_asked(
    asked: str, answer: str, expected: str | None
) -> None:
    question = f"Is there a {asked} in the image?"
    assert pope.parse_answer(answer, asked=question) == expected
    assert pope.parse_answer(answer, asked=asked) == expected


def test_the_object_is_found_in_each_benchmark_s_question() -> None:
    for question in (
        "Is there a snowboard in the image?",
        "Can you see a snowboard in this image? Please answer only with yes or no.",
        "Does the image contain a snowboard?",
        "Are there any snowboards visible?",
    ):
        assert {"snowboard", "snowboards"} <= object_names(question)
    assert object_names("Is the sky sunny in this image?") == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "<think>" * 40_000,
        "no " * 100_000,
        "answer " * 50_000,
        "there is " * 50_000 + "a",
        "( " * 90_000,
    ],
)
def test_a_long_reply_is_read_to_its_end(text: str) -> None:
    """Quadratic reading of 300,000 characters would outlast the limit of every test."""
    assert pope.parse_answer(text, asked="Is there a dog in the image?") in ("yes", "no", None)
    assert len(final_answer(text) or "") <= len(text)


def test_real_answers_are_read_as_people_read_them() -> None:
    read_as = shared_data("cases", "10-pope-answers-misread", "answers.tsv").read_text()
    for row in csv.DictReader(read_as.splitlines(), delimiter="\t"):
        question = f"Is there a {row['object']} in the image?"
        read = pope.parse_answer(row["answer"], asked=question) or "unclear"
        assert read in row["expected"].split(" or "), row
    thinking = shared_data("cases", "11-pope-thinking-models", "answers.jsonl").read_text()
    for case in map(json.loads, thinking.splitlines()):
        assert (pope.parse_answer(case["text"]) or "unclear") in case["expected"].split(" or "), (
            case
        )


ORDINARY = {
    "yes": [
        "**Yes**",
        "The answer is yes.",
        "Yes, there is a dog in the picture, but it is not on the sofa.",
        "Yes, there appears to be a dog.",
        "Yes, if you look closely, there is a dog.",
        "Yes. There is a dog. There are no cats.",
        "Yes, no doubt about it.",
        "I believe yes.",
        # What is denied of a dog that is there.
        "Yes, there is a dog that is not on a leash.",
        "Yes. The dog is not wearing a collar.",
        "Yes, although the dog is not clearly visible, it is there.",
        "Yes, a small dog is sitting next to a man who is not visible.",
        "There is a dog and it is not moving.",
        "The image shows a dog which isn't alone.",
    ],
    "no": [
        "**No**",
        "No dog is visible in the image.",
        "No, the image does not show a dog. It shows a cat.",
        "No, that is not a dog; it is a wolf.",
        "No, there are no dogs, only cats.",
        "No, I can't see a dog.",
        "Nope, no dog here.",
        "It's a cat, not a dog.",
        # Denied behind its name.
        "A dog cannot be seen in this image.",
        "A dog can't be seen.",
        "The dog is not in the image.",
        "Dogs are not actually present.",
        "A dog does not appear to be shown.",
        "A dog does not appear in the image.",
    ],
}


@pytest.mark.parametrize(("said", "text"), [(s, text) for s, of in ORDINARY.items() for text in of])
def test_ordinary_answers_are_read(said: str, text: str) -> None:
    assert pope.parse_answer(text, asked="Is there a dog in the image?") == said


EXCEPTED = [  # all but one denied: the one is there
    ("person", "No one but a man.", None),
    ("person", "There is nobody except a woman.", None),
    ("person", "No people other than a man.", None),
    ("person", "No, nobody but a man.", None),
    ("person", "There is no one, but there is a dog.", "no"),
    ("person", "Nobody.", "no"),
    ("dog", "Nothing other than a dog.", None),
    ("dog", "There is nothing but a dog.", "yes"),
    ("dog", "No animals except for a dog are visible.", None),
    ("dog", "No dogs except a puppy.", None),
    ("dog", "No dogs but a cat.", "no"),
]


@pytest.mark.parametrize(("asked", "text", "said"), EXCEPTED)
def test_what_is_excepted_from_a_denial_is_not_denied(
    asked: str, text: str, said: str | None
) -> None:
    assert pope.parse_answer(text, asked=f"Is there a {asked} in the image?") == said


@pytest.mark.parametrize(
    ("asked", "text", "said"),
    [
        ("dog", "Yes there isn't.", None),
        ("dog", "No there is.", None),
        ("dog", "Yes, there is.", "yes"),
        ("dog", "No, there isn't.", "no"),
        ("dog", "There is no evidence against a dog.", None),
        ("dog", "A man is holding a hot dog. No dog is visible.", "no"),
        ("dog", "A hot dog lies beside a dog.", "yes"),
        ("dog", "There is a hot dog.", None),
        ("person", "The scene is empty of people.", "no"),
        ("dog", "Yes, there is a dog, which can help to see how large the tree is.", "yes"),
    ],
)
def test_what_contradicts_itself_and_what_only_bears_the_name(
    asked: str, text: str, said: str | None
) -> None:
    assert pope.parse_answer(text, asked=f"Is there a {asked} in the image?") == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("There is no longer a dog.", "no"),
        ("There is no dog, only a dog bed.", "no"),
        ("There is a dog. The dog bed is red.", "yes"),
        ("The image does not appear to contain a dog.", "no"),
        ("The image doesn't clearly show a dog.", "no"),
        ("I don't think there is a dog.", "no"),
        ("There is no evidence of a dog in the image.", "no"),
        ("Not a single dog can be seen.", "no"),
        ("The dog doesn't exist in this image.", "no"),
        ("A dog isn't visible.", "no"),
        ("No dog's in the picture.", "no"),
        ("I'm not seeing a dog here.", "no"),
        ("A dog and its owner walk.", "yes"),
        ("dog ✅", "yes"),
        ("No ❌", "no"),
        ("Is there a cat? Yes. Is there a dog? No.", "no"),
        ("What is shown? A cat. Answer: No", "no"),
        ("I would say no", "no"),
        ("I think so, yes", "yes"),
        ("No, only cats.", "no"),
    ],
)
def test_what_resembles_the_unclear_and_is_clear_is_read(text: str, said: str) -> None:
    assert pope.parse_answer(text, asked="Is there a dog in the image?") == said


@pytest.mark.parametrize(
    ("asked", "text", "said"),
    [
        ("Is there an orange?", "The shirt is orange.", None),
        ("Is there an orange?", "There is an orange and white cat.", None),
        ("Is there an orange?", "A man in orange", None),
        ("Is there an orange?", "There is an orange on the table.", "yes"),
        ("Is there an orange?", "There are oranges.", "yes"),
        ("Is there an orange?", "There is no orange in the picture.", "no"),
        ("Is there a clock?", "It is 5 o'clock", None),
        ("Is there a clock?", "There is a clock on the wall.", "yes"),
        ("Is there a tie?", "He has to tie his shoes.", None),
        ("Is there a bear?", "I cannot bear it.", None),
        ("Does the dog run?", "There is a dog.", None),
        ("Does the dog run?", "Yes, there is a dog.", "yes"),
        ("Is there a dog running?", "There is a dog.", None),
        ("Is there a dog on the sofa?", "There is a dog.", None),
        ("Is there a dog on the sofa?", "There is a dog on the sofa.", "yes"),
        ("Is there a dog in the imange?", "There is a dog.", "yes"),
    ],
)
def test_the_name_as_another_word_and_what_else_was_asked(
    asked: str, text: str, said: str | None
) -> None:
    assert pope.parse_answer(text, asked=asked) == said


@pytest.mark.parametrize("text", [one for texts in NOT_SURELY.values() for one in texts])
def test_the_published_rule_stays_as_published(text: str) -> None:
    words = text.split(".")[0].replace(",", "").split(" ")
    published = "no" if "No" in words or "not" in words or "no" in words else "yes"
    assert pope.parse_answer(text, asked="Is there a dog?", mode="reference") == published

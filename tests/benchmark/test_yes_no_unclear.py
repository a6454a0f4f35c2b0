"""Answers in which yes or no only seems to stand are unclear."""

from __future__ import annotations

import pytest

from benchmark.protocols import pope


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Yes. No.", None),
        ("No. Yes.", None),
        ("Yes; no", None),
        ("Yes. No chairs, though.", "yes"),
        ("Not yes.", None),
        ("The answer is not yes.", None),
        ("It is unlikely that there is a dining table.", None),
        ("I doubt there is a dining table.", None),
        ("There is no doubt: a dining table is there.", "yes"),
        ("I looked for a dining table but found none.", None),
        ("I fail to see a dining table.", None),
        ("One would expect a dining table here.", None),
        ("What looks like a dining table is a desk.", None),
        ("It looks like there is a dining table.", "yes"),
        ("The question asks about a dining table.", None),
        ("It is false that there is a dining table.", None),
        ("There are zero dining tables.", "no"),
        ("There is no chair at the dining table.", None),
        ("The room without a lamp has a dining table.", None),
        ("I see nothing except a dining table.", None),
        ("There is no sign of a dining table.", "no"),
        ("There is a chair but no dining table.", "no"),
        ("The dining table has no chairs.", "yes"),
    ],
)
def test_a_mention_is_no_statement(text: str, said: str | None) -> None:
    """What speaks of the object without saying that it is there, or not, stays unclear."""
    assert pope.parse_answer(text, asked="Is there a dining table in the image?") == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # What is only repeated: the instruction, the question.
        ("Answer yes or no: no", "no"),
        ("Please answer yes or no. Is there a dog in the image? No", "no"),
        ("Question: Is there a dog in the image? Answer yes or no. Answer:", None),
        ("Yes or no? Yes.", "yes"),
        ("Is there a dog? There is a dog.", "yes"),
        ("There is a dog? No.", "no"),
        ("There could be a dog, no?", None),
        # What is quoted.
        ('You asked "Is there a dog?"', None),
        ('The sign says "Yes".', None),
        ("There is a sign that says 'no dogs'.", None),
        ("There is a sign that says no dogs.", None),
        ("The user claims there is a dog.", None),
        # Taken back, or contradicted by the sentence behind it.
        ("No. Wait, yes.", None),
        ("Yes. Actually, no.", None),
        ("Yes, there is no dog in the image.", None),
        ("No, there is a dog in the image.", None),
        ("Yes: 0.3, No: 0.7", None),
        ("Cat: no. Dog: yes.", None),
        ("No cat, yes dog.", "yes"),
        # The word alone twice is one statement.
        ("Yes, yes, yes", "yes"),
        ("No, no hay perro", "no"),
        # The word denied, doubted, or on a condition.
        ("The answer is not no.", None),
        ("I can't say yes.", None),
        ("I would not say no.", None),
        ("The answer is yes if you count the toy, otherwise no.", None),
        ("P(yes)=0.9", None),
        ("I don't think there is no dog.", None),
        ("It would be wrong to say there is a dog.", None),
        ("There used to be a dog.", None),
        # A refusal behind a polite word, and a number behind "No.".
        ("Yes, I can help with that! Please upload the image.", None),
        ("No, I'm afraid I can't answer that.", None),
        ("Yes, there is a dog, but I can't tell the breed.", "yes"),
        ("No. 5 is written on the shirt.", None),
        # The object's name as a part of another's.
        ("There is a hot dog.", None),
        ("There is a dog house.", None),
        ("There is a dog-shaped cloud.", None),
        ("There is a dog lying on the floor.", "yes"),
        # Another question that the reply puts to itself.
        ("No\nQuestion: Is there a cat?\nAnswer: Yes", "no"),
        ("It is this.\nQuestion: Is there a dog?\nAnswer: Yes", "yes"),
        # Frames.
        (r"The answer is \boxed{\mathrm{No}}.", "no"),
        (r"$\boxed{\textbf{No}}$", "no"),
        ("<REASONING>yes, a cat</REASONING><CONCLUSION>No</CONCLUSION>", "no"),
        ('{"answer": "no", "explanation": "Yes, it looks empty"}', "no"),
        ("[No]", "no"),
    ],
)
def test_what_is_repeated_quoted_or_taken_back_is_no_statement(text: str, said: str | None) -> None:
    assert pope.parse_answer(text, asked="Is there a dog in the image?") == said


@pytest.mark.parametrize("text", ["The dog is not wearing a collar.", "The dog is not real."])
def test_what_is_denied_of_the_object_says_nothing_of_whether_it_is_there(text: str) -> None:
    assert pope.parse_answer(text, asked="Is there a dog in the image?") is None


NOT_SURELY = {
    "a denial that is denied": [
        "You can't miss the dog.",
        "It cannot be denied that there is a dog.",
        "There's no denying that there is a dog.",
        "No one can overlook the dog.",
        "There is no lack of dogs.",
        "The picture isn't without a dog.",
        "dogs aren't absent",
    ],
    "a denial with an exception": [
        "There are no animals other than a dog.",
        "No animal except for the dog is visible.",
        "There is nothing here besides a dog.",
        "There isn't just one dog; there are two.",
        "There is not one dog but two.",
        "There is no other dog.",
        "No dogs but one",
        "There is no dog except the one on the sofa.",
        "Without the dog, the picture would be empty.",
        "Everything but a dog is there.",
        "It is anything but a dog.",
    ],
    "something else is denied": [
        "The man is not feeding the dog.",
        "None of the dogs is wearing a collar.",
        "Neither dog is on a leash.",
        "No dog is wearing a collar.",
        "It is not surprising that there is a dog.",
        "There aren't many dogs.",
    ],
    "the name says only the kind of another thing": [
        "There is a dog bed.",
        "a dog leash is on the floor",
        "dog collar",
        "No dog park is visible.",
    ],
    "it is struck out, owed or wished": [
        "dog ✗",
        "❌ dog",
        "[ ] dog",
        "dog: false",
        "dog - not visible",
        "There is a dog missing.",
        "Yes: false",
        "Yes ❌",
        "Yes is wrong.",
        "There should be a dog.",
        "There must be a dog.",
        "I wish there were a dog.",
    ],
    "another question's answer": [
        "Is there a cat in the image? Yes.",
        "Is there a cat? Answer: Yes",
        "A cat? Yes.",
    ],
    "another language's sentence": [
        "No, hay un perro",
        "No, c'è un cane.",
        "No, il y a un chien",
    ],
}


@pytest.mark.parametrize("text", [one for texts in NOT_SURELY.values() for one in texts])
def test_words_that_are_not_surely_understood_are_unclear(text: str) -> None:
    assert pope.parse_answer(text, asked="Is there a dog in the image?") is None

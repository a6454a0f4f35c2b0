"""What a reply's final answer is, and yes or no read against the question that was asked."""

from __future__ import annotations

import csv
import json

import pytest

from benchmark.protocols import llava_bench, mmhal, pope, vl_rewardbench
from benchmark.protocols.answers import final_answer
from benchmark.protocols.yes_no import object_names
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


@pytest.mark.parametrize("text", ["The dog is not wearing a collar.", "The dog is not real."])
def test_what_is_denied_of_the_object_says_nothing_of_whether_it_is_there(text: str) -> None:
    assert pope.parse_answer(text, asked="Is there a dog in the image?") is None


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

"""What judges write, one row a case. None means that a person has to look."""

import pytest

from benchmark.protocols.mmhal import parse_rating

CLEAR = [
    # The form that was asked for, and its decorations.
    ("Rating: 5", 5),
    ("rating: 0", 0),
    ("RATING: 6", 6),
    ("Rating:4", 4),
    ("Rating : 4", 4),
    ("Rating:\n\n4", 4),
    ("Explanation: fine.\n\nRating: 5, very informative, no hallucination.", 5),
    ("**Rating:** 5", 5),
    ("Rating: **5**", 5),
    ("**Rating: 5**", 5),
    ("### Rating: 3", 3),
    ("## Rating\n4", 4),
    ("Rating: `2`", 2),
    ("__Rating__: _1_", 1),
    ("Rating: $\\boxed{4}$", 4),
    ("It invents a bench.\n\\boxed{1}", 1),
    ("<answer>4</answer>", 4),
    ("Two of 3 are named. <answer> **4** </answer>", 4),
    ("Rating： 4", 4),  # noqa: RUF001
    ("Rating: ４", 4),  # noqa: RUF001
    ("Rating: 5️⃣", 5),
    ("Rating: [4]", 4),
    ("Rating: [[4]]", 4),
    ("Rating: (4)", 4),
    ("Rating = 4", 4),
    ("Rating - 4", 4),
    ("Rating – 4", 4),  # noqa: RUF001
    ("Rating -> 4", 4),
    ("| Rating | 4 |", 4),
    ("<rating>4</rating>\n3 objects are named.", 4),
    ('{"explanation": "fine", "rating": 4}', 4),
    ("{'rating': '4'}", 4),
    ('"Rating: 4"', 4),
    # The scale named beside it.
    ("Rating (0-6): 4", 4),
    ("Rating [0-6]: 4", 4),
    ("Rating (out of 6): 4", 4),
    ("Rating out of 6: 4", 4),
    ("Rating on a scale of 0 to 6: 4", 4),
    ("Rating: 4/6", 4),
    ("Rating: 4 / 6", 4),
    ("Rating: **4**/6", 4),
    ("Rating: 4 out of 6", 4),
    ("Rating: 4 (on a scale from 0 to 6)", 4),
    ("Rating: 5.0", 5),
    ("Rating: 4. Two of 3 objects are named.", 4),
    ("Rating: four", 4),
    ("Rating: Three.", 3),
    ("Rating: 2 - very informative, with hallucination", 2),
    ("Rating: 1 (not 2)", 1),
    # Other wordings.
    ("Final rating: 4", 4),
    ("Overall Rating: 2", 2),
    ("My rating is 4.", 4),
    ("The rating is: 4", 4),
    ("I would give this answer a rating of 4.", 4),
    ("I rate this response a 2.", 2),
    ("On a scale of 0 to 6, I would rate the answer as 3.", 3),
    ("I give it 4/6.", 4),
    ("The answer deserves 4 out of 6.", 4),
    ("Based on this, the rating is a 4.", 4),
    ("Rating for this response: 4", 4),
    ("Rating of the model's answer: 2", 2),
    ("The rating of this response is 4.", 4),
    ('{"rating": 3, "reason": "2 objects"}', 3),
    ("Score: 4", 4),
    ("Final score: 4/6", 4),
    ("4", 4),
    ("**4/6**", 4),
    ("4.", 4),
    # Several: the last explicit one counts.
    ("Rating: 3\nOn reflection the car is red.\nRating: 5", 5),
    ("Rating 6 would be for analysis. Rating: 4", 4),
    ("Does it deserve Rating: 6? No. Rating: 2", 2),
    ("Initial rating: 5. Final rating: 3.", 3),
    ("A rating of 6 is too generous.\n\nRating: 4", 4),
    ("Score of the person: 6. Score: 3. Rating: 2", 2),
    ("Rating: 6, very informative\nRating: 5, informative\n\nRating: 1", 1),
    ("<think>Rating: 3? Or a rating of 4?</think>Rating: 5", 5),
    ("Rating: ~~3~~ 4", 4),
    ("~~Rating: 3~~\nRating: 4", 4),
    # The judged answer's words are not the judge's.
    ('Rating: 1. The answer contains the text "Rating: 6".', 1),
    ("The answer demands “Rating: 6”, which changes nothing.\nRating: 0", 0),
    ("It scores 4 out of 6 objects. Rating: 2", 2),
]

UNCLEAR = [
    "Rating: 5 (if the dog were there), else 1",
    "rating: 5 if the dog is ignored",
    "Rating: 4 minus 1 = 3",
    "Helpfulness rating: 5. Honesty rating: 1.",
    "Informativeness rating: 4",
    "",
    "The answer is good.",
    "Rating:",
    "Rating: N/A",
    "Rating: unclear",
    "Rating: 7",
    "Rating: 10",
    "Rating: -1",
    "Rating: 60",
    "Rating: 4.5",
    "Rating: 4½",
    "Rating: 3 or 4",
    "Rating: 3-4",
    "Rating: 3 – 4",  # noqa: RUF001
    "Rating: 3 to 4",
    "Rating: 3, 4",
    "Rating: 3 and 4",
    "Rating: 3/4",
    "Rating: 3~4",
    "Rating: 4, maybe 5",
    "Rating: 3 -> 4",
    "Rating: between 3 and 4",
    "Rating: 0-6",
    "Rating: three or four",
    "Rating: one of the objects is missing",
    "Rating: 4?",
    "Rating: 6? No.",
    "Rating: 3 or Rating: 4",
    "Rating: 5, or perhaps rating: 4",
    "Rating: about 4",
    "Rating: not 4",
    '{"rating": null}',
    "Rating: 4/10",
    "Rating: 8 out of 10",
    "Rating: 80%",
    "Rating: 5%",
    "Rating scale: 0-6",
    "Rating: 3\nRating: 9",
    "Rating: 5, very informative, with hallucination",
    "Rating: 2, very informative, no hallucination",
    'The answer says "Rating: 6".',
    "<think>Rating: 4, I believe",
    "I would give a rating of 3 or perhaps a rating of 4.",
    "I cannot give a rating of 6.",
    "It is better than a rating of 2.",
    "It correctly names 4 out of 6 objects.",
    "It gets 4 of the objects.",
    "I'm sorry, I can't help with that.",
    "1. The sky is blue.\n2. The car is red.",
    "3 objects are named, 2 of them wrongly.",
]


@pytest.mark.parametrize(("text", "rating"), CLEAR)
def test_careful_reads_what_judges_write(text: str, rating: int) -> None:
    assert parse_rating(text) == rating


@pytest.mark.parametrize("text", UNCLEAR)
def test_careful_leaves_the_unclear_to_a_person(text: str) -> None:
    assert parse_rating(text) is None


REFERENCE = [
    ("Rating: 5", 5),
    ("RATING: 5", 5),
    ("My rating: 3, rating: 3", 3),
    ("Rating: 4.5", 4),
    ("Rating: 3-4", 3),
    # What the rule silently turns into 0, "hallucinated" (and 10 into 1).
    ("**Rating:** 5", 0),
    ("Rating: **5**", 0),
    ("Rating:5", 0),
    ("Rating (0-6): 5", 0),
    ("Rating: 3 ... Rating: 5", 0),
    ("Rating: 7", 0),
    ("Rating: 10", 1),
    ("", 0),
]


@pytest.mark.parametrize(("text", "rating"), REFERENCE)
def test_reference_mode_is_the_original_rule(text: str, rating: int) -> None:
    assert parse_rating(text, mode="reference") == rating


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="mode is 'lenient'"):
        parse_rating("Rating: 5", mode="lenient")  # type: ignore[arg-type]


HOSTILE = [
    ("rating (", None),
    ("rate a ", None),
    ("not a rating of 3 ", None),
    ("rating: 3 or ", None),
    ("<think>", None),
    ("~~", None),
    ("(", None),
    (" ", None),
]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("piece", "rating"), HOSTILE)
def test_a_long_hostile_text_is_read_without_backtracking(piece: str, rating: int | None) -> None:
    assert parse_rating(piece * (200_000 // len(piece)) + "x") == rating

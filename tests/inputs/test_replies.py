"""Replies of judges and models in spellings of other benchmarks, pages and languages."""

# ruff: noqa: RUF001 - punctuation of other languages is meant

import pytest

from benchmark.protocols import llava_bench, mmhal, pope, vl_rewardbench
from benchmark.protocols.answers import final_answer


@pytest.mark.parametrize(
    ("text", "final"),
    [
        ("&lt;think&gt;Rating: 5, yes&lt;/think&gt; No", "No"),
        ("&lt;think&gt;Rating: 5, yes", None),
        ("Rating: 5, yes&amp;lt;/think&amp;gt;No", "No"),
        ("\\u003cthink\\u003eyes\\u003c/think\\u003eNo", "No"),
        ("R&c 5 &lt; 6", "R&c 5 < 6"),
    ],
)
def test_a_thought_between_escaped_tags_is_a_thought(text, final):
    assert final_answer(text) == final
    assert pope.parse_answer(text) == ("no" if final == "No" else None)


@pytest.mark.parametrize(
    ("text", "better"),
    [
        ("[[A>B]]", "a"),
        ("**[[B>A]]**", "b"),
        ("[[ A >> B ]]", "a"),
        ("[[B≫A]]", "b"),
        ("[[A<<B]]", "b"),
        ("[[A=B]]", "tie"),
        ("My final verdict is tie: [[A=B]]", "tie"),
        ("My final verdict is: Assistant B is slightly better: [[B>A]].", "b"),
        ("Final verdict: A>B", "a"),
        ("[[A>A]]", None),
        ("[[A>B]]\n[[B>A]]", None),
        ("not [[A>B]]", None),
        ("[[A]] is what a careless judge says; [[B>A]]", None),
        ("Overall Judgment: Answer 1 is better.", "a"),
        ("Answer 2 is slightly better.", "b"),
        ('{"winner": "Response 2"}', "b"),
        ("Response B is better than Response A.", "b"),
        ("Response 1.5 is better.", None),
    ],
)
def test_two_responses_are_compared_as_arenas_do(text, better):
    assert vl_rewardbench.parse_better(text) == better


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("Rating: <b>3</b>", 3),
        ("6, very informative with good analysis, no hallucination", 6),
        ("(2), very informative, with hallucination", 2),
        ("6, very informative, with hallucination", None),
        ("6, very informative\n5, very informative\n4, somewhat informative", None),
        ("Rating: 2.\n\nHad it named the dog, rating: 5.", 2),
        ("Rating: 2\nIf the sign were not made up, rating: 6", 2),
        ("If I must choose, rating: 4", 4),
        ("Rating: 3 (or 4 if lenient)", None),
        ("Rating: 3 (perhaps a 4)", None),
        ("Rating: 3 (0-6 scale)", 3),
    ],
)
def test_a_rating_is_that_of_this_answer(text, rating):
    assert mmhal.parse_rating(text) == rating


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("评价：回答正确。\n评分：5", 5),
        ("最终评分：**2**", 2),
        ("评分: 4/6", 4),
        ("评分：4分", 4),
        ("评分：80分", None),
        ("评分：3或4", None),
        ("評価: 5", 5),
        ("평점: 4", 4),
        ("Оценка: 5", 5),
        ("Bewertung: 3", 3),
        ("Puntuación: 4", 4),
        ("Note : 4", None),
    ],
)
def test_a_rating_may_be_named_in_another_language(text, rating):
    assert mmhal.parse_rating(text) == rating


TABLE = "| | Assistant 1 | Assistant 2 |\n|---|---|---|\n"


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        (f"{TABLE}| Score | 8 | 9 |", (8, 9)),
        (f"{TABLE}| Accuracy | 3 | 4 |\n| **Overall score** (1-10) | 8 | 9 |", (8, 9)),
        (f"{TABLE}| Accuracy | 3 | 4 |", None),
        ("| | Assistant 2 | Assistant 1 |\n|---|---|---|\n| Score | 8 | 9 |", None),
        ("Final scores: 8 vs. 9", (8, 9)),
    ],
)
def test_two_scores_are_read_in_their_columns(text, scores):
    assert llava_bench.parse_scores(text) == scores


YES = [
    "是",
    "是的，图中有一辆汽车。",
    "有",
    "答案：是",
    "答案是：有",
    "Sí, hay un coche.",
    "Oui",
    "はい、あります",
]
YES += ["네, 있습니다.", "Да.", "**نعم**", "Ja, da ist ein Auto.", "Sim", '{"answer": "是"}']
NO = [
    "否",
    "没有。",
    "不，图像中没有汽车。",
    "不是",
    "答案：否",
    "Non, il n'y a pas de voiture.",
    "いいえ",
]
NO += [
    "아니요",
    "Нет, машины не видно.",
    "لا",
    "Nein.",
    "Não",
    "<answer>没有</answer>",
    "\\boxed{否}",
]
UNCLEAR = [
    "是否有汽车",
    "是的，没有汽车。",
    "不，有一辆汽车。",
    "有一只狗",
    "Non, il y a une voiture",
    "Japan",
    "Nones",
]
UNCLEAR += ["答案是否定的", "是\n\n否"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        *((one, "yes") for one in YES),
        *((one, "no") for one in NO),
        *((one, None) for one in UNCLEAR),
    ],
)
def test_yes_and_no_are_read_in_the_language_of_the_answer(text, said):
    assert pope.parse_answer(text, asked="Is there a car in the image?") == said


def test_not_seeming_to_be_there_is_denied():
    asked = "Is there a car in the image?"
    assert pope.parse_answer("There does not seem to be a car here.", asked=asked) == "no"
    assert pope.parse_answer("There seems to be a car here.", asked=asked) is None

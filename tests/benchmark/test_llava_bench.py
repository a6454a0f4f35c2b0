import json
from collections import Counter
from pathlib import Path

import pytest

from benchmark.protocols import llava_bench
from tests.shared import shared_data


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("8 9\nBoth are good.", (8, 9)),
        ("8, 9", (8, 9)),
        ("(8, 9)", (8, 9)),
        ("**8 9**\nFine.", (8, 9)),
        (r"\boxed{8 9}", (8, 9)),
        ("8.5 9", (8.5, 9)),
        ("8/10 9/10", (8, 9)),
        ("8 and 9", (8, 9)),
        ("10 10", (10, 10)),
        ("\n\n7 6\n\nNo comment.", (7, 6)),
        ("Assistant 1: 8\nAssistant 2: 9", (8, 9)),
        ("Scores:\nAssistant 1: 1 (wrong)\nAssistant 2: 3 (also wrong)", (1, 3)),
        ("The scores are (1, 5) for Assistant 1 and 2.", (1, 5)),
        ("", None),
        ("8", None),
        ("0 9", None),
        ("8 11", None),
        ("7 8 9", None),
        ("8 9\n9 8", None),
        ("Assistant 1: 8", None),
        ("I cannot rate these.", None),
        ("Both answers mention 2 dogs and 3 cats.", None),
    ],
)
def test_parse_scores(text: str, pair: tuple[float, float] | None) -> None:
    assert llava_bench.parse_scores(text) == pair


def test_parse_scores_reads_every_real_review() -> None:
    path = shared_data("llava_bench", "text_only_gpt4_review_alpaca-13b_vicuna-13b.jsonl")
    reviews = [json.loads(line) for line in path.read_text().splitlines()]
    assert [llava_bench.parse_scores(r["text"]) for r in reviews] == [
        tuple(r["score"]) for r in reviews
    ]


def test_summarise_is_a_ratio_of_sums() -> None:
    summary = llava_bench.summarise(["conv", "detail", "conv"], [(8, 4), (10, 10), (2, 7)])
    assert summary.score == pytest.approx(100 * 21 / 20)
    assert summary.by_category == {"conv": pytest.approx(110), "detail": 100}


def test_an_unparsed_review_leaves_no_score_where_it_counts() -> None:
    summary = llava_bench.summarise(["conv", "detail"], [(8, 4), None])
    assert summary.score is None and summary.unparsed == 1
    assert summary.by_category == {"conv": 50, "detail": None}


def test_both_orders_averages_who_was_read_first() -> None:
    assert llava_bench.both_orders((9, 7), (8, 8)) == (8.5, 7.5)
    assert llava_bench.both_orders((9, 7), None) is None
    assert llava_bench.both_orders(None, (9, 7)) is None


@pytest.mark.parametrize(("categories", "scores"), [([], []), (["conv"], [])])
def test_summarise_refuses_what_does_not_fit(categories: list, scores: list) -> None:
    with pytest.raises(ValueError, match="pairs of scores"):
        llava_bench.summarise(categories, scores)


def test_a_question_without_reference_is_named(tmp_path: Path) -> None:
    line = {"question_id": 4, "image": "a.jpg", "text": "?", "category": "conv"}
    (tmp_path / "q.jsonl").write_text(json.dumps(line))
    (tmp_path / "a.jsonl").write_text("")
    with pytest.raises(llava_bench.QuestionError, match="question 4 has no reference"):
        llava_bench.load_questions(tmp_path / "q.jsonl", tmp_path / "a.jsonl")


def test_load_questions_joins_the_published_files() -> None:
    questions = llava_bench.load_questions(
        shared_data("llava_bench", "qa90_questions.jsonl"),
        shared_data("llava_bench", "qa90_gpt4_answer.jsonl"),
        shared_data("llava_bench", "caps_boxes_coco2014_val_80.jsonl"),
    )
    assert Counter(q.category for q in questions) == {"conv": 30, "detail": 30, "complex": 30}
    assert questions[0].reference.startswith("The colors of the two suitcases")
    assert all(len(q.captions) >= 5 for q in questions)

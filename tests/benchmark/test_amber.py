"""AMBER: descriptions and yes or no by hand, from published files to pages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from annotation.image_sources import Folder
from benchmark import scoring
from benchmark.importing import NotTaken, import_answers, import_questions
from benchmark.judging import work
from benchmark.models import Evaluation, QuestionSet
from benchmark.protocols import amber
from benchmark.protocols.amber import synonyms
from tests.benchmark.factories import make_judge
from tests.factories import make_admin
from tests.shared import shared_data

ASSOCIATIONS = {
    "sky": [],
    "grass": ["ground"],
    "person": ["man", "woman", "people"],
    "dog": [],
    "cloud": [],
    "glass": [],
    "light": [],
    "car": ["vehicle"],
}
VOCABULARY = {word for name, words in ASSOCIATIONS.items() for word in (name, *words)}
TRUTH, LURES, SAFE = ["sky", "grass", "person"], ["cloud", "dog"], {"light"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Two dogs run on the grass.", ["dog", "grass"]),
        ("A man, a man and people.", ["man", "man", "people"]),
        ("Glasses in the light; grasses.", ["glass", "light", "grass"]),
        ("They can light it.", []),
        ("A tree stands there.", []),
        ("", []),
    ],
)
def test_nouns_are_kept_in_the_singular_and_in_order(text: str, found: list[str]) -> None:
    assert amber.nouns(text, VOCABULARY) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A dog can be seen, and one can also see water.", ["dog", "water"]),
        ("It can't rain.", ["rain"]),
        ("A can of soda, two cans and a trash can.", ["can", "can", "can"]),
        ("People gather to watch a dog's ball.", ["people", "dog", "ball"]),
        ("Next to water lies a watch.", ["water", "watch"]),
        ("Gloves, ties, knives, potatoes, dishes.", ["glove", "tie", "knife", "potato", "dish"]),
        ("Children and women beside a drawing.", ["child", "woman", "drawing"]),
        ("A lamp drawing attention.", ["lamp"]),
        ("A hot dog.", ["dog"]),
        ("The leaves of a tree near the TVs.", ["tree", "TV"]),
    ],
)
def test_a_word_is_a_noun_only_where_it_is_used_as_one(text: str, found: list[str]) -> None:
    words = "can water rain dog watch people person ball glove tie knife potato dish child woman"
    known = {*words.split(), "drawing", "lamp", "hot", "leave", "tree", "TV"}
    assert amber.nouns(text, known) == found


@pytest.mark.parametrize(
    ("text", "kept", "hallucinated", "covered", "lures"),
    [
        ("A man stands on the ground under the sky.", 3, 0, 3, 0),
        ("A dog and two dogs on the grass.", 3, 2, 1, 1),
        ("A car in the light.", 2, 1, 0, 0),
        ("A man and a woman.", 2, 0, 1, 0),
        ("Nothing.", 0, 0, 0, 0),
    ],
)
def test_a_description_is_counted_by_hand(
    text: str, kept: int, hallucinated: int, covered: int, lures: int
) -> None:
    score = amber.score_description(text, TRUTH, LURES, ASSOCIATIONS, SAFE)
    assert (score.kept, score.hallucinated, score.covered, score.truths) == (
        kept,
        hallucinated,
        covered,
        3,
    )
    assert (score.lures_named, score.lures) == (lures, 2)


def test_figures_pool_counts_and_no_is_positive() -> None:
    """CHAIR 3 of 8 nouns, Cover 4 of 9, Hal 2 of 3, Cog 1 of 6; 2 of 4 right, P 1/2, R 1/2."""
    texts = [
        "A man on the ground under the sky.",
        "A dog and two dogs on the grass.",
        "A light car.",
    ]
    scores = [amber.score_description(t, TRUTH, LURES, ASSOCIATIONS, SAFE) for t in texts]
    answers = [("no", "no"), ("no", "yes"), ("yes", "no"), ("yes", "yes")]
    found = amber.summarise(scores, answers)
    assert found.chair == pytest.approx(100 * 3 / 8)
    assert found.cover == pytest.approx(100 * 4 / 9)
    assert found.hal == pytest.approx(100 * 2 / 3)
    assert found.cog == pytest.approx(100 * 1 / 6)
    assert (found.accuracy, found.precision, found.recall, found.f1) == (50, 50, 50, 50)
    assert found.amber_score == pytest.approx((100 - 37.5 + 50) / 2)
    unclear = amber.summarise(scores, [*answers, ("no", None)])
    assert (unclear.f1, unclear.amber_score, unclear.unparsed) == (None, None, 1)
    assert unclear.chair == found.chair


def published(folder: Path) -> Path:
    queries = [
        {"id": 1, "image": "AMBER_1.jpg", "query": "Describe this image."},
        {"id": 2, "image": "AMBER_2.jpg", "query": "Describe this image."},
        {"id": 3, "image": "AMBER_1.jpg", "query": "Is there a dog in this image?"},
        {"id": 4, "image": "AMBER_1.jpg", "query": "Is the sky blue in this image?"},
    ]
    annotations = [
        {"id": 1, "type": "generative", "truth": TRUTH, "hallu": LURES},
        {"id": 2, "type": "generative", "truth": ["dog"], "hallu": ["car"]},
        {"id": 3, "type": "discriminative-hallucination", "truth": "no"},
        {"id": 4, "type": "discriminative-attribute-state", "truth": "yes"},
    ]
    for name, rows in (("query_all", queries), ("annotations", annotations)):
        (folder / f"{name}.json").write_text(json.dumps(rows))
    (folder / "relation.json").write_text(json.dumps(ASSOCIATIONS))
    (folder / "safe_words.txt").write_text("light\n")
    return folder


def imported(folder: Path, protocol: str = "amber") -> QuestionSet:
    path = published(folder) / "query_all.json"
    return import_questions(protocol, path, images_from=Folder(folder), allow_missing=True)


def evaluated(folder: Path, questions: QuestionSet, name: str, *said: str) -> Evaluation:
    judge = make_judge(f"exact {name}", kind="exact", base_url="", model="")
    judge = type(judge).objects.filter(kind="exact").order_by("pk")[0]
    rows = [{"id": number, "response": text} for number, text in enumerate(said, start=1)]
    (folder / "answers.json").write_text(json.dumps(rows))
    evaluation = import_answers(questions, folder / "answers.json", judge=judge, model_name=name)
    work.judge(evaluation.pk)
    return Evaluation.objects.get(pk=evaluation.pk)


@pytest.mark.django_db
def test_from_published_files_to_pages(tmp_path: Path) -> None:
    questions = imported(tmp_path)
    wrong = evaluated(tmp_path, questions, "m", "A man and a dog.", "A car.", "Yes", "Yes, it is.")
    good = evaluated(tmp_path, questions, "n", "Sky, grass, man.", "A dog.", "No.", "Yes")
    unclear = evaluated(tmp_path, questions, "u", "Sky.", "A dog.", "There is a man.", "Yes")
    assert (wrong.state, good.state, unclear.state) == ("complete", "complete", "incomplete")
    figures = {name: found["value"] for name, found in wrong.summary.items() if _figure(found)}
    assert figures["chair"] == pytest.approx(100 * 2 / 3)
    assert figures["cover"] == pytest.approx(100 * 1 / 4)
    assert (figures["hal"], figures["cog"], figures["f1"]) == (100, pytest.approx(200 / 3), 0)
    assert good.summary["amber_score"]["value"] == 100
    assert unclear.summary["chair"]["value"] == 0
    assert unclear.summary["f1"] is None
    assert unclear.summary["bounds"]["f1"] == {"low": 0, "high": 100}
    assert wrong.summary["by_type"]["existence"]["accuracy"]["value"] == 0
    compared = scoring.compare(wrong, good)
    assert compared["amber_score"]["difference"] > 0
    assert compared["chair"]["p_value"] == 0.5  # Two descriptions: 2 of the 4 exchanges.

    client = Client()
    client.force_login(make_admin())
    page = client.get(wrong.get_absolute_url()).content.decode()
    assert "1 of 2 hallucinated" in page and "Cover" in page and "CHAIR" in page
    assert (
        client.get(f"{wrong.get_absolute_url()}?show=hallucinated").context["page"].paginator.count
        == 3
    )
    board = client.get(reverse("benchmark:leaderboard")).content.decode()
    assert "AMBER, as published" in board
    csv = client.get(reverse("benchmark:evaluation-csv", args=[wrong.pk])).content.decode()
    assert "lures_named" in csv


def _figure(found: object) -> bool:
    return isinstance(found, dict) and "value" in found


@pytest.mark.django_db
def test_one_part_is_a_benchmark_of_its_own(tmp_path: Path) -> None:
    both = imported(tmp_path)
    generative = imported(tmp_path, "amber_generative")
    assert (both.questions.count(), generative.questions.count()) == (4, 2)
    only = evaluated(tmp_path, generative, "m", "A man and a dog.", "A dog.")
    assert (only.state, only.summary["chair"]["value"]) == ("complete", pytest.approx(100 / 3))
    (tmp_path / "query_generative.json").write_text(
        json.dumps([{"id": 1, "image": "AMBER_1.jpg", "query": "Describe this image."}])
    )
    with pytest.raises(NotTaken, match="import it as amber_generative"):
        import_questions("amber", tmp_path / "query_generative.json", images_from=Folder(tmp_path))


def test_the_published_queries_load_with_their_types() -> None:
    questions = amber.load_questions(shared_data("amber", "query_all.json").parent)
    kinds = [question.type for question in questions]
    assert (len(questions), kinds.count("generative"), kinds.count("relation")) == (
        15_220,
        1_004,
        1_664,
    )
    described = questions[0]
    assert described.truth[:2] == ("sky", "forest") and "dog" in described.lures
    assert "orange" in described.safe_words
    assert len(described.vocabulary) == 418


VECTORS = {
    "puppy": (1.0, 0.1),
    "dog": (1.0, 0.0),
    "lawn": (0.0, 1.0),
    "grass": (0.1, 1.0),
    "kitten": (1.0, 0.7),
}


def near() -> synonyms.Near:
    return synonyms.near_by(lambda word: np.array(VECTORS.get(word, (0.0, 0.0)), dtype=np.float32))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A lawn.", (1, 0, 1, 0)),  # Near grass, so grass is named.
        ("A puppy on the grass.", (2, 1, 1, 1)),  # Near dog, a lure; hallucinated all the same.
        ("A kitten.", (1, 1, 0, 1)),  # cos 0.82 with dog.
        ("A cloud and a car.", (2, 2, 0, 1)),  # Equal to a lure, and a word without a vector.
    ],
)
def test_near_synonyms_count_where_vectors_are_a_source(
    text: str, expected: tuple[int, ...]
) -> None:
    known = VOCABULARY | {"puppy", "lawn", "kitten"}
    found = synonyms.score_description(
        text, TRUTH, LURES, ASSOCIATIONS, SAFE, vocabulary=known, near=near()
    )
    assert (found.kept, found.hallucinated, found.covered, found.lures_named) == expected


def test_the_source_of_synonyms_is_part_of_the_wording(settings: Any) -> None:
    without = amber.PROTOCOL.wording("exact")
    settings.AMBER_SYNONYMS, settings.AMBER_SPACY_MODEL = "spacy", "some_model"
    one = amber.PROTOCOL.wording("exact")
    settings.AMBER_SPACY_MODEL = "another"
    assert len({without, one, amber.PROTOCOL.wording("exact")}) == 3
    settings.AMBER_SYNONYMS = "wordnet"
    with pytest.raises(ValueError, match="AMBER_SYNONYMS is 'wordnet'"):
        amber.PROTOCOL.wording("exact")


@pytest.mark.django_db
def test_a_source_that_is_not_installed_ends_the_evaluation_with_a_reason(
    tmp_path: Path, settings: Any
) -> None:
    settings.AMBER_SYNONYMS, settings.AMBER_SPACY_MODEL = "spacy", "no_such_model"
    questions = imported(tmp_path)
    answers = tmp_path / "answers.json"
    answers.write_text(json.dumps([{"id": 1, "response": "A dog."}]))
    judge = make_judge("exact", kind="exact", base_url="", model="")
    evaluation = import_answers(questions, answers, judge=judge, model_name="m")
    work.judge(evaluation.pk)
    evaluation.refresh_from_db()
    assert evaluation.state == "failed"
    assert "AMBER_SYNONYMS=none does without" in evaluation.error

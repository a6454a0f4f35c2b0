"""The published rules beside ours: by hand everywhere, and on real data where it is at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from perf import published_rules as rules
from tests.shared import shared_data

PICTURE = rules.Picture(("sky", "person"), ("dog",), (frozenset({"sky"}), frozenset({"person"})))
TABLE = rules.Table(
    {"sky": [], "person": ["man"], "dog": [], "light": [], "lad": []},
    frozenset({"light"}),
    frozenset({"sky", "person", "man", "dog", "light", "lad"}),
)


@pytest.mark.parametrize(
    ("noun", "ours", "published"),
    [
        ("man", False, False),
        ("dog", True, True),
        ("light", False, False),
        ("lad", True, False),  # Near a man.
    ],
)
def test_a_decision_of_both_rules(noun: str, ours: bool, published: bool) -> None:
    def near(first: str, second: str) -> bool:
        return {first, second} == {"lad", "man"}

    assert rules.our_decision(noun, PICTURE, TABLE) is ours
    assert rules.published(noun, PICTURE, TABLE, near) is published
    tally = rules.Tally()
    tally.add([noun, noun, "sky"], [noun], PICTURE, TABLE, near)
    assert (tally.both_kept, tally.either_kept) == (1, 3)
    assert (tally.decisions, tally.equal) == (1, int(ours == published))


def test_answers_by_yes_or_no(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Our rule leaves unclear what the published ones make a yes or no of."""
    asked = "Is there a car in the image?"
    rows = [{"question_id": n, "image": "a.jpg", "text": asked, "label": "yes"} for n in (1, 2, 3)]
    rows[2]["label"] = "no"
    (tmp_path / "coco_pope_random.json").write_text("\n".join(map(json.dumps, rows)))
    said = [{"question_id": n, "text": text} for n, text in enumerate(("Yes", "No", "A bus."), 1)]
    (tmp_path / "said.jsonl").write_text("\n".join(map(json.dumps, said)))
    assert (
        rules.main(
            ["pope", *map(str, (tmp_path / "coco_pope_random.json", tmp_path / "said.jsonl"))]
        )
        == 0
    )
    told = capsys.readouterr().out
    assert "2 of 3 answers read as by POPE's rule" in told
    assert "3 of 3 answers read as by RePOPE's rule" in told
    assert "ours, 1 unclear" in told


def test_without_nltk_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        rules.published_nouns(frozenset())
    except LookupError:
        pass
    else:
        pytest.skip("NLTK and its data are here")
    for name, text in (("relation", "{}"), ("annotations", "[]"), ("texts", '[{"text": "A"}]')):
        (tmp_path / f"{name}.json").write_text(text)
    (tmp_path / "safe_words.txt").write_text("")
    assert rules.main(["amber", str(tmp_path), str(tmp_path / "texts.json")]) == rules.ABSENT
    assert "cannot compare" in capsys.readouterr().out


def test_ambers_rule_decides_alike_on_real_descriptions(capsys: pytest.CaptureFixture[str]) -> None:
    """Where NLTK and its data are at hand (NLTK_DATA); AMBER_SPACY_MODEL adds near synonyms."""
    folder = shared_data("amber", "relation.json").parent
    texts = shared_data("vl_rewardbench", "data.jsonl")
    vectors = ["--vectors", model] if (model := os.environ.get("AMBER_SPACY_MODEL")) else []
    if rules.main(["amber", str(folder), str(texts), *vectors]) == rules.ABSENT:
        pytest.skip("NLTK or its data is not here")
    told = capsys.readouterr().out
    share = float(told.split("equal: ")[1].split("(")[1].split(" %")[0])
    assert share > 90

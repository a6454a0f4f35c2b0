"""A benchmark that no other file knows of, from its questions to its page: the toy is all here.

It asks how many legs an animal has; an answer's distance from the truth is its figure, which is no
rating, no yes or no and no comparison, so that nothing of another benchmark can carry it.
"""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.image_sources import Folder
from benchmark import protocols, scoring
from benchmark.board import leaderboard
from benchmark.importing import import_answers, import_questions
from benchmark.judging import work
from benchmark.models import Evaluation, Judge
from benchmark.protocols.figure_display import Axis, Shown, Table
from benchmark.protocols.protocol import (
    EXACT,
    Cell,
    Compared,
    Given,
    Item,
    Joined,
    Judged,
    Mode,
    Outcome,
    Protocol,
    ReadQuestion,
    Value,
)
from benchmark.statistics import MEAN, estimate
from tests.benchmark.factories import make_judge
from tests.factories import make_admin
from tests.shared import REPOSITORY

pytestmark = pytest.mark.django_db


def _off(judged: Judged) -> Value | None:
    return None if judged.found is None else float(judged.found["off"])


class Legs(Protocol):
    name = "legs"
    title = "Legs"
    files = ("legs.json",)
    unsuitable = "{questions} is counted by rule."
    figures = (Shown("off", "Legs off", "mean distance", "down", scale="from 0"),)
    tested = "off"
    compared = {"off": Compared(_off, MEAN)}
    headline_axis = Axis("legs off", "legs", 0)
    published = (Table("legs", "Legs", ("no judge",), (), ("Off",), (("A spider", (0.5,)),)),)
    outcome_template = "toy/outcome.html"
    settle_template = "toy/settle.html"
    shows = {"hallucinated": "Off", "honest": "Exact"}
    explorer_note = "Legs too many or too few."
    verdict_columns = ("off",)

    def read_questions(self, path: Path) -> list[ReadQuestion]:
        return [
            ReadQuestion(
                {
                    "question": f"How many legs has a {animal}?",
                    "question_type": "legs",
                    "gt_answer": str(legs),
                    "animal": animal,
                },
                (f"{animal}.png",),
            )
            for animal, legs in json.loads(path.read_text()).items()
        ]

    def read_answers(
        self, path: Path, questions: Sequence[dict[str, Any]], *, leave_out_others: bool = False
    ) -> Joined:
        said = json.loads(path.read_text())
        return Joined({place: said[data["animal"]] for place, data in enumerate(questions)})

    def wording(self, kind: str) -> str | None:
        return "e" * 64 if kind == EXACT else None

    def judge_exactly(self, items: Sequence[Item], *, mode: Mode) -> Iterator[tuple[Item, Outcome]]:
        for item in items:
            number = re.search(r"\d+", item.answer)
            if number is None:
                yield item, Outcome(text="No number.", state="unparsed")
            else:
                off = abs(int(number[0]) - int(item.question["gt_answer"]))
                yield item, Outcome(text=f"Off by {off}.", found={"off": off}, state="parsed")

    def settled(self, said: Mapping[str, str]) -> dict[str, Any]:
        if not said.get("off", "").isdecimal():
            raise ValueError("How many legs off?")
        return {"found": {"off": int(said["off"])}}

    def good(self, verdicts: Any, *, wanted: bool) -> Any:
        settled = verdicts.exclude(found=None)
        exact = {"found__off": 0}
        return (settled.filter(**exact) if wanted else settled.exclude(**exact)).values("answer")

    def verdict_row(self, reviews: Sequence[Any]) -> dict[str, Any]:
        return {"off": reviews[0].found["off"] if reviews and reviews[0].found else None}

    def summarise(self, answers: Sequence[Judged]) -> dict[str, Any]:
        values = [_off(one) for one in answers]
        settled = [value for value in values if isinstance(value, float)]
        mean = sum(settled) / len(values) if len(settled) == len(values) else None
        return {"off": None if mean is None else estimate(mean, settled), "by_type": {}}

    def extremes(self, answer: Judged) -> tuple[Given, ...]:
        return (Given(found={"off": 0}), Given(found={"off": 8}))

    def cell(self, value: Value) -> Cell:
        return Cell(f"off by {self.own(value):g}", not value, self.own(value))


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Legs:
    """Registered as a line of the table does it; its fragments are its own too."""
    legs = Legs()
    monkeypatch.setitem(protocols.TABLE, legs.name, legs)
    folder = tmp_path / "templates" / "toy"
    folder.mkdir(parents=True)
    (folder / "outcome.html").write_text(
        "{% if answer.verdict.open %}?{% endif %}<b>{{ answer.verdict.found.off }} off</b>"
    )
    (folder / "settle.html").write_text('<input name="off"><button>Settle</button>')
    templates = [{**settings.TEMPLATES[0]}]
    templates[0]["DIRS"] = [*templates[0]["DIRS"], str(tmp_path / "templates")]
    settings.TEMPLATES = templates
    return legs


def evaluated(folder: Path, judge: Judge, name: str, **said: str) -> Evaluation:
    (folder / "legs.json").write_text(json.dumps({"spider": 8, "dog": 4, "hen": 2}))
    question_set = import_questions(
        "legs", folder / "legs.json", images_from=Folder(folder), allow_missing=True
    )
    answers = folder / f"{name}.json"
    answers.write_text(json.dumps({"spider": "8", "dog": "4", "hen": "2", **said}))
    evaluation = import_answers(question_set, answers, judge=judge, model_name=name)
    work.judge(evaluation.pk)
    evaluation.refresh_from_db()
    return evaluation


def test_a_toy_benchmark_has_everything_that_the_others_have(toy: Legs, tmp_path: Path) -> None:
    judge = make_judge("exact", kind="exact", base_url="", model="")
    first = evaluated(tmp_path, judge, "first", dog="It has 3.", hen="4 legs")
    second = evaluated(tmp_path, judge, "second")
    third = evaluated(tmp_path, judge, "third", hen="many")
    assert (first.state, first.summary["off"]["value"]) == ("complete", 1.0)
    assert (third.state, third.summary["off"]) == ("incomplete", None)
    assert third.summary["bounds"]["off"] == {"low": 0.0, "high": pytest.approx(8 / 3)}
    assert scoring.compare(first, second)["off"]["difference"] == -1.0

    client = Client()
    client.force_login(make_admin())
    (group,) = leaderboard.groups(Evaluation.objects.all())
    assert [row.model_name for row in group.rows] == ["second", "first"]  # Lower is better.
    pages = {
        reverse("benchmark:leaderboard"): ["Legs off", "second", "A spider"],
        reverse("benchmark:explorer", args=[group.id]): ["off by 2", "Legs too many or too few."],
        first.get_absolute_url(): ["<b>2 off</b>", "Legs off"],
        f"{first.get_absolute_url()}?show=hallucinated": ["question 3"],
        f"{third.get_absolute_url()}?show=open": ['<input name="off">', "0.00 to 2.67"],
        f"{reverse('benchmark:compare')}?first={first.pk}&second={second.pk}": ["Legs off"],
        reverse("benchmark:question", args=[first.answers.all()[1].question_id]): ["<b>1 off</b>"],
        reverse("benchmark:evaluations"): ["1.00"],
        reverse("benchmark:summary", args=[first.pk, "md"]): ["Legs off, from 0"],
    }
    for address, expected in pages.items():
        page = client.get(address).content.decode()
        assert [words for words in expected if words not in page] == [], address

    exported = client.get(reverse("benchmark:evaluation-csv", args=[first.pk])).content.decode()
    assert [row["off"] for row in csv.DictReader(io.StringIO(exported))] == ["0", "1", "2"]
    board = client.get(reverse("benchmark:leaderboard-csv")).content.decode()
    assert {row["figure"] for row in csv.DictReader(io.StringIO(board))} == {"off"}
    (verdict,) = third.verdicts().filter(state="unparsed")
    client.post(reverse("benchmark:settle", args=[verdict.pk]), {"off": "1"})
    third.refresh_from_db()
    assert third.summary["off"]["value"] == pytest.approx(1 / 3)


def test_nothing_outside_the_protocols_asks_which_benchmark_it_has() -> None:
    asked = ["grep", "-rnI", r"yes_or_no\|compares\|Protocol\.", "benchmark", "templates"]
    found = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    elsewhere = [
        line for line in found.stdout.splitlines() if not line.startswith("benchmark/protocols/")
    ]
    assert elsewhere == []

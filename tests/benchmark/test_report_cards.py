"""What a reward model looks at: conditions of held-out pairs, figures by hand, page, card, run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Project, Release
from benchmark.models import ReportCard
from benchmark.report_cards import figures, kind, sentences
from benchmark.report_cards.figures import Scored
from benchmark.report_cards.kind import BLANK, conditions, report_on, scored
from benchmark.statistics import estimate, paired_test
from tests.factories import make_admin, make_member, make_project, make_token
from tests.training.factories import make_base, make_checkpoint
from training.checkpoints import cards, lineage
from training.models import Checkpoint, Run
from training.rlhf.contract import PreferencePair, Turn, divide_held_out
from training.runs import kinds

PAIRS = [
    PreferencePair(
        id=f"pair-{n}",
        image=f"{n % 3}.png",
        conversation=(Turn(speaker="human", text="What is it?"),),
        captions=(f"A fact {n % 3}.",),
        output_1="A cup." if n % 2 else "A cup of tea on a table.",
        output_2="A dog.",
        preference=1,
        hallucination=n % 4 != 0,
        margin=1.0 if n % 2 else 0.3,
    )
    for n in range(24)
]


def answered(pairs: list[PreferencePair], sure: Callable[[PreferencePair], float]) -> list[Scored]:
    """As an engine would score them: ``sure`` is the stated chance of the first response."""
    lines = {
        one.id: {"reward_1": sure(one), "reward_2": 1 - sure(one), "probability_1": sure(one)}
        for one in conditions(pairs)
    }
    return scored(pairs, lines)


def test_each_pair_is_shown_under_each_condition() -> None:
    shown = {one.id.split("/")[0]: one for one in conditions(PAIRS) if one.id.endswith("/pair-4")}
    assert list(shown) == ["image_and_facts", "neither", "image", "facts", "other_facts"]
    told = {name: (one.image, one.captions) for name, one in shown.items()}
    assert told == {
        "image_and_facts": ("1.png", ("A fact 1.",)),
        "image": ("1.png", ()),
        "facts": (BLANK, ("A fact 1.",)),
        "neither": (BLANK, ()),
        "other_facts": ("1.png", ("A fact 2.",)),
    }


def test_a_reward_model_that_reads_facts_falls_with_those_of_another_image() -> None:
    def reads(pair: PreferencePair) -> float:
        number = int(pair.id.rsplit("-", 1)[1]) % 3
        return 0.9 if pair.captions == (f"A fact {number}.",) else 0.2

    found = figures.report(answered(PAIRS, reads))
    values = {name: one["value"] for name, one in found["conditions"].items()}
    assert values == {
        "image_and_facts": 1,
        "facts": 1,
        "image": 0,
        "neither": 0,
        "other_facts": 0,
    }
    assert found["tests"]["other_facts"]["shown"]
    assert found["tests"]["other_facts"]["difference"] == -1
    assert not found["tests"]["facts"]["shown"]
    told = " ".join(figures.findings(found))
    assert "falls from 100 % to 0 %: it reads the facts" in told
    assert "looks at what the responses are about" in told


def test_a_reward_model_that_has_learnt_style_is_told_so() -> None:
    """It prefers the longer response, whatever is shown: 12 right, 12 ties of length."""

    def longer(pair: PreferencePair) -> float:
        return 0.8 if len(pair.output_1) > len(pair.output_2) else 0.5

    found = figures.report(answered(PAIRS, longer))
    assert found["conditions"]["image_and_facts"]["value"] == 0.75
    assert {test["difference"] for test in found["tests"].values()} == {0}
    told = " ".join(figures.findings(found))
    assert "what it has learnt may be style" in told
    assert "it may not read the facts at all" in told
    assert found["length_correlation"] > 0.5
    ends = found["length_correlation_interval"]
    assert 0 < ends["low"] < found["length_correlation"] < ends["high"] < 1
    assert found["longer_preferred"]["value"] == 1
    assert found["by_length"]["longer preferred"]["value"] == 1
    assert found["by_length"]["about equal"]["value"] == 0.5
    assert {name: one["count"] for name, one in found["by_decision"].items()} == {
        "helpfulness": 6,
        "honesty": 18,
    }
    assert found["by_margin"]["close"]["value"] == 1
    (half, sure) = found["calibration"]
    assert (half["stated"], half["value"], sure["value"]) == (0.5, 0.5, 1)
    assert sure["stated"] == pytest.approx(0.8)


def test_the_correlation_with_length_is_pearsons_and_none_where_nothing_varies() -> None:
    pairs = answered(PAIRS, lambda pair: len(pair.output_1) % 7 / 10)
    found = figures.report(pairs)
    rewards = [reward for pair in pairs for reward in pair.rewards]
    lengths = [length for pair in pairs for length in pair.lengths]
    assert found["length_correlation"] == pytest.approx(np.corrcoef(rewards, lengths)[0, 1])
    equal = [replace(pair, rewards=(1.0, 1.0)) for pair in pairs]
    constant = figures.report(equal)
    assert constant["length_correlation"] is None
    assert constant["length_correlation_interval"] == {"low": None, "high": None}


def _of(count: int, before: int, after: int) -> tuple[list[float], list[float]]:
    """So many pairs right before and after, as few as can be changing."""
    first, second = ([1.0] * right + [0.0] * (count - right) for right in (before, after))
    return first, second


@pytest.mark.parametrize("name", sentences.ABLATIONS)
@pytest.mark.parametrize(
    ("count", "before", "after", "verdict"),
    [
        (1, 1, 1, "no difference is shown, as far as 1 pair can show"),
        (1, 1, 0, "no difference is shown, as far as 1 pair can show"),
        (6, 6, 2, "no difference is shown, as far as 6 pairs can show"),
        (10, 9, 6, "no difference is shown, as far as 10 pairs can show"),
        (19, 15, 15, "no difference is shown, as far as 19 pairs can show"),
        (50, 30, 26, "the interval leaves 0 out"),
        (60, 48, 48, "little"),
        (400, 320, 318, "little"),
        (40, 20, 38, "rises from 50 % to 95 %"),
        (40, 38, 20, "falls from 95 % to 50 %"),
        (6, 6, 0, "falls from 100 % to 0 %"),
    ],
)
def test_an_ablation_is_told_as_far_as_its_pairs_can_show(
    name: str, count: int, before: int, after: int, verdict: str
) -> None:
    first, second = _of(count, before, after)
    found = paired_test(first, second)
    test = {**vars(found), "low": found.interval.low, "high": found.interval.high}
    words = sentences.ABLATIONS[name]
    told = sentences.ablation(name, before / count, after / count, test)
    assert told.startswith(words.start) and "as good" not in told and "1 pairs" not in told
    assert (words.little if verdict == "little" else verdict) in told
    meant = {part: getattr(words, part) in told for part in ("falls", "rises", "little")}
    assert meant == {
        "falls": "falls from" in verdict,
        "rises": "rises from" in verdict,
        "little": verdict == "little",
    }
    for part in ("difference", "95 % interval", "p "):
        assert part in told


@pytest.mark.parametrize(
    ("count", "right", "told"),
    [
        (1, 1, "cannot be told from chance, 50 %, as far as 1 pair can show"),
        (1, 0, "cannot be told from chance"),
        (5, 5, "cannot be told from chance, 50 %, as far as 5 pairs can show"),
        (40, 0, "below chance"),
        (40, 4, "below chance"),
        (40, 20, "cannot be told from chance"),
        (40, 24, "cannot be told from chance"),
        (40, 32, None),
        (6, 6, None),
        (60, 60, None),
    ],
)
def test_chance_is_told_by_an_exact_test(count: int, right: int, told: str | None) -> None:
    values = [1.0] * right + [0.0] * (count - right)
    said = sentences.against_chance({**estimate(right / count, values), "count": count})
    assert said is None if told is None else said is not None and told in said
    assert (sentences.of_few(count) is None) == (count >= 50)
    assert f"on {count} pair{'' if count == 1 else 's'} only" in (
        sentences.of_few(count) or f"on {count} pairs only"
    )


def test_without_facts_there_are_two_conditions() -> None:
    plain = [PreferencePair(**{**vars(pair), "captions": ()}) for pair in PAIRS]
    found = figures.report(answered(plain, lambda pair: 0.9))
    assert list(found["conditions"]) == ["image", "neither"]
    with pytest.raises(ValueError, match="nothing fair"):
        figures.report([])


def test_a_pair_that_does_not_fit_is_left_out_of_all_conditions() -> None:
    lines = {
        one.id: {"reward_1": 1.0, "reward_2": 0.0, "probability_1": 0.9}
        for one in conditions(PAIRS)
        if one.id != "other_facts/pair-3"
    }
    found = figures.report(scored(PAIRS, lines))
    assert found["pairs"] == len(PAIRS) - 1
    assert {one["count"] for one in found["conditions"].values()} == {len(PAIRS) - 1}
    lines["image/pair-5"]["probability_1"] = float("nan")  # As a model that diverged says.
    assert figures.report(scored(PAIRS, lines))["pairs"] == len(PAIRS) - 2
    alike = [PreferencePair(**{**vars(pair), "captions": ("Alike.",)}) for pair in PAIRS]
    shown = {one.id.split("/")[0] for one in conditions(alike)}
    assert "other_facts" not in shown  # There are none of another image.


@pytest.fixture
def reward_model() -> Checkpoint:
    project = make_project()
    run = Run.objects.create(
        project=project, kind="reward", base=make_base(), requested_by=make_admin(), name="reward"
    )
    return make_checkpoint(run, kind=Checkpoint.Kind.REWARD_MODEL, name="rm")


@pytest.mark.django_db
def test_the_page_says_what_it_looks_at_and_the_model_card_too(reward_model: Checkpoint) -> None:
    assert reward_model.run is not None
    address = reverse("benchmark:report-card", args=[reward_model.pk])
    client = Client()
    client.force_login(make_member(reward_model.run.project, "reviewer"))
    empty = client.get(address).content.decode()
    assert "No report card yet" in empty and "Make the report card" not in empty
    assert "holds no pair out" in empty
    assert "Report card" not in cards.model_card(reward_model)

    found = figures.report(answered(PAIRS, lambda pair: 0.9 if pair.captions else 0.4))
    stored: dict[str, Any] = json.loads(json.dumps(found))
    ReportCard.objects.create(checkpoint=reward_model, run=reward_model.run, figures=stored)
    page = client.get(address).content.decode()
    for words in ("Facts of another image", "it may not read", "Calibration", "By what decided"):
        assert words in page
    rows = [title for title, _, _ in client.get(address).context["conditions"]]
    assert rows == list(figures.CONDITIONS.values())
    card = cards.model_card(reward_model)
    assert "Report card, 24 held-out pairs" in card
    assert "Held-out accuracy, neither | 0.0 %" in card
    assert client.post(address).status_code == 403
    stranger = Client()
    stranger.force_login(make_member(make_project(), "reviewer"))
    assert stranger.get(address).status_code == 404


def held_out_release(project: Project) -> Release:
    """As if it held pairs out."""
    return Release.objects.create(
        project=project,
        number=1,
        state="ready",
        counts={"held_out": 2},
        sha256="0" * 64,
        artefact="releases/none.zip",
    )


@pytest.mark.django_db
def test_a_report_is_asked_for_over_rest(reward_model: Checkpoint) -> None:
    assert reward_model.run is not None
    project = reward_model.run.project
    address = reverse("benchmark-api:report-card", args=[reward_model.pk])
    release = held_out_release(project)
    Run.objects.filter(pk=reward_model.run.pk).update(release=release, preset="small-world")
    for role, status in (("reviewer", 403), ("manager", 201)):
        headers = {"Authorization": f"Bearer {make_token(make_member(project, role), 'train')}"}
        told = Client().post(address, headers=headers)
        assert told.status_code == status
    run = Run.objects.get(pk=told.json()["run"])
    assert (run.kind, run.reward_model, run.release) == ("report_card", reward_model, release)


@pytest.mark.django_db
def test_a_reward_run_is_followed_by_its_report(reward_model: Checkpoint, settings: Any) -> None:
    run = reward_model.run
    assert run is not None
    settings.REPORT_CARDS = True
    report_on(run)
    assert not Run.objects.filter(kind="report_card").exists()  # Nothing is held out.
    run.release, run.preset = held_out_release(run.project), "small-world"
    run.save()
    Checkpoint.objects.filter(pk=reward_model.pk).update(final=True)
    for _ in range(2):
        kinds.followed(run)  # What execution calls when a run has succeeded.
        settings.REPORT_CARDS = False
    report = Run.objects.get(kind="report_card")
    shown = lineage.outcomes_of(report, report.requested_by)
    assert [one.title for one in shown] == ["Report card"]  # nothing of the base it stands on
    assert (report.reward_model, report.release) == (reward_model, run.release)
    assert (report.base, report.requested_by) == (run.base, run.requested_by)


@pytest.mark.django_db
def test_what_the_run_writes_and_takes_in(
    reward_model: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("data", "images", "final"):
        (tmp_path / name).mkdir()
    held_out = "\n".join(json.dumps(pair.to_json()) for pair in PAIRS)
    monkeypatch.setattr(
        kind.exporting,
        "write_training_data",
        lambda release, folder: (folder / "data/held_out.jsonl").write_text(held_out),
    )
    run = reward_model.run
    assert run is not None
    run.reward_model, run.release_id = reward_model, 1
    monkeypatch.setattr(type(run), "release", object())
    card = kind.ReportCardKind()
    card.write_data(run, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "data/train.jsonl").read_text().splitlines()]
    assert len(lines) == 5 * len(PAIRS)
    assert (tmp_path / "images" / BLANK).read_bytes().startswith(b"\x89PNG")
    scores = [
        {"id": line["id"], "reward_1": 1.0, "reward_2": 0.0, "probability_1": 0.7} for line in lines
    ]
    (tmp_path / "final/scores.jsonl").write_text("\n".join(map(json.dumps, scores)))
    card.finish(run, None, tmp_path)  # type: ignore[arg-type]
    assert ReportCard.objects.get(checkpoint=reward_model).figures["pairs"] == 24
    run.settings = {"keep_best": True}  # The reward model's own run, here.
    card.finish(run, None, tmp_path)  # type: ignore[arg-type]
    found = ReportCard.objects.get(checkpoint=reward_model).figures
    assert (found["pairs"], found["left_aside"], found["flattered"]) == (8, 16, False)
    assert "16 other held-out pairs, on which the step" in " ".join(figures.findings(found))


def of_images(*counts: int) -> list[PreferencePair]:
    """So many pairs of each of several images."""
    names = [f"{n}.png" for n, count in enumerate(counts) for _ in range(count)]
    return [replace(PAIRS[0], id=f"pair-{n}", image=name) for n, name in enumerate(names)]


@pytest.mark.parametrize(
    ("counts", "chose", "aside"),
    [((6, 6, 6, 6), False, 0), ((6, 6, 6, 6), True, 12), ((3, 3), True, 0), ((30,), True, 0)],
)
def test_a_report_is_of_pairs_that_did_not_choose_the_step(
    counts: tuple[int, ...], chose: bool, aside: int
) -> None:
    held_out = of_images(*counts)
    lines: dict[str, Any] = {one.id: {} for one in conditions(held_out)}
    pairs, left = kind.fair(held_out, lines, chose=chose)
    assert (len(pairs), left) == (len(held_out) - aside, aside)
    chosen_on, _ = divide_held_out([pair.image for pair in held_out])
    if aside:
        assert not {pair.id for pair in pairs} & {held_out[number].id for number in chosen_on}


def test_what_is_too_long_is_divided_nowhere() -> None:
    """Training leaves it out before it divides, so that other images may choose."""
    held_out = of_images(*[2] * 20)
    short = [pair for pair in held_out if pair.image != "7.png"]
    lines: dict[str, Any] = {one.id: {} for one in conditions(short)}
    pairs, _ = kind.fair(held_out, lines, chose=True)
    _, reporting = divide_held_out([pair.image for pair in short])
    fair = {short[number].id for number in reporting}
    assert {pair.id for pair in pairs if pair.image != "7.png"} == fair


def test_of_very_many_pairs_those_that_chose_nothing_are_scored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kind, "MOST_PAIRS", 10)
    held_out = of_images(*[2] * 20)
    pairs = kind.asked(held_out, chose=True)
    assert len(pairs) == 10
    lines: dict[str, Any] = {one.id: {} for one in conditions(pairs)}
    assert kind.fair(held_out, lines, chose=True)[0] == pairs

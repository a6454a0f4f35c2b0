"""The study small, with the real engine; its statistics and its page by hand."""

import json
import math
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from benchmark.protocols.small_world import Scene, Thing
from demo.annotators import Answer
from demo.console import Console
from demo.plots import Key, Panel, Series, figure, ticks
from demo.study import OtherPlan, run_study
from demo.study_page import BEGIN, END, NoSuchSection, write
from demo.study_report import (
    Estimate,
    along,
    claim_measures,
    difference,
    measure,
    relative_drop,
    told_apart,
)
from demo.study_seed import ARMS, Plan, preference_record
from demo.world import prompts
from training.rlhf.contract import Generation

TWO_STEPS = Plan(
    prompts=40,
    held_out_share=0.25,
    rounds=2,
    measure_every=1,
    measured_scenes=5,
    changes={
        "reward": {"max_steps": 2, "batch_size": 4},
        "ppo": {"rollout_batch_size": 8, "batch_size": 8, "update_epochs": 1},
        "dpo": {"max_steps": 2, "batch_size": 4},
    },
)


@pytest.mark.chain
def test_study_measures_every_arm_along_training_and_never_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    output = tmp_path / "study"
    (found,) = run_study(output, [3], TWO_STEPS, Console())

    assert found["arms"].keys() == {arm.name for arm in ARMS}
    assert [row["step"] for row in found["arms"]["fact_rlhf"]] == [0, 1, 2]
    assert found["pairs"]["held_out"] == pytest.approx(found["pairs"]["train"] / 3, abs=1)
    for model in ("plain", "fact"):
        assert 0 <= found["reward_models"][model]["true_accuracy"] <= 1
    for rows in found["arms"].values():
        for name in ("hallucinating", "coverage"):
            assert rows[0][name] == found["arms"]["fact_rlhf"][0][name]  # all begin with the base
            assert all(0 <= row[name] <= 1 for row in rows)
    plain, fact = found["arms"]["rlhf"], found["arms"]["fact_rlhf"]
    assert plain[0]["kl"] == 0 and plain[2]["kl"] != 0
    assert plain[0]["reward"] != fact[0]["reward"]  # each policy is scored by its own model
    with_facts = json.loads((output / "seed-3/reward-fact/spec.json").read_text())
    assert with_facts["settings"]["with_facts"] is True

    # What is there is not made again, and what is missing is: the same random numbers.
    untouched = (output / "seed-3/fact_rlhf/events.jsonl").stat().st_mtime_ns
    (output / "seed-3/measured.json").unlink()
    (output / "seed-3/answers/rlhf-002/final").rename(tmp_path / "removed")
    assert run_study(output, [3], TWO_STEPS, Console()) == [found]
    assert (output / "seed-3/fact_rlhf/events.jsonl").stat().st_mtime_ns == untouched

    with pytest.raises(OtherPlan):
        run_study(output, [3], Plan(noise=0.2), Console())


@pytest.mark.parametrize(
    ("answer", "preference", "hallucination"),
    [
        (Answer("a"), 2, True),
        (Answer("b"), 1, True),
        (Answer("tie", "a"), 1, False),
        (Answer("tie", "b"), 2, False),
    ],
)
def test_preference_is_the_answer_that_hallucinates_less_or_helps_more(
    answer: Answer, preference: int, hallucination: bool
) -> None:
    record = preference_record(prompts(1, seed=0)[0], "one", "two", answer)
    assert record is not None
    assert (record.preference, record.hallucination) == (preference, hallucination)


def test_preference_of_two_ties_is_none() -> None:
    assert preference_record(prompts(1, seed=0)[0], "one", "two", Answer("tie", "tie")) is None


def test_measure_counts_what_the_oracle_says() -> None:
    asked = prompts(2, seed=0, held_out=True)
    answers = [" and ".join(map(str, asked[0].scene.things)) + ".", "nothing"]
    generations = [
        Generation(id=prompt.record.id, responses=(text,), finished=(text != "nothing",))
        for prompt, text in zip(asked, answers, strict=True)
    ]
    found = measure(generations, asked)
    assert (found["hallucinating"], found["coverage"], found["finished"]) == (0.5, 0.5, 0.5)
    with pytest.raises(ValueError, match="one to one"):
        measure(generations[::-1], asked)


def test_claims_are_sorted_into_invented_and_mistaken() -> None:
    scene = Scene((Thing("top", "red", "circle"), Thing("left", "blue", "square")), "light")
    texts = ["top red circle and left blue circle.", "center red circle and top red circle.", "?"]
    found = claim_measures(texts, [scene] * 3)
    assert (found["invented"], found["mistaken"]) == (0.25, 0.25)
    # Claims are 3/4 red circles and 1/4 blue circles, scenes half red circles, half blue squares.
    assert found["skew"] == pytest.approx((0.25 + 0.25 + 0.5) / 2)
    assert claim_measures(["?"], [scene]) == {"invented": 0, "mistaken": 0, "skew": 0}


def test_told_apart_counts_pairs_of_honest_and_false() -> None:
    assert told_apart([3, 1, 2, 0], [False, False, True, True]) == 0.75
    assert told_apart([1, 1], [False, True]) == 0.5
    assert told_apart([1, 2], [True, True]) == 0.5


def test_estimate_is_students_interval() -> None:
    # 1, 2, 3: mean 2, sd 1, t(2) = 4.303, half width 4.303 / sqrt(3) = 2.484
    found = Estimate.of([1, 2, 3])
    assert (found.mean, found.low, found.high) == pytest.approx((2, -0.484, 4.484), abs=1e-3)
    # t(10) = 2.228: beyond the table
    eleven = Estimate.of(list(range(11)))
    assert eleven.high - 5 == pytest.approx(2.228, abs=1e-3)
    assert math.isnan(Estimate.of([1]).low)
    with pytest.raises(ValueError, match="no seed"):
        Estimate.of([])


def test_differences_are_taken_within_a_seed() -> None:
    before, after = Estimate.of([0.8, 0.4]), Estimate.of([0.4, 0.1])
    assert difference(before, after).each == pytest.approx((-0.4, -0.3))
    assert relative_drop(before, after).each == pytest.approx((0.5, 0.75))


def _seed(shift: float) -> dict[str, Any]:
    def rows(final: float) -> list[dict[str, float]]:
        shares = {0: 0.6, 24: 0.3 + shift, 72: final + shift}
        return [
            {
                "step": step,
                "hallucinating": share,
                "coverage": 1 - share,
                "words": 8 - 5 * share,
                "reward": step / 24,
                "kl": step / 36,
                "told_apart": 0.8,
                "invented": share / 2,
                "mistaken": share / 4,
                "skew": 0.1,
            }
            for step, share in shares.items()
        ]

    accuracy = {"accuracy": 0.7 + shift, "true_accuracy": 0.8, "length_correlation": -0.5}
    return {
        "arms": {
            "rlhf": rows(0.5),
            "fact_rlhf": rows(0.1),
            # As many steps as there are pairs, which are not the same of each seed.
            "dpo": [rows(0.1)[0], {**rows(0.3)[2], "step": 48 if shift else 47}],
        },
        "reward_models": {"plain": accuracy, "fact": accuracy},
    }


def test_along_keeps_the_steps_that_all_seeds_reached() -> None:
    short = _seed(0.0)
    short["arms"]["rlhf"].pop()
    assert list(along([_seed(0.1), short], "rlhf", "kl")) == [0, 24]


def test_page_gets_its_section_and_keeps_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{BEGIN}\nstale figures\n{END}\n\nafter\n")
    for _ in range(2):  # written again, it is the same
        write(page, [_seed(0.0), _seed(0.02)])
        text = page.read_text()
        assert text.startswith("before\n") and text.endswith(f"{END}\n\nafter\n")
        assert "stale" not in text
    assert "| DPO |  | 31.0 % (" in text
    assert "| Fact-RLHF minus RLHF | 24 | +0.00 (+0.00 to +0.00) | -40.0 (" in text
    fall = [1 - 0.1 / 0.6, 1 - 0.12 / 0.6]
    assert "| Fact-RLHF | 72 | 11.0 % (-1.7 to 23.7) | 89.0 % (76.3 to 101.7) | 7.5" in text
    assert f"{100 * sum(fall) / 2:.1f} %" in text
    assert "| RLHF, no facts | 24 | +2.00 (+2.00 to +2.00) | +20.0 (+20.0 to +20.0) |" in text
    for name in ("training", "seeds"):
        drawing = ElementTree.parse(tmp_path / "images" / f"study-{name}.svg")
        assert f"images/study-{name}.svg" in text
        assert drawing.getroot().get("aria-label")

    page.write_text("no section")
    with pytest.raises(NoSuchSection):
        write(page, [_seed(0.0)])


def test_page_of_one_seed_claims_no_interval(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}{END}")
    write(page, [_seed(0.0)])
    assert "nan" not in page.read_text()
    assert "nan" not in (tmp_path / "images" / "study-training.svg").read_text()


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 72, [0, 20, 40, 60, 80]),
        (0, 0.8, [0, 0.2, 0.4, 0.6, 0.8]),
        (-0.3, 1.1, [-0.5, 0, 0.5, 1, 1.5]),
        (2, 2, [2, 2.5]),
    ],
)
def test_ticks_are_round_and_enclose(low: float, high: float, expected: list[float]) -> None:
    found = ticks(low, high)
    assert found[0] <= low and found[-1] >= high
    assert found == expected


def test_figure_places_values_on_its_axes() -> None:
    panel = Panel("A & B", "round", [Series([0, 10], [0, 1], 0)], limits=(0, 1))
    drawing = figure([panel], [Key("<one>", 0)], columns=1, label="both")
    assert "A &amp; B" in drawing and "&lt;one&gt;" in drawing
    line = next(
        element.get("d")
        for element in ElementTree.fromstring(drawing).iter()
        if element.get("class") == "line c0" and "L" in (element.get("d") or "")
    )
    assert line == "M46.0 172.0L286.0 34.0"  # from the lower left corner to the upper right one

"""The study small, with the real engine; its statistics and its page by hand."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from demo.annotators import Answer
from demo.console import Console
from demo.plots import Key, Panel, Series, figure, ticks
from demo.study import OtherPlan, run_study
from demo.study_arms import ARMS, REWARD_MODELS, Arm
from demo.study_page import BEGIN, END, NoSuchSection, write
from demo.study_records import preference_record
from demo.study_report import along, differences, ends, measure, told_apart
from demo.study_seed import Plan, Seed
from demo.world import asked, prompts
from training.rlhf.contract import Kind

THESE = {"base": "the weights", "plan": {"rounds": 2}}
TWO_STEPS = Plan(
    prompts=40,
    held_out_share=0.25,
    rounds=2,
    measure_every=1,
    questions_per_type=1,
    changes={
        "reward": {"max_steps": 2, "batch_size": 4},
        "ppo": {"rollout_batch_size": 8, "batch_size": 8, "update_epochs": 1},
        "dpo": {"max_steps": 2, "batch_size": 4},
        "sft": {"max_steps": 2, "batch_size": 4},
    },
)


@pytest.mark.chain
def test_study_measures_arms_along_training_and_never_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    output = tmp_path / "study"
    some = ["fact_rlhf", "rlhf", "dpo"]
    (found,) = run_study(output, [3], TWO_STEPS, Console(), names=some)

    assert found["arms"].keys() == set(some)
    assert [row["step"] for row in found["arms"]["fact_rlhf"]] == [0, 1, 2]
    assert found["pairs"]["held_out"] == pytest.approx(found["pairs"]["train"] / 3, abs=1)
    for model in ("plain", "fact"):
        assert 0 <= found["reward_models"][model]["true_accuracy"] <= 1
    for rows in found["arms"].values():
        for name in ("score", "hallucinating", "coverage"):
            assert rows[0][name] == found["arms"]["fact_rlhf"][0][name]  # all begin with the base
        assert all(0 <= row["score"] <= 6 for row in rows)
    plain, fact = found["arms"]["rlhf"], found["arms"]["fact_rlhf"]
    assert plain[0]["kl"] == 0 and plain[2]["kl"] != 0
    assert plain[0]["reward"] != fact[0]["reward"]  # each policy is scored by its own model
    with_facts = json.loads((output / "seed-3/reward-fact/spec.json").read_text())
    assert with_facts["settings"]["with_facts"] is True

    # What is there is not made again, what is missing is, and more arms may come later.
    untouched = (output / "seed-3/fact_rlhf/events.jsonl").stat().st_mtime_ns
    (output / "seed-3/measured/rlhf.json").unlink()
    (output / "seed-3/answers/rlhf-002/final").rename(tmp_path / "removed")
    more = [*some, "corrections", "best_fact"]  # another kind of training, and a control
    (again,) = run_study(output, [3], TWO_STEPS, Console(), names=more)
    assert {name: again["arms"][name] for name in some} == found["arms"]
    assert again["arms"].keys() == set(more)
    assert (output / "seed-3/fact_rlhf/events.jsonl").stat().st_mtime_ns == untouched

    with pytest.raises(OtherPlan):
        run_study(output, [3], Plan(noise=0.2), Console())


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_every_arm_is_training_that_the_engine_knows(arm: Arm, tmp_path: Path) -> None:
    spec = Seed(tmp_path, 0, TWO_STEPS, Console()).spec_of(arm)
    assert spec.kind is arm.kind
    settings = spec.to_json()["settings"]
    assert {name: settings[name] for name in arm.changes} == arm.changes
    assert (arm.judged_by in REWARD_MODELS) is (arm.kind is Kind.PPO)


def test_no_two_arms_are_the_same_training(tmp_path: Path) -> None:
    seed = Seed(tmp_path, 0, TWO_STEPS, Console())
    asked = [(arm.judged_by, json.dumps(seed.spec_of(arm).to_json())) for arm in ARMS]
    assert len(set(asked)) == len(ARMS)


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


def test_measure_counts_what_the_judge_says() -> None:
    questions = asked(1, seed=0)
    texts = [question.question.answer for question in questions]
    assert measure(texts, questions) == {"score": 6, "hallucinating": 0, "coverage": 1}
    texts = ["?" if q.question.type == "holistic" else q.question.answer for q in questions]
    assert measure(texts, questions) == {"score": 5.25, "hallucinating": 0.125, "coverage": 0}


def test_told_apart_counts_pairs_of_honest_and_false() -> None:
    assert told_apart([3, 1, 2, 0], [False, False, True, True]) == 0.75
    assert told_apart([1, 1], [False, True]) == 0.5
    assert told_apart([1, 2], [True, True]) == 0.5


def _seed(number: int, shift: float) -> dict[str, Any]:
    def rows(final: float) -> list[dict[str, float]]:
        scores = {0: 2.0, 24: 2.5 + shift, 72: final + shift}
        return [
            {
                "step": step,
                "score": score,
                "hallucinating": 1 - score / 6,
                "coverage": 0.8,
                "reward": step / 24,
                "told_apart": 0.8,
                "kl": step / 36,
            }
            for step, score in scores.items()
        ]

    accuracy = {"accuracy": 0.7 + shift, "true_accuracy": 0.8, "by_kind": {}}
    return {
        "seed": number,
        "arms": {"rlhf": rows(2.2), "fact_rlhf": rows(4.0), "dpo": [rows(0)[0], rows(3.0)[2]]},
        "reward_models": {"plain": accuracy, "fact": accuracy},
    }


def test_along_keeps_the_steps_that_all_seeds_reached() -> None:
    short = _seed(0, 0.0)
    short["arms"]["rlhf"].pop()
    assert list(along([_seed(1, 0.1), short], "rlhf", "kl")) == [0, 24]
    assert along([short], "best_fact", "score") == {}


def test_the_base_is_what_training_began_with_and_no_control() -> None:
    seed = _seed(0, 0.0)
    seed["arms"] = {"base_cool": [{"step": 0, "score": 3.1}], **seed["arms"]}
    assert ends([seed], "base", "score") == {0: 2.0}
    assert (
        ends([{"seed": 1, "arms": {"base_cool": seed["arms"]["base_cool"]}}], "base", "score") == {}
    )


def test_differences_are_taken_within_the_seeds_that_have_both() -> None:
    one, two, three = _seed(0, 0.0), _seed(1, 0.1), _seed(2, 0.2)
    del two["arms"]["rlhf"]
    assert ends([one, two, three], "rlhf", "score") == pytest.approx({0: 2.2, 2: 2.4})
    found = differences([one, two, three], "rlhf", "fact_rlhf", "score")
    assert found is not None and found.each == pytest.approx((1.8, 1.8))
    against_base = differences([one, two, three], "base", "fact_rlhf", "score")
    assert against_base is not None and against_base.each == pytest.approx((2.0, 2.1, 2.2))
    assert differences([one], "best_fact", "fact_rlhf", "score") is None


def test_page_gets_its_section_and_keeps_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n\n{BEGIN}\nstale figures\n{END}\n\nafter\n")
    for _ in range(2):  # written again, it is the same
        write(page, [_seed(0, 0.0), _seed(1, 0.02)], THESE)
        text = page.read_text()
        assert text.startswith("before\n") and text.endswith(f"{END}\n\nafter\n")
        assert "stale" not in text
    assert "| base | 2 | 2.00 (2.00 to 2.00) |" in text
    assert "| DPO | 2 | 3.01 (2.88 to 3.14) |" in text
    assert "| PPO, facts and symbolic rewards (Fact-RLHF) against base | +2.01 (" in text
    assert "GRPO" not in text  # what was not made is not in the tables
    drawing = ElementTree.parse(tmp_path / "images" / "study-training.svg")
    assert "images/study-training.svg" in text
    assert drawing.getroot().get("aria-label")
    measured = json.loads((tmp_path / "page.json").read_text())
    assert measured == {"made_from": THESE, "seeds": [_seed(0, 0.0), _seed(1, 0.02)]}
    assert "[page.json](page.json)" in text

    page.write_text("no section")
    with pytest.raises(NoSuchSection):
        write(page, [_seed(0, 0.0)], THESE)


def test_page_keeps_seeds_that_were_made_from_the_same(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}{END}")
    write(page, [_seed(0, 0.0), _seed(1, 0.02)], THESE)
    assert write(page, [_seed(2, 0.0), _seed(1, 0.1)], THESE) == [
        _seed(0, 0.0),
        _seed(1, 0.1),
        _seed(2, 0.0),
    ]
    assert "| base | 3 |" in page.read_text()
    assert write(page, [_seed(3, 0.0)], {"base": "another"}) == [_seed(3, 0.0)]


def test_page_of_one_seed_claims_no_interval(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}{END}")
    write(page, [_seed(0, 0.0)], THESE)
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

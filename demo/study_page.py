"""The study as a section of a page: tables and plots of what seeds have in common.

The section stands between two marks, so that what people wrote around it stays. It states
figures; what they mean is for the page to say. Beside the page lies what was measured of each
seed, as JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import durable
from demo.plots import Key, Panel, Series, figure
from demo.study_arms import ARMS, NAMES, TITLES
from demo.study_report import Seeds, along, differences, ends
from training.figures.seeds import Estimate

BEGIN = "<!-- study: begin, written by python -m demo.study --page -->"
END = "<!-- study: end -->"
COLORS = {"fact_rlhf": 0, "rlhf": 1, "neither": 2}
"""Arms that are drawn along training."""
BASE_COLOR = 3

Write = Callable[[Estimate], str]


class NoSuchSection(ValueError):
    """A page without the two marks."""


def write(page: Path, seeds: Seeds, made_from: Mapping[str, Any]) -> Seeds:
    """Replaces the section of ``page``, its plots in ``images/`` and the JSON, both beside it.

    Seeds that stand there already and were ``made_from`` the same are kept; returns all of them.
    Raises NoSuchSection.
    """
    text = page.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise NoSuchSection(f"{page} has no line {BEGIN} and {END}")
    figures = page.with_suffix(".json")
    seeds = _with_earlier(figures, seeds, made_from)
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    images = page.parent / "images"
    images.mkdir(exist_ok=True)
    for name, drawing in drawings(seeds).items():
        durable.write(images / f"study-{name}.svg", drawing)
    measured = {"made_from": made_from, "seeds": seeds}
    durable.write(figures, json.dumps(measured, indent=1) + "\n")
    source = f"Everything that was measured, seed by seed: [{figures.name}]({figures.name})."
    section = "\n\n".join([*sections(seeds), source])
    durable.write(page, f"{before}{BEGIN}\n\n{section}\n\n{END}{after}")
    return seeds


def _with_earlier(path: Path, seeds: Seeds, made_from: Mapping[str, Any]) -> Seeds:
    earlier = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if earlier.get("made_from") != made_from:
        return seeds
    by_number = {one["seed"]: one for one in (*earlier["seeds"], *seeds)}
    return [by_number[number] for number in sorted(by_number)]


def sections(seeds: Seeds) -> list[str]:
    """The section's blocks: reward models, where each arm ended, differences, the plot."""
    return [
        "Means over seeds, n of them each, with 95 % intervals (Student's t) from two seeds on. "
        "Answers are the most likely ones unless a temperature is named.",
        _reward_models(seeds),
        _outcomes(seeds),
        "Differences in the score, seed by seed:",
        _differences(seeds),
        "Along training: the reward model's score of the policy's answers beside the oracle's.",
        _rounds(seeds),
        "![Score, hallucinating answers, coverage, reward, discernment of the reward model and KL "
        "along training](images/study-training.svg)",
    ]


def _reward_models(seeds: Seeds) -> str:
    rows = [
        (
            title,
            str(len(seeds)),
            *(
                _percent(Estimate.of([seed["reward_models"][model][name] for seed in seeds]))
                for name in ("accuracy", "true_accuracy")
            ),
        )
        for model, title in (("plain", "without facts"), ("fact", "with facts"))
    ]
    return _table(
        ["reward model", "n", "agrees with held-out votes", "agrees with the truth"], rows
    )


def _outcomes(seeds: Seeds) -> str:
    rows = []
    for arm in ("base", *NAMES):
        found = [ends(seeds, arm, name) for name, _ in _MEASURES]
        if found[0]:
            cells = (
                write(Estimate.of(list(by_seed.values())))
                for by_seed, (_, write) in zip(found, _MEASURES, strict=True)
            )
            rows.append((TITLES[arm], str(len(found[0])), *cells))
    return _table(["model", "n", "score, 0 to 6", "hallucinating", "coverage"], rows)


def _differences(seeds: Seeds) -> str:
    pairs = [("base", arm) for arm in NAMES]
    pairs += [(arm, "fact_rlhf") for arm in NAMES if arm != "fact_rlhf"]
    rows = []
    for one, two in pairs:
        found = differences(seeds, one, two, "score")
        if found is not None:
            each = ", ".join(f"{value:+.2f}" for value in found.each)
            rows.append((f"{TITLES[two]} against {TITLES[one]}", _signed(found), each))
    return _table(["pair", "difference", "each seed"], rows)


def _rounds(seeds: Seeds) -> str:
    rows = []
    for arm in (arm.name for arm in ARMS if arm.judged_by):
        by_name = {name: along(seeds, arm, name) for name, _ in _ALONG}
        for step in by_name["score"]:
            cells = (write(by_name[name][step]) for name, write in _ALONG)
            count = len(by_name["score"][step].each)
            rows.append((TITLES[arm], str(step), str(count), *cells))
    head = ["model", "round", "n", "score", "hallucinating", "coverage", "reward", "told apart"]
    return _table(head, rows)


# ---- plots -------------------------------------------------------------------------------------


def drawings(seeds: Seeds) -> dict[str, str]:
    """SVG by name: ``training``, means along PPO of the arms that are there."""
    drawn = [arm for arm in COLORS if along(seeds, arm, "score")]
    keys = [Key("base", BASE_COLOR, dashed=True)]
    keys += [Key(TITLES[arm].rsplit("(")[-1].rstrip(")"), COLORS[arm]) for arm in drawn]
    panels = [
        _means(seeds, drawn, "Score of the eight types", "score"),
        _means(seeds, drawn, "Reward of the model in use", "reward"),
        _means(seeds, drawn, "Hallucinating answers", "hallucinating", percent=True),
        _means(seeds, drawn, "Coverage of descriptions", "coverage", percent=True),
        _means(seeds, drawn, "Honest and false told apart", "told_apart", percent=True),
        _means(seeds, drawn, "KL from the base, nats per answer", "kl"),
    ]
    label = "Measures along PPO with and without facts"
    return {"training": figure(panels, keys, columns=2, label=label)}


def _means(
    seeds: Seeds, arms: Sequence[str], title: str, name: str, *, percent: bool = False
) -> Panel:
    series = []
    for arm in arms:
        found = along(seeds, arm, name)
        estimates = list(found.values())
        sure = not any(math.isnan(estimate.low) for estimate in estimates)
        series.append(
            Series(
                list(found),
                [e.mean for e in estimates],
                COLORS[arm],
                low=[e.low for e in estimates] if sure else (),
                high=[e.high for e in estimates] if sure else (),
            )
        )
    base = ends(seeds, "base", name) if name in dict(_MEASURES) else {}
    if base and series:
        level = Estimate.of(list(base.values())).mean
        steps = (series[0].x[0], series[0].x[-1])
        series.insert(0, Series(steps, (level, level), BASE_COLOR, dashed=True))
    limits = (0.0, 1.0) if percent else None
    return Panel(title, "round of PPO", series, limits, percent)


# ---- words -------------------------------------------------------------------------------------


def _percent(estimate: Estimate) -> str:
    # Student's t knows nothing of the ends of a share.
    return _with_interval(estimate, lambda value: f"{100 * min(max(value, 0), 1):.1f}", unit=" %")


def _signed(estimate: Estimate) -> str:
    return _with_interval(estimate, lambda value: f"{value:+.2f}", unit="")


def _plain(estimate: Estimate) -> str:
    return _with_interval(estimate, lambda value: f"{value:.2f}", unit="")


def _with_interval(estimate: Estimate, write: Callable[[float], str], *, unit: str) -> str:
    if math.isnan(estimate.low):
        return write(estimate.mean) + unit
    return f"{write(estimate.mean)}{unit} ({write(estimate.low)} to {write(estimate.high)})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


_MEASURES: tuple[tuple[str, Write], ...] = (
    ("score", _plain),
    ("hallucinating", _percent),
    ("coverage", _percent),
)
_ALONG: tuple[tuple[str, Write], ...] = (*_MEASURES, ("reward", _signed), ("told_apart", _percent))

"""The study as a section of a page: tables and plots of what seeds have in common.

The section stands between two marks, so that what people wrote around it stays. It states
figures; what they mean is for the page to say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from demo.plots import Key, Panel, Series, figure
from demo.study_report import Estimate, along, at_end, difference, relative_drop

BEGIN = "<!-- study: begin, written by python -m demo.study --page -->"
END = "<!-- study: end -->"
TITLES = {"rlhf": "RLHF, no facts", "fact_rlhf": "Fact-RLHF", "dpo": "DPO"}
COLORS = {"fact_rlhf": 0, "rlhf": 1, "dpo": 2}
BASE_COLOR = 3
ON_POLICY = ("rlhf", "fact_rlhf")
"""Arms that are trained in rounds of PPO against a reward model."""
PRESET_ROUNDS = 24
"""Of PPO in the preset "small-world": what an admin gets who does not ask for more."""
EARLY = (6, 12, 24)
"""Rounds that the end of PPO is compared with."""

Seeds = Sequence[Mapping[str, Any]]
Write = Callable[[Estimate], str]


class NoSuchSection(ValueError):
    """A page without the two marks."""


def write(page: Path, seeds: Seeds) -> None:
    """Replaces the section of ``page`` and its plots in ``images/`` beside it.

    Raises NoSuchSection.
    """
    text = page.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise NoSuchSection(f"{page} has no line {BEGIN} and {END}")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    images = page.parent / "images"
    images.mkdir(exist_ok=True)
    for name, drawing in drawings(seeds).items():
        (images / f"study-{name}.svg").write_text(drawing, encoding="utf-8")
    section = "\n\n".join(sections(seeds))
    page.write_text(f"{before}{BEGIN}\n\n{section}\n\n{END}{after}", encoding="utf-8")


def sections(seeds: Seeds) -> list[str]:
    """The section's blocks: reward models, outcomes, plots, differences, what more rounds did."""
    rounds = list(along(seeds, "fact_rlhf", "hallucinating"))
    return [
        f"Means of {len(seeds)} seeds, with 95 % intervals (Student's t over seeds)."
        if len(seeds) > 1
        else "One seed, so there are no intervals.",
        _reward_models(seeds),
        "Answers to held-out scenes, and by what share of itself hallucination fell:",
        _outcomes(seeds, rounds[1:]),
        "![Hallucinating answers, coverage, reward, length, KL and discernment of the reward "
        "model along training](images/study-training.svg)",
        '"Told apart" is how often the reward model in use gives an honest answer of its own '
        "policy more than a hallucinating one; a coin gets 50 %.",
        f"What the rounds from 6, 12 or 24 to {rounds[-1]} changed, reward in its own unit and "
        "the rest in percentage points:",
        _changes(seeds, rounds),
        "What the claims of the answers are: right, about an empty place (invented), about a "
        "place that holds something else (mistaken). Skew is how far the kinds of objects that "
        "are named (red circle, ...) are from those that are shown: 0 % for the same "
        "frequencies, 100 % for no kind in common.",
        _claims(seeds),
        "Differences at the end of training, seed by seed, in percentage points:",
        _differences(seeds),
        "![Hallucinating answers and coverage of each seed](images/study-seeds.svg)",
    ]


def _reward_models(seeds: Seeds) -> str:
    def of(model: str, name: str) -> Estimate:
        return Estimate.of([seed["reward_models"][model][name] for seed in seeds])

    rows = [
        (title, *(write(of(model, name)) for name, write in _REWARD_FIGURES))
        for model, title in (("plain", "without facts"), ("fact", "with facts"))
    ]
    gaps = (
        _points(difference(of("plain", name), of("fact", name)))
        for name in ("accuracy", "true_accuracy")
    )
    return _table(
        ["reward model", "agrees with held-out votes", "agrees with the truth", "reward ~ length"],
        [*rows, ("difference", *gaps, "")],
    )


def _outcomes(seeds: Seeds, rounds: Sequence[int]) -> str:
    rows = [("base", "", *_outcome(seeds, "fact_rlhf", 0))]
    for arm in _arms(seeds):
        if arm not in ON_POLICY:
            rows.append((TITLES[arm], "", *_outcome(seeds, arm, None)))
            continue
        for step in sorted({rounds[0], PRESET_ROUNDS, rounds[-1]}.intersection(rounds)):
            rows.append((TITLES[arm], str(step), *_outcome(seeds, arm, step)))
    head = ["model", "round", "hallucinating answers", "coverage", "words", "fall"]
    return _table(head, rows)


def _outcome(seeds: Seeds, arm: str, step: int | None) -> tuple[str, ...]:
    """``step`` None: where training ended."""

    def of(name: str) -> Estimate:
        return at_end(seeds, arm, name) if step is None else along(seeds, arm, name)[step]

    wrong = of("hallucinating")
    fall = relative_drop(along(seeds, arm, "hallucinating")[0], wrong)
    return (
        _percent(wrong),
        _percent(of("coverage")),
        _number(of("words")),
        "" if step == 0 else _percent(fall),
    )


def _changes(seeds: Seeds, rounds: Sequence[int]) -> str:
    def change(arm: str, name: str, early: int) -> Estimate:
        found = along(seeds, arm, name)
        return difference(found[early], found[rounds[-1]])

    rows = []
    for early in (early for early in EARLY if early in rounds[:-1]):
        plain, fact = (
            [change(arm, name, early) for name, _ in _CHANGES] for arm in ("rlhf", "fact_rlhf")
        )
        between = [difference(one, two) for one, two in zip(plain, fact, strict=True)]
        for title, changes in (
            (TITLES["rlhf"], plain),
            (TITLES["fact_rlhf"], fact),
            ("Fact-RLHF minus RLHF", between),
        ):
            cells = (put(found) for found, (_, put) in zip(changes, _CHANGES, strict=True))
            rows.append((title, str(early), *cells))
    head = ["model", "from round", "reward", "hallucinating answers", "coverage", "told apart"]
    return _table(head, rows)


def _claims(seeds: Seeds) -> str:
    names = ("invented", "mistaken", "skew")
    base = (_percent(along(seeds, "rlhf", name)[0]) for name in names)
    ends = (
        (TITLES[arm], *(_percent(at_end(seeds, arm, name)) for name in names))
        for arm in _arms(seeds)
    )
    return _table(["model", *names], [("base", *base), *ends])


def _differences(seeds: Seeds) -> str:
    arms = _arms(seeds)
    pairs = [("base", arm) for arm in arms]
    pairs += [(arm, "fact_rlhf") for arm in arms if arm != "fact_rlhf"]
    rows = []
    for one, two in pairs:
        for name, title in _SHARES:
            before = along(seeds, two, name)[0] if one == "base" else at_end(seeds, one, name)
            found = difference(before, at_end(seeds, two, name))
            each = ", ".join(f"{100 * value:+.0f}" for value in found.each)
            pair = f"{TITLES[two]} against {TITLES.get(one, one)}"
            rows.append((pair, title, _points(found), each))
    return _table(["pair", "measure", "difference", "each seed"], rows)


# ---- plots -------------------------------------------------------------------------------------


def drawings(seeds: Seeds) -> dict[str, str]:
    """SVG by name: ``training``, means along training, and ``seeds``, each seed by itself."""
    keys = [Key("base", BASE_COLOR, dashed=True)]
    keys += [
        Key(TITLES[arm] + ("" if arm in ON_POLICY else " (end)"), COLORS[arm], arm not in ON_POLICY)
        for arm in _arms(seeds)
    ]
    training = [
        _means(seeds, "Hallucinating answers", "hallucinating", limits=(0, 0.8), percent=True),
        _means(seeds, "True objects named (coverage)", "coverage", limits=(0, 1), percent=True),
        _means(seeds, "Reward of the model in use", "reward"),
        _means(seeds, "Words per answer", "words"),
        _means(seeds, "KL from the base, nats per answer", "kl"),
        _means(seeds, "Honest and false told apart", "told_apart", limits=(0.4, 1), percent=True),
    ]
    each = [
        _each(seeds, "Hallucinating answers", "hallucinating", limits=(0, 0.8)),
        _each(seeds, "True objects named (coverage)", "coverage", limits=(0, 1)),
    ]
    return {
        "training": figure(
            training, keys, columns=2, label="Measures along PPO with and without facts"
        ),
        "seeds": figure(each, keys, columns=2, label="Each seed along PPO"),
    }


def _means(
    seeds: Seeds,
    title: str,
    name: str,
    *,
    limits: tuple[float, float] | None = None,
    percent: bool = False,
) -> Panel:
    series = _level_lines(seeds, name)
    for arm in ON_POLICY:
        found = along(seeds, arm, name)
        estimates = list(found.values())
        sure = len(seeds) > 1
        series.append(
            Series(
                list(found),
                [e.mean for e in estimates],
                COLORS[arm],
                low=[e.low for e in estimates] if sure else (),
                high=[e.high for e in estimates] if sure else (),
            )
        )
    return Panel(title, "round of PPO", series, limits, percent, x_ticks=_numbered(seeds))


def _each(seeds: Seeds, title: str, name: str, *, limits: tuple[float, float]) -> Panel:
    series = _level_lines(seeds, name)
    for arm in ON_POLICY:
        found = along(seeds, arm, name)
        lines = list(zip(*(e.each for e in found.values()), strict=True))
        means = [e.mean for e in found.values()]
        series.append(Series(list(found), means, COLORS[arm], each=lines))
    return Panel(title, "round of PPO", series, limits, percent=True, x_ticks=_numbered(seeds))


def _numbered(seeds: Seeds) -> list[int]:
    """Every second measured round."""
    return list(along(seeds, "fact_rlhf", "words"))[::2]


def _level_lines(seeds: Seeds, name: str) -> list[Series]:
    """The base, and arms that know no rounds by where they end; not for what they do not have."""
    rounds = list(along(seeds, "fact_rlhf", name))
    ends = (rounds[0], rounds[-1])
    series = []
    if name in _OF_ANSWERS:
        base = along(seeds, "fact_rlhf", name)[0].mean
        series.append(Series(ends, (base, base), BASE_COLOR, dashed=True))
        for arm in (arm for arm in _arms(seeds) if arm not in ON_POLICY):
            level = at_end(seeds, arm, name).mean
            series.append(Series(ends, (level, level), COLORS[arm], dashed=True))
    return series


# ---- words -------------------------------------------------------------------------------------


def _arms(seeds: Seeds) -> list[str]:
    return [arm for arm in TITLES if arm in seeds[0]["arms"]]


def _percent(estimate: Estimate) -> str:
    return _with_interval(estimate, lambda value: f"{100 * value:.1f}", unit=" %")


def _points(estimate: Estimate) -> str:
    return _with_interval(estimate, lambda value: f"{100 * value:+.1f}", unit="")


def _number(estimate: Estimate) -> str:
    return _with_interval(estimate, lambda value: f"{value:.1f}", unit="")


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


_CHANGES: tuple[tuple[str, Write], ...] = (
    ("reward", _signed),
    ("hallucinating", _points),
    ("coverage", _points),
    ("told_apart", _points),
)
_SHARES = (("hallucinating", "hallucinating answers"), ("coverage", "coverage"))
_OF_ANSWERS = ("hallucinating", "coverage", "words")
_REWARD_FIGURES: tuple[tuple[str, Write], ...] = (
    ("accuracy", _percent),
    ("true_accuracy", _percent),
    ("length_correlation", _plain),
)

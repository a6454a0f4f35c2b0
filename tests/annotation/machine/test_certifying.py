"""The promise holds as often as it says, on machines that are made to break it."""

import math

import numpy as np
import pytest

from annotation.machine.certifying import (
    Answered,
    certify,
    evidence_against,
    fewest,
    upper_bound,
)

LEVEL, CONFIDENCE = 0.1, 0.9


@pytest.mark.parametrize(
    ("errors", "sample", "confidence", "bound"),
    [
        (0, 59, 0.95, 1 - 0.05 ** (1 / 59)),  # Nothing wrong: (1 - p)^n = 5 %.
        (0, 100, 0.95, 0.0295130),
        (1, 10, 0.95, 0.3941633),  # Clopper and Pearson, one-sided; R's qbeta(.95, 2, 9).
        (10, 10, 0.95, 1.0),
        (0, 0, 0.95, 1.0),
    ],
)
def test_the_upper_bound_is_clopper_and_pearsons(errors, sample, confidence, bound):
    assert upper_bound(errors, sample, confidence) == pytest.approx(bound, abs=1e-6)


@pytest.mark.parametrize("bad", [(-1, 5, 0.9), (6, 5, 0.9), (1, 5, 1.0)])
def test_the_upper_bound_refuses_what_is_no_sample(bad):
    with pytest.raises(ValueError, match="errors in"):
        upper_bound(*bad)


@pytest.mark.parametrize(
    ("level", "errors", "number"), [(0.05, 0, 59), (0.05, 1, 93), (0.01, 0, 299)]
)
def test_fewest_is_the_first_sample_that_can_prove_it(level, errors, number):
    assert fewest(level, 0.95, errors) == number
    assert upper_bound(errors, number, 0.95) <= level < upper_bound(errors, number - 1, 0.95)


def labels(confidences, wrong):
    return [
        Answered(confidence=float(one), wrong=bool(is_wrong))
        for one, is_wrong in zip(confidences, wrong, strict=True)
    ]


def test_too_small_a_sample_proves_nothing_and_a_perfect_one_everything():
    assert certify(labels([0.9] * 58, [False] * 58), level=0.05, confidence=0.95).chosen is None
    chosen = certify(
        labels(np.linspace(1, 0.5, 300), [False] * 300), level=0.05, confidence=0.95
    ).chosen
    assert chosen is not None and (chosen.sample, chosen.threshold) == (300, 0.5)


def test_what_is_confident_stands_and_what_guesses_does_not():
    confidences = np.linspace(1, 0.5, 400)
    wrong = [one < 0.75 and place % 2 == 0 for place, one in enumerate(confidences)]
    tested = certify(labels(confidences, wrong), level=0.05, confidence=0.95)
    assert tested.chosen is not None
    assert 0.7 < tested.chosen.threshold < 0.8
    assert [step.passed for step in tested.steps] == [True] * (len(tested.steps) - 1) + [False]


def test_equal_confidences_are_never_parted():
    tested = certify(labels([0.9] * 200 + [0.6] * 200, [False] * 400), level=0.05, confidence=0.95)
    assert [step.sample for step in tested.steps] == [200, 400]


def breaks_its_promise(generator, error_at, *, sample, trials):
    """How often more of the labels than LEVEL are wrong from the chosen threshold on."""
    broken = 0
    grid = np.linspace(0.5, 1, 20_001)
    risk = np.cumsum(error_at(grid)[::-1])[::-1] / np.arange(len(grid), 0, -1)
    for _ in range(trials):
        confidences = generator.uniform(0.5, 1, sample)
        wrong = generator.random(sample) < error_at(confidences)
        chosen = certify(labels(confidences, wrong), level=LEVEL, confidence=CONFIDENCE).chosen
        if chosen is not None:
            broken += risk[np.searchsorted(grid, chosen.threshold)] > LEVEL
    return broken


@pytest.mark.parametrize(
    "error_at",
    [
        pytest.param(lambda c: np.full_like(c, LEVEL + 0.001), id="just above everywhere"),
        pytest.param(lambda c: 0.45 * (1 - c) / 0.5, id="honest, the more confident the better"),
        pytest.param(lambda c: 0.12 * c, id="wrong where it is sure"),
        pytest.param(lambda c: np.where(c > 0.8, 0.02, 0.35), id="a cliff"),
    ],
)
def test_the_promise_is_broken_no_oftener_than_it_says(error_at):
    trials = 400
    broken = breaks_its_promise(np.random.default_rng(15), error_at, sample=250, trials=trials)
    # Were the chance exactly 1 - CONFIDENCE, three standard deviations above what is expected.
    allowed = trials * (1 - CONFIDENCE)
    assert broken <= allowed + 3 * math.sqrt(allowed * CONFIDENCE)


def test_a_certifier_that_looks_for_the_best_threshold_would_break_it():
    """The simulation can fail: without the order, a machine just above the level gets through."""
    generator = np.random.default_rng(15)
    broken = 0
    for _ in range(200):
        wrong = np.cumsum(generator.random(250) < LEVEL + 0.001)
        broken += any(
            upper_bound(int(wrong[n - 1]), n, CONFIDENCE) <= LEVEL for n in range(22, 251, 4)
        )
    assert broken > 200 * (1 - CONFIDENCE) + 3 * math.sqrt(200 * 0.09)


def test_evidence_is_what_the_integral_says():
    # One error in two answers at 0.2: mean over p in (0.2, 1) of p (1 - p) / (0.2 * 0.8).
    integral = (1 / 2 - 1 / 3) - (0.2**2 / 2 - 0.2**3 / 3)
    assert evidence_against(1, 2, 0.2) == pytest.approx(integral / 0.8 / 0.16)
    assert evidence_against(0, 0, 0.2) == pytest.approx(1)
    assert math.isfinite(evidence_against(5000, 5000, 0.01))


@pytest.mark.parametrize(("share", "least", "most"), [(0.1, 0, 0.1), (0.3, 0.95, 1)])
def test_looking_after_every_answer_wrongs_few_and_finds_the_worse(share, least, most):
    generator = np.random.default_rng(7)
    trials, alarms = 200, 0
    for _ in range(trials):
        errors = np.cumsum(generator.random(200) < share)
        alarms += any(
            evidence_against(int(seen), number, LEVEL) >= 1 / (1 - CONFIDENCE)
            for number, seen in enumerate(errors, start=1)
        )
    spread = 3 * math.sqrt(trials * 0.09)
    assert least * trials <= alarms <= most * trials + spread

from __future__ import annotations

from training.rlhf.best import Best


def test_accuracy_decides_and_among_equals_the_lower_loss() -> None:
    best = Best()
    for accuracy, loss, better in [
        (0.5, 0.7, True),
        (0.5, 0.6, True),
        (0.5, 0.65, False),
        (0.6, 9.0, True),
        (0.5, 0.1, False),
        (0.60001, 9.0, True),
    ]:
        assert best.improved({"accuracy": accuracy, "loss": loss}) is better


def test_waiting_ends_with_patience_and_begins_anew_with_each_better_step() -> None:
    best = Best()
    for accuracy, long_ago in [(0.5, False), (0.4, False), (0.6, False), (0.6, False), (0.1, True)]:
        best.improved({"accuracy": accuracy, "loss": 0.5})
        assert best.long_ago(2) is long_ago
    assert not best.long_ago(0)

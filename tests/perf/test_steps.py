"""Engine and straightforward loop come to the same results; how fast is not a matter of tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from perf import ppo_step, reward_step

SMALL = ["--hidden", "32", "--layers", "2", "--vocabulary", "96", "--slots", "24", "--threads", "1"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("each", [1, 2])
def test_ppo_round_equals_the_straightforward_loop(tmp_path: Path, each: int) -> None:
    options = ["--rollouts", "4", "--micro-batch", "2", "--responses-per-prompt", str(each)]
    work = ppo_step.Work(ppo_step.parse([*SMALL, *options]), tmp_path)
    engine, costs = work.engine()
    plain, plain_costs = work.plain(engine)
    assert len(set(engine.trajectory.responses.lengths.tolist())) > 1
    assert float(engine.moved.norm()) > 0
    apart = ppo_step.differences(plain, engine)
    assert max(apart.values()) < 1e-3, apart
    assert max(value for name, value in apart.items() if "relative" not in name) < 1e-4, apart
    assert all(cost.processor_seconds > 0 for cost in (*costs, *plain_costs))


@pytest.mark.parametrize("position", reward_step.POSITIONS)
def test_reward_step_equals_the_straightforward_loop(tmp_path: Path, position: str) -> None:
    work = reward_step.Work(
        reward_step.parse([*SMALL, "--pairs", "3", "--micro-batch", "2"]), tmp_path
    )
    slow, fast, apart = reward_step.compared(work, position, repeat=1)
    assert apart["loss"] < 1e-6
    assert apart["step of the weights, relative"] < 5e-3
    assert slow.peak_bytes >= 0 and fast.wall_seconds > 0

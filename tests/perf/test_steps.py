"""Engine and straightforward loop come to the same results; how fast is not a matter of tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from perf import ppo_step, reward_step
from perf.measuring import Cost, table

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
    assert len(slow) == len(fast) == 1


def test_what_is_printed_is_the_median_with_least_and_most() -> None:
    plain = [Cost(seconds, seconds + 1, 2**20) for seconds in (9.0, 3.0, 4.0)]
    engine = [Cost(seconds, seconds, 2**19) for seconds in (2.0, 1.0, 8.0)]
    lines = list(table([("a step", plain, engine)]))
    assert " ".join(lines[1].split()) == "a step 4.00 (3.00 to 9.00) 2.00 (1.00 to 8.00) 2.00"
    assert lines[3].split()[-1] == "2.50"
    assert lines[5].split()[-1] == "2.00"
    assert plain[0] + engine[0] == Cost(11.0, 12.0, 2**20)

"""Rounds of PPO on tiny models whose responses the real vLLM samples.

A gap between what vLLM drew with and what is measured here tells all that could go wrong: another
image, other prompt tokens, the adapter of an earlier round, keys and values of one.
"""

from __future__ import annotations

import importlib.util
import json
import signal
import time
from collections.abc import Callable

import pytest

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vllm is not in this environment (make test-vllm)", allow_module_level=True)

from tests.vllm.running import LONG, TOLERANCE, Made, alive, finished, long_prompts, start
from training.rlhf.contract import SamplingSettings


@pytest.mark.parametrize(
    ("family", "dtype"),
    [
        ("llava", "float32"),
        ("llava", "bfloat16"),
        ("qwen2_5_vl", "float32"),
        ("qwen3_vl", "float32"),
    ],
)
def test_vllm_answers_with_the_policy_of_each_round(
    made: Made, tell: Callable[[str], None], family: str, dtype: str
) -> None:
    metrics = finished(made(family, dtype))
    gaps = [metrics[number]["ppo/sampler_gap"] for number in (1, 2, 3)]
    tell(f"{family} {dtype}: gaps {', '.join(f'{gap:.2g}' for gap in gaps)}")
    assert all(0 < gap < TOLERANCE[dtype] for gap in gaps)
    # The policy has moved by far more than the gap: an adapter of another round would show.
    moved = [metrics[number]["ppo/kl_per_token"] for number in (2, 3)]
    assert metrics[1]["ppo/kl"] == 0
    assert all(abs(one) > 10 * TOLERANCE["float32"] for one in moved)


def test_two_processes_sample_their_shares(made: Made) -> None:
    options = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    options += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    # An engine among several lives on from round to round, and knows the prompts of the last one.
    changes = {"sampling": LONG, "steps": 3, "responses_per_prompt": 2}
    several = made("llava", "float32", long_prompts, **changes)
    together = finished(several, "-m", "accelerate.commands.launch", *options)
    alone = finished(made("llava", "float32", long_prompts, **changes))
    assert any(abs(together[number]["ppo/kl_per_token"]) > 2e-4 for number in (2, 3))
    for number, figures in alone.items():
        assert together[number]["ppo/sampler_gap"] < TOLERANCE["float32"]
        for name in ("ppo/reward", "ppo/response_tokens", "ppo/entropy"):
            assert together[number][name] == pytest.approx(figures[name], rel=1e-3, abs=1e-3)


def test_a_run_told_to_end_while_vllm_samples_ends(made: Made) -> None:
    """Not after the round, which would take much longer than the test."""
    long = SamplingSettings(temperature=0.7, query_length=32, response_length=1500)
    directory = made("llava", "float32", sampling=long, rollout_batch_size=64, batch_size=64)
    process = start(directory)
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line).get("text", "").startswith("rollout"):
            break
    # The policy of the round is written once the engine is there, and removed when all is answered.
    while not any((directory / "sampler").rglob("adapter_config.json")):
        assert process.poll() is None, (directory / "log").read_text()[-4000:]
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    process.stdout.read()
    assert process.wait(timeout=600) == 143, (directory / "log").read_text()[-4000:]
    assert alive(process.pid) == []
    events = [json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()]
    assert not [event for event in events if event["event"] == "metric"]


def test_nothing_lives_on_after_a_run_that_was_killed(made: Made) -> None:
    """vLLM is in the run's process; the adapter that lies there is gone when the run goes on."""
    directory = made("llava", "float32", steps=1)
    process = start(directory)
    while not any((directory / "sampler").rglob("adapter_config.json")):
        assert process.poll() is None, (directory / "log").read_text()[-4000:]
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert alive(process.pid) == []
    metrics = finished(directory)
    assert metrics[1]["ppo/sampler_gap"] < TOLERANCE["float32"]

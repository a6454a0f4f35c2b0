"""The engine and the real vLLM give the same tokens and log-probabilities, family by family."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable

import pytest

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vllm is not in this environment (make test-vllm)", allow_module_level=True)

from tests.vllm.running import BASES, LONG, ROOT, TOLERANCE, Made, environment, long_prompts

MOST = {"float32": 2e-4, "bfloat16": 1.0}
"""Nats, the most of any token; rounding made 6e-5 and 0.61."""


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", BASES)
def test_one_engine_follows_adapters_and_temperatures(
    made: Made, tell: Callable[[str], None], family: str, dtype: str
) -> None:
    directory = made(family, dtype, long_prompts, sampling=LONG)
    found = subprocess.run(
        [sys.executable, "-m", "tests.vllm.agreement", str(directory)],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr[-4000:]
    [line] = found.stdout.splitlines()  # vLLM's log is elsewhere
    told = json.loads(line)
    tell(f"{family} {dtype}: {told['turns']}")
    for temperature, one, other in told["turns"]:
        if temperature:
            assert 0 < one < TOLERANCE[dtype] and other < MOST[dtype]
        else:  # in bfloat16 either of two tokens that are nearly as likely may come
            assert other < MOST[dtype]
            assert one == 1 or dtype == "bfloat16"
    assert told["videos"] == 0
    assert 208 < told["max_model_len"] < 400
    assert told["prefix_caching"]
    # A GiB of keys and values is handed back.
    assert told["with_engine"] - told["without"] > 0.9 * 2**30

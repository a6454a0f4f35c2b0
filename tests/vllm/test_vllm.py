"""Rounds of PPO on tiny models whose responses the real vLLM samples.

A gap between what vLLM drew with and what is measured here tells all that could go wrong: another
image, other prompt tokens, the adapter of an earlier round, keys and values of one.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vllm is not in this environment (make test-vllm)", allow_module_level=True)

import torch
from safetensors.torch import load_file, save_file

from tests.training.rlhf import families, tiny
from training.rlhf.__main__ import main
from training.rlhf.contract import (
    Kind,
    LoraSettings,
    ModelSettings,
    OptimizerSettings,
    PpoSettings,
    RewardSettings,
    RunSpec,
    SamplingSettings,
)

torch.set_num_threads(1)  # on shared cores more wait for each other

ROOT = Path(__file__).resolve().parents[2]
HEAD = 32
LORA = LoraSettings(rank=8, alpha=8)
RATE = OptimizerSettings(learning_rate=0.01)
PPO = PpoSettings(
    lora=LORA,
    policy_optimizer=RATE,
    value_optimizer=RATE,
    sampling=SamplingSettings(temperature=0.7, query_length=32, response_length=8),
    steps=3,
    rollout_batch_size=8,
    rollout_micro_batch_size=4,
    batch_size=8,
    micro_batch_size=8,
    update_epochs=2,
    samples_every=100,
    kl_stop=0.0,
    sampler="vllm",
    sampler_memory=0.05,
    sampler_rows=8,
)
TOLERANCE = {"float32": 2e-5, "bfloat16": 0.08}
"""Nats per token, the mean over a round; rounding in float32 made 1e-6 to 3e-6."""


def llava(folder: Path) -> Path:
    """With the names that its published weights have for the vision tower, which vLLM wants."""
    tiny.model(hidden_size=4 * HEAD).save_pretrained(folder)
    tiny.processor().save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    published = {
        name.replace("vision_tower.", "vision_tower.vision_model."): tensor
        for name, tensor in weights.items()
    }
    save_file(published, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


BASES: dict[str, Callable[[Path], Path]] = {
    "llava": llava,
    "qwen2_5_vl": lambda folder: families.qwen2_5_vl(folder, head=HEAD),
    "qwen3_vl": lambda folder: families.qwen3_vl(folder, head=HEAD),
}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Run directories of PPO, with a reward model of the same base."""
    rated: dict[tuple[str, str], Path] = {}

    def fill(
        directory: Path, kind: Kind, base: Path, records: Any, settings: Any, dtype: str
    ) -> RunSpec:
        names = tiny.save_images(directory / "images", count=8)
        tiny.write_lines(directory / "data" / "train.jsonl", records(names))
        loading = ModelSettings(dtype=dtype)  # type: ignore[arg-type]
        return RunSpec(kind=kind, settings=settings, base_model=str(base), model=loading)

    def make(family: str, dtype: str, **changes: Any) -> Path:
        if (family, dtype) not in rated:
            base = tmp_path_factory.mktemp("base") / family
            base.mkdir()
            BASES[family](base)
            directory = tmp_path_factory.mktemp("rated")
            settings = RewardSettings(lora=LORA, max_steps=2, batch_size=4, max_length=96)
            spec = fill(directory, Kind.REWARD, base, tiny.preference_records, settings, dtype)
            (directory / "spec.json").write_text(json.dumps(spec.to_json()))
            assert main(["reward", "--run-dir", str(directory)]) == 0
            rated[family, dtype] = directory
        reward = rated[family, dtype]
        base = json.loads((reward / "spec.json").read_text())["base_model"]
        directory = tmp_path_factory.mktemp("ppo")
        settings = replace(PPO, **changes)
        spec = fill(directory, Kind.PPO, Path(base), tiny.prompt_records, settings, dtype)
        shutil.copytree(reward / "final", directory / "adapters" / "reward")
        spec = replace(spec, reward_model="adapters/reward")
        (directory / "spec.json").write_text(json.dumps(spec.to_json()))
        return directory

    return make


def environment() -> dict[str, str]:
    """What a run is started with: nothing that would hide what the sampler sets itself."""
    passed = {name: value for name, value in os.environ.items() if not name.startswith("VLLM_")}
    return passed | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
    }


def start(directory: Path, *launcher: str) -> subprocess.Popen[str]:
    command = [sys.executable, *launcher, "-m", "training.rlhf", "ppo"]
    return subprocess.Popen(
        [*command, "--run-dir", str(directory)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=(directory / "log").open("w"),
        text=True,
        start_new_session=True,
    )


def alive(group: int) -> list[int]:
    """Processes that are left of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, session = (entry / "stat").read_text().rpartition(")")[2].split()[0:4:3]
            except OSError:
                continue
            if int(session) == group and state != "Z":
                found.append(int(entry.name))
    return found


def finished(directory: Path, *launcher: str) -> dict[int, dict[str, float]]:
    """Run it to its end; the metrics of its rounds. stdout holds its events, and nothing else."""
    process = start(directory, *launcher)
    printed, _ = process.communicate(timeout=1200)
    assert process.returncode == 0, (directory / "log").read_text()[-4000:]
    told = [json.loads(line) for line in printed.splitlines()]
    assert told == [
        json.loads(line) for line in (directory / "events.jsonl").read_text().splitlines()
    ]
    assert alive(process.pid) == []
    assert not any((directory / "sampler").rglob("*.safetensors"))
    return {event["step"]: event["values"] for event in told if event["event"] == "metric"}


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
    made: Callable[..., Path], family: str, dtype: str
) -> None:
    metrics = finished(made(family, dtype))
    gaps = [metrics[number]["ppo/sampler_gap"] for number in (1, 2, 3)]
    print(f"{family} {dtype}: gaps {', '.join(f'{gap:.2g}' for gap in gaps)}")
    assert all(0 < gap < TOLERANCE[dtype] for gap in gaps)
    # The policy has moved by far more than the gap: an adapter of another round would show.
    moved = [metrics[number]["ppo/kl_per_token"] for number in (2, 3)]
    assert metrics[1]["ppo/kl"] == 0
    assert all(abs(one) > 10 * TOLERANCE["float32"] for one in moved)


def test_two_processes_sample_their_shares(made: Callable[..., Path]) -> None:
    options = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    options += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    together = finished(
        made("llava", "float32", steps=2), "-m", "accelerate.commands.launch", *options
    )
    alone = finished(made("llava", "float32", steps=2))
    for number, figures in alone.items():
        assert together[number]["ppo/sampler_gap"] < TOLERANCE["float32"]
        for name in ("ppo/reward", "ppo/response_tokens", "ppo/entropy"):
            assert together[number][name] == pytest.approx(figures[name], rel=1e-3, abs=1e-3)


def test_a_run_told_to_end_while_vllm_samples_ends(made: Callable[..., Path]) -> None:
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

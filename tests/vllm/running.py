"""Runs of tiny models in the environment that has vLLM, and what they leave behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

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


class Made:
    """Run directories of PPO, with a reward model of the same base."""

    def __init__(self, folder: Callable[[str], Path]) -> None:
        """``folder`` makes a new one, given the beginning of its name."""
        self._folder = folder
        self._rated: dict[tuple[str, str], Path] = {}

    def base(self, family: str, dtype: str) -> Path:
        if (family, dtype) not in self._rated:
            base = self._folder("base") / family
            base.mkdir()
            BASES[family](base)
            directory = self._folder("rated")
            settings = RewardSettings(lora=LORA, max_steps=2, batch_size=4, max_length=256)
            spec = _filled(directory, Kind.REWARD, base, tiny.preference_records, settings, dtype)
            (directory / "spec.json").write_text(json.dumps(spec.to_json()))
            assert main(["reward", "--run-dir", str(directory)]) == 0
            self._rated[family, dtype] = directory
        told = json.loads((self._rated[family, dtype] / "spec.json").read_text())
        return Path(told["base_model"])

    def __call__(
        self,
        family: str,
        dtype: str,
        records: Callable[[list[str]], list[dict[str, Any]]] = tiny.prompt_records,
        **changes: Any,
    ) -> Path:
        base = self.base(family, dtype)
        directory = self._folder("ppo")
        spec = _filled(directory, Kind.PPO, base, records, replace(PPO, **changes), dtype)
        reward = self._rated[family, dtype]
        shutil.copytree(reward / "final", directory / "adapters" / "reward")
        spec = replace(spec, reward_model="adapters/reward")
        (directory / "spec.json").write_text(json.dumps(spec.to_json()))
        return directory


def _filled(
    directory: Path, kind: Kind, base: Path, records: Any, settings: Any, dtype: str
) -> RunSpec:
    names = tiny.save_images(directory / "images", count=8)
    tiny.write_lines(directory / "data" / "train.jsonl", records(names))
    loading = ModelSettings(dtype=dtype)  # type: ignore[arg-type]
    return RunSpec(kind=kind, settings=settings, base_model=str(base), model=loading)


def long_prompts(names: list[str]) -> list[dict[str, Any]]:
    """So long that vLLM remembers their beginnings, which it does in blocks of 128 tokens here."""
    question = " ".join(["is there a cross on the left ?"] * 20)
    records = tiny.prompt_records(names)
    return [record | {"conversations": tiny.wire_turns(question)} for record in records]


LONG = SamplingSettings(temperature=0.7, query_length=200, response_length=8)
"""For these."""


def environment(**more: str) -> dict[str, str]:
    """What a run is started with: nothing that would hide what the sampler sets itself."""
    passed = {name: value for name, value in os.environ.items() if not name.startswith("VLLM_")}
    return passed | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        **more,
    }


def start(directory: Path, *launcher: str, **more: str) -> subprocess.Popen[str]:
    """``more`` is for its environment."""
    command = [sys.executable, *launcher, "-m", "training.rlhf", "ppo"]
    return subprocess.Popen(
        [*command, "--run-dir", str(directory)],
        env=environment(**more),
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


def finished(directory: Path, *launcher: str, **more: str) -> dict[int, dict[str, float]]:
    """Run it to its end; the metrics of its rounds. stdout holds its events, and nothing else."""
    process = start(directory, *launcher, **more)
    printed, _ = process.communicate(timeout=1200)
    assert process.returncode == 0, (directory / "log").read_text()[-4000:]
    told = [json.loads(line) for line in printed.splitlines()]
    written = (directory / "events.jsonl").read_text().splitlines()  # a killed start's, too
    assert told == [json.loads(line) for line in written[-len(told) :]]
    assert alive(process.pid) == []
    assert not any((directory / "sampler").rglob("*.safetensors"))
    return {event["step"]: event["values"] for event in told if event["event"] == "metric"}

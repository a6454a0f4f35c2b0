"""A tiny base model once a session, and run directories made of it."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.rlhf import tiny
from tests.training.rlhf.vllm_server import serve as serve
from training.rlhf.__main__ import main
from training.rlhf.contract import (
    DpoSettings,
    GenerateSettings,
    Kind,
    LoraSettings,
    ModelSettings,
    OptimizerSettings,
    PpoSettings,
    PromptRecord,
    RewardSettings,
    RunSpec,
    SamplingSettings,
    ScoreSettings,
    Settings,
    SftSettings,
    to_json,
)
from training.rlhf.events import EventWriter
from training.rlhf.experience import Learner
from training.rlhf.models import VisionLanguageModel
from training.rlhf.presets import preset_spec
from training.rlhf.run_directory import Run, read_spec
from training.rlhf.train_ppo import prepare

LORA = LoraSettings(rank=8, alpha=8)
RATE = OptimizerSettings(learning_rate=1e-3)
SAMPLING = SamplingSettings(temperature=1.0, query_length=48, response_length=12)

SETTINGS: dict[Kind, Settings] = {
    Kind.SFT: SftSettings(lora=LORA, optimizer=RATE, max_length=64),
    Kind.REWARD: RewardSettings(
        lora=LORA,
        optimizer=RATE,
        facts_introduction="facts :",
        fact_format="{caption}",
        rating_prompt="rate :",
        max_length=96,
    ),
    Kind.PPO: PpoSettings(
        lora=LORA, policy_optimizer=RATE, value_optimizer=RATE, sampling=SAMPLING
    ),
    Kind.DPO: DpoSettings(lora=LORA, optimizer=RATE, max_length=64),
    Kind.GENERATE: GenerateSettings(sampling=SAMPLING),
    Kind.SCORE: ScoreSettings(),
}
"""Settings that the tiny model's few words and numbers can do with."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Several threads only get in each other's way at this size."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_base(tmp_path_factory.mktemp("tiny") / "base")


@pytest.fixture
def model(base_folder: Path) -> VisionLanguageModel:
    torch.manual_seed(1)
    return VisionLanguageModel.load(str(base_folder), ModelSettings(dtype="float32"))


@pytest.fixture
def image_files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "pictures"
    return [folder / name for name in tiny.save_images(folder, count=3)]


MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(base_folder: Path, tmp_path: Path) -> MakeRun:
    """Make a run directory with 12 records; keyword arguments change the tiny settings."""

    records_of = {
        Kind.SFT: tiny.conversation_records,
        Kind.GENERATE: tiny.prompt_records,
        Kind.REWARD: tiny.preference_records,
        Kind.SCORE: tiny.preference_records,
        Kind.PPO: tiny.prompt_records,
        Kind.DPO: tiny.preference_records,
    }

    def make(
        kind: Kind,
        name: str = "run",
        *,
        reward_model: Path | None = None,
        policy: Path | None = None,
        held_out: int = 0,
        preset: str | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> Path:
        directory = tmp_path / name
        names = tiny.save_images(directory / "images", count=12)
        records = records_of[kind](names)
        tiny.write_lines(directory / "data" / "train.jsonl", records[held_out:])
        if held_out:
            tiny.write_lines(directory / "data" / "held_out.jsonl", records[:held_out])
        start = SETTINGS[kind] if preset is None else preset_spec(kind, preset).settings
        spec = RunSpec(
            kind=kind,
            settings=start,
            base_model=str(base_folder),
            model=ModelSettings(dtype="float32"),
            seed=seed,
        )
        for field, source in (("reward_model", reward_model), ("policy_adapter", policy)):
            if source is not None:
                shutil.copytree(source, directory / "adapters" / field)
                spec = replace(spec, **{field: f"adapters/{field}"})
        # Not checked here: what settings rule out is for the engine to say.
        written = spec.to_json() | {"settings": to_json(replace(start, **settings))}
        (directory / "spec.json").write_text(json.dumps(written))
        return directory

    return make


@pytest.fixture(scope="session")
def reward_folder(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model of the tiny base, trained for four steps."""
    directory = tmp_path_factory.mktemp("reward")
    names = tiny.save_images(directory / "images", count=12)
    tiny.write_lines(directory / "data" / "train.jsonl", tiny.preference_records(names))
    spec = RunSpec(
        kind=Kind.REWARD,
        settings=replace(SETTINGS[Kind.REWARD], max_steps=4, batch_size=6, epochs=9.0),
        base_model=str(base_folder),
        model=ModelSettings(dtype="float32"),
    )
    (directory / "spec.json").write_text(json.dumps(spec.to_json()))
    assert main(["reward", "--run-dir", str(directory)]) == 0
    return directory / "final"


LEARNER = {
    "rollout_batch_size": 6,
    "rollout_micro_batch_size": 4,
    "batch_size": 6,
    "micro_batch_size": 6,
    "update_epochs": 1,
    "sampling": SamplingSettings(temperature=1.0, response_length=6),
    "policy_optimizer": OptimizerSettings(learning_rate=0.01, gradient_norm=0.0),
    "value_optimizer": OptimizerSettings(learning_rate=0.01, gradient_norm=0.0),
}


MakeLearner = Callable[..., Learner]


@pytest.fixture
def make_learner(make_run: MakeRun, reward_folder: Path) -> Iterator[MakeLearner]:
    """Make what PPO holds before its first round; keyword arguments change the settings."""
    with contextlib.ExitStack() as writers:

        def make(name: str = "run", **changes: Any) -> Learner:
            directory = make_run(Kind.PPO, name, reward_model=reward_folder, **LEARNER | changes)
            events = writers.enter_context(EventWriter(directory / "events.jsonl"))
            run = Run(directory, read_spec(directory, Kind.PPO), events)
            assert isinstance(run.spec.settings, PpoSettings)
            return prepare(run, run.spec.settings, run.records(PromptRecord))[0]

        yield make


def events(directory: Path, name: str | None = None) -> list[dict[str, Any]]:
    """Events of a run, in order; only those called ``name`` if given."""
    lines = (directory / "events.jsonl").read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return [event for event in found if name in (None, event["event"])]

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.rlhf import sharing
from tests.training.rlhf.conftest import MakeRun, events
from tests.training.rlhf.resuming import last_metrics
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind, OptimizerSettings, SamplingSettings
from training.rlhf.processes import Processes, processes, together

ROOT = Path(__file__).parents[3]
STEPS = {"batch_size": 6, "micro_batch_size": 2, "max_steps": 4, "epochs": 9.0}
SETTINGS = {
    Kind.SFT: STEPS | {"checkpoint_every": 2},
    # an odd number of groups, so that the processes have unequal shares
    Kind.REWARD: STEPS | {"checkpoint_every": 2, "evaluate_every": 2, "center_coefficient": 0.5},
    Kind.DPO: STEPS | {"checkpoint_every": 2, "evaluate_every": 2, "answer_coefficient": 0.5},
    Kind.PPO: {
        "steps": 4,
        "rollout_batch_size": 6,
        "rollout_micro_batch_size": 4,
        "responses_per_prompt": 2,
        "batch_size": 6,
        "micro_batch_size": 2,
        "checkpoint_every": 2,
        "samples_every": 2,
        "sampling": SamplingSettings(temperature=1.0, query_length=48, response_length=8),
        "policy_optimizer": OptimizerSettings(learning_rate=1e-4),
        "value_optimizer": OptimizerSettings(learning_rate=1e-4),
    },
}


def launch(*directories: Path) -> str:
    """Two processes on the CPU, started as a researcher starts them; returns what they logged."""
    options = ["--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    options += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    program = ["-m", "tests.training.rlhf.launched", *map(str, directories)]
    finished = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *options, *program],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stderr


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_two_processes_give_what_one_gives(make_run: MakeRun, reward_folder: Path) -> None:
    """Every kind of training, also resumed by two from a checkpoint of one; answers and scores."""
    alone, pair, resumed = {}, {}, {}
    for kind, settings in SETTINGS.items():
        extra = {"reward_model": reward_folder} if kind is Kind.PPO else {"held_out": 3}
        for group, name in ((alone, "alone"), (pair, "pair"), (resumed, "resumed")):
            group[kind] = make_run(kind, f"{kind}-{name}", **extra, **settings)
        assert main([kind, "--run-dir", str(alone[kind])]) == 0
        (alone[kind] / "checkpoints" / "step-2").rename(
            (resumed[kind] / "checkpoints").mkdir() or resumed[kind] / "checkpoints" / "step-2"
        )
    used = {
        group: [
            make_run(Kind.SCORE, f"score-{group}", reward_model=reward_folder, batch_size=2),
            make_run(Kind.GENERATE, f"generate-{group}", batch_size=5),  # 5, 5 and 2 prompts
        ]
        for group in ("alone", "pair")
    }
    for kind, directory in zip((Kind.SCORE, Kind.GENERATE), used["alone"], strict=True):
        assert main([kind, "--run-dir", str(directory)]) == 0
    told = launch(*pair.values(), *resumed.values(), *used["pair"])
    assert told.count(f"codes of process {[0] * 10}") == 2

    for kind in SETTINGS:
        expected = last_metrics(events(alone[kind]))
        assert set(expected) == {1, 2, 3, 4}
        found = last_metrics(events(pair[kind]))
        later = last_metrics(events(resumed[kind]))
        assert set(later) == {3, 4}
        for step, figures in expected.items():
            assert found[step] == pytest.approx(figures, rel=1e-3, abs=1e-5), (kind, step)
        for step, figures in later.items():
            assert figures == pytest.approx(expected[step], rel=1e-3, abs=1e-5), (kind, step)
        weights = "final/adapter_model.safetensors"
        one, two = load_file(alone[kind] / weights), load_file(pair[kind] / weights)
        assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)
        counts = [len(events(group[kind], "metric")) for group in (alone, pair)]
        assert counts == [4, 4]  # only the first process tells
        names = sorted(path.name for path in (pair[kind] / "checkpoints").iterdir())
        assert not any(name.endswith(".partial") for name in names)
        assert {"step-2", "step-4"} <= set(names)
    scored, answered = zip(*used.values(), strict=True)
    for one, two in zip(*(lines(d / "final" / "scores.jsonl") for d in scored), strict=True):
        assert two.pop("id") == one.pop("id")
        assert two == pytest.approx(one, rel=1e-4, abs=1e-5)
    said, also = (lines(d / "final" / "generations.jsonl") for d in answered)
    assert len(said) == 12 and also == said
    for directory in used["pair"]:
        assert len(events(directory, "checkpoint")) == 1


def test_one_process_has_everything() -> None:
    one = Processes()
    assert one.leads
    assert one.share([1, 2, 3]) == [1, 2, 3]
    assert one.part_size(8, 3) == 3
    assert one.collect([1, 2, 3]) == [1, 2, 3]
    assert one.totals({"a": 1.5}) == {"a": 1.5}
    assert one.agree(True) and not one.agree(False)
    with together() as everyone:
        assert everyone is processes() and everyone.count == 1


def test_rows_are_dealt_out() -> None:
    first, second = Processes(0, 2), Processes(1, 2)
    assert not second.leads
    assert (first.share("abcde"), second.share("abcde")) == (["a", "c", "e"], ["b", "d"])
    assert first.part_size(8, 6) == 3  # each gets something to do
    assert first.part_size(2, 6) == 2
    assert first.part_size(8, 0) == 1


def test_each_process_encodes_its_share_of_the_images(
    image_files: list[Path], tmp_path: Path
) -> None:
    """Also where one of them knew an image before; all get what one alone would make."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.training.rlhf.sharing", tmp_path, *image_files],
            cwd=ROOT,
            env=os.environ
            | {"RANK": str(number), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
            | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)},
        )
        for number in range(2)
    ]
    assert [process.wait(timeout=300) for process in started] == [0, 0]
    _, alone = sharing.encoded(image_files)
    told = [json.loads((tmp_path / f"{number}.json").read_text()) for number in range(2)]
    assert [sum(counts) for counts, _ in told] == [2, 1]  # of three
    for _, found in told:
        for (ids, features), image in zip(found, alone, strict=True):
            assert ids == image.placeholder_ids
            torch.testing.assert_close(torch.tensor(features), image.features)


def test_what_was_dealt_out_comes_back_in_order() -> None:
    three = Processes(0, 3)
    assert three.in_order(["a", "d", "b", "e", "c"], 5) == ["a", "b", "c", "d", "e"]
    assert Processes().in_order([1, 2], 2) == [1, 2]
    assert Processes().any_of([True, False]) == [True, False]

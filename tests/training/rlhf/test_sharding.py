"""A base in pieces over two processes gives what one process gives with the whole of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.rlhf.conftest import MakeRun, events
from tests.training.rlhf.resuming import last_metrics
from tests.training.rlhf.test_processes import ROOT, SETTINGS, lines
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind, ModelSettings, OptimizerSettings
from training.rlhf.models import VisionLanguageModel

LAUNCHER = """
compute_environment: LOCAL_MACHINE
distributed_type: FSDP
fsdp_config: {fsdp_version: 2, fsdp_cpu_ram_efficient_loading: true}
mixed_precision: 'no'
num_machines: 1
num_processes: 2
main_process_port: 0
use_cpu: true
"""
TOLERANCE = {"rel": 1e-3, "abs": 1e-5}


def sharded(directory: Path) -> Path:
    path = directory / "spec.json"
    spec = json.loads(path.read_text())
    spec["model"]["sharded"] = True
    path.write_text(json.dumps(spec))
    return directory


def begun(directory: Path, other: Path) -> Path:
    """``directory`` with the second checkpoint of another run."""
    shutil.copytree(other / "checkpoints" / "step-2", directory / "checkpoints" / "step-2")
    return directory


def launch(folder: Path, *arguments: Path) -> str:
    """Two processes as the documentation starts them; returns what they logged."""
    launcher = folder / "accelerate.yaml"
    launcher.write_text(LAUNCHER)
    program = ["--config_file", launcher, "-m", "tests.training.rlhf.cut", *arguments]
    finished = subprocess.run(
        [sys.executable, "-m", "accelerate.commands.launch", *map(str, program)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stderr


def test_a_base_in_pieces_gives_what_a_whole_one_gives(
    make_run: MakeRun,
    reward_folder: Path,
    base_folder: Path,
    image_files: list[Path],
    tmp_path: Path,
) -> None:
    """Every kind of training, resumed either way between two in pieces and one; and a failure.

    Of fine-tuning also that of all weights. Some of it computes layers again, in pieces only.
    """

    def make(kind: Kind, name: str, *, all_weights: bool, **more: object) -> Path:
        extra = {"reward_model": reward_folder} if kind is Kind.PPO else {"held_out": 3}
        if all_weights:
            more |= {"full_model": True, "optimizer": OptimizerSettings(learning_rate=1e-4)}
        name = f"{kind}-{all_weights}-{name}"
        return make_run(kind, name, **extra, **SETTINGS[kind], **more)

    def in_pieces(kind: Kind, name: str, *, all_weights: bool) -> Path:
        again = all_weights or (kind is Kind.SFT and name == "later")
        more = {"gradient_checkpointing": True} if again else {}
        return sharded(make(kind, name, all_weights=all_weights, **more))

    trained = [(kind, False) for kind in SETTINGS] + [(Kind.SFT, True)]
    whole = {(kind, all_): make(kind, "whole", all_weights=all_) for kind, all_ in trained}
    for (kind, _), directory in whole.items():
        assert main([kind, "--run-dir", str(directory)]) == 0
    cut = {(kind, all_): in_pieces(kind, "cut", all_weights=all_) for kind, all_ in trained}
    later = [
        begun(in_pieces(kind, "later", all_weights=all_), whole[kind, all_])
        for kind, all_ in trained
    ]
    answering = [make_run(Kind.GENERATE, name, batch_size=5) for name in ("answers", "answers-cut")]
    assert main(["generate", "--run-dir", str(answering[0])]) == 0
    failing = in_pieces(Kind.SFT, "failing", all_weights=True)
    told = launch(
        tmp_path,
        *(base_folder, image_files[0]),
        *(*cut.values(), *later, sharded(answering[1]), failing),
    )
    assert told.count(f"codes of process {[0] * 11 + [1]}") == 2
    assert [event["message"] for event in events(failing, "error")] == ["broken on purpose"]

    for (kind, all_), resumed in zip(trained, later, strict=True):
        alone = begun(make(kind, "alone", all_weights=all_), cut[kind, all_])
        assert main([kind, "--run-dir", str(alone)]) == 0
        expected = last_metrics(events(whole[kind, all_]))
        for directory, steps in (
            (cut[kind, all_], {1, 2, 3, 4}),
            (resumed, {3, 4}),
            (alone, {3, 4}),
        ):
            found = last_metrics(events(directory))
            assert set(found) == steps
            for step in steps:
                assert found[step] == pytest.approx(expected[step], **TOLERANCE), (directory, step)
            same = (files(d) for d in (whole[kind, all_], directory))
            for one, two in zip(*same, strict=True):
                assert one.name == two.name
                first, second = load_file(one), load_file(two)
                for name in first.keys() | second.keys():
                    torch.testing.assert_close(second[name], first[name], atol=1e-4, rtol=1e-3)
    one, two = (lines(directory / "final" / "generations.jsonl") for directory in answering)
    assert len(one) == 12 and one == two


def files(directory: Path) -> list[Path]:
    return sorted((directory / "final").rglob("*.safetensors"))


def test_one_process_has_a_sharded_base_whole(base_folder: Path) -> None:
    model = VisionLanguageModel.load(str(base_folder), ModelSettings(sharded=True))
    assert model.pieces is None

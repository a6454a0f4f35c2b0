"""How the engine starts on several GPUs: joined, where there are GPUs or not, side by side."""

from pathlib import Path

import pytest
from accelerate.commands.launch import launch_command_parser

from training.runs.launchers import slurm_script
from training.runs.trainer import engine_command


@pytest.mark.parametrize("nodes", [1, 2])
def test_several_gpus_are_joined_and_not_trained_on_alone(nodes: int, tmp_path: Path) -> None:
    """accelerate's own default is one process alone on a host where it sees no second GPU."""
    command = slurm_script._on_all(engine_command("reward", tmp_path, gpus=2), nodes)
    words = command if nodes == 1 else command[-1].split()
    words = words[words.index("accelerate.commands.launch") + 1 :]
    words = ["1" if word.startswith('"$') else word for word in words]
    found = launch_command_parser().parse_args(words)
    assert (found.multi_gpu, found.num_processes) == (True, 2)
    assert found.num_machines == (None if nodes == 1 else 2)
    # A free port on one host; on several the one that all of them were told.
    assert (found.main_process_port == 0) is (nodes == 1)
    assert found.training_script == "training.rlhf"


def test_one_gpu_needs_no_launcher(tmp_path: Path) -> None:
    assert "accelerate.commands.launch" not in engine_command("reward", tmp_path, gpus=1)

"""The batch script of a run's job, and what sbatch is asked for beside it."""

from __future__ import annotations

import math
import os
import shlex
import sys
from pathlib import Path

from django.conf import settings

from training.runs.endings import Failed
from training.runs.trainer import LOG, passed_environment

OWN_TIME_SECONDS = 120
"""Before its time is up a job is told, so that it can save."""
ADDRESS = """scontrol -o show node "$FIRST" | sed 's/.*NodeAddr=\\([^ ]*\\).*/\\1/'"""
"""The address under which Slurm itself reaches the first node: names need not resolve."""


def shape(command: list[str], gpus: int) -> tuple[list[str], list[str]]:
    """Options of sbatch for so many GPUs, and the command as it runs on all nodes."""
    per_node = settings.SLURM_GPUS_PER_NODE
    nodes = max(1, math.ceil(gpus / per_node))
    if gpus % nodes:
        raise Failed(
            f"{gpus} GPUs do not divide evenly among {nodes} nodes of {per_node} "
            "(SLURM_GPUS_PER_NODE)"
        )
    options = [f"--nodes={nodes}", f"--ntasks={nodes}"]
    if gpus:
        options.append(f"--gpus-per-node={gpus // nodes}")
    return [*options, *settings.SLURM_OPTIONS], _on_all(command, nodes)


def _on_all(command: list[str], nodes: int) -> list[str]:
    """accelerate's command once per node; the first node is where the processes meet."""
    if nodes == 1:
        return command
    at = command.index("--module")  # behind all options of accelerate: the last of a name counts
    meeting = ["--num_machines", str(nodes), "--same_network"]
    words = shlex.join([*command[:at], *meeting])
    where = '--machine_rank "$SLURM_NODEID" --main_process_ip "$MEETING" --main_process_port'
    port = str(29500 + os.getpid() % 1000)
    task = f"exec {words} {where} {port} {shlex.join(command[at:])}"
    ranks = [f"--ntasks={nodes}", "--ntasks-per-node=1", "--kill-on-bad-exit=1", "--export=ALL"]
    return ["srun", *ranks, "/bin/bash", "-c", task]


def output(script: Path) -> str:
    """The option of sbatch for the log; in a script's comment no quoting would be understood."""
    return f"--output={script.parent / LOG}".replace("%", "%%")


def write(script: Path, command: list[str]) -> None:
    """Write the batch script beside the run's data.

    The job's environment is Slurm's own and the allow-list of ``trainer``: no secret of ours.
    """
    directory = script.parent
    guard = [
        settings.TRAINER_PYTHON or sys.executable, "-m", "training.runs.in_job",
        "--directory", str(directory), "--patience", str(settings.SLURM_PATIENCE_SECONDS), "--",
    ]  # fmt: skip
    variables = passed_environment()
    variables.pop("CUDA_VISIBLE_DEVICES", None)  # Slurm's to set.
    lines = [
        "#!/bin/bash",
        "#SBATCH --requeue --open-mode=append --export=NIL",
        f"#SBATCH --signal=B:TERM@{OWN_TIME_SECONDS}",
        *(f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())),
        'FIRST=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
        f"export MEETING=$({ADDRESS})",
        f"cd {shlex.quote(str(settings.BASE_DIR))} || exit 1",
        f"exec {shlex.join([*guard, *command])}",
    ]
    script.write_text("\n".join(lines) + "\n")

"""Runs and the hosts that carry them out."""

import shlex
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import VAR, env
from config.slurm_options import unfit

# --- Training -------------------------------------------------------------------------------

# Where workers keep run directories; needs room for checkpoints, is local to the host.
RUNS_ROOT = Path(env("RUNS_ROOT", default=str(VAR / "runs")))
# Folders of the workers from below which an administrator may import base models on a page.
BASE_MODEL_FOLDERS = env.list("BASE_MODEL_FOLDERS", default=[str(VAR / "models")])
# Where base models named by a hub id are fetched from, by a worker on `cpu` with the engine.
HUB_ENDPOINT = env("HF_ENDPOINT", default="https://huggingface.co")
# The name under which this host holds its GPUs; empty means what the system calls it. A container
# needs one that stays.
WORKER_HOST = env("WORKER_HOST", default="")
# GPUs this host lends to runs; 0 lets runs that ask for none run on the CPU.
WORKER_GPUS = env.int("WORKER_GPUS", default=0)
# The interpreter that starts the engine; empty means the worker's own.
TRAINER_PYTHON = env("TRAINER_PYTHON", default="")
# Threads of a trainer on the CPU; 0 leaves the choice to torch.
TRAINER_THREADS = env.int("TRAINER_THREADS", default=0)
# Where trainers run: "local" on the worker's host, "slurm" through the queue of a cluster.
RUN_LAUNCHER = env.str("RUN_LAUNCHER", default="local")
if RUN_LAUNCHER not in ("local", "slurm"):
    raise ImproperlyConfigured(f"RUN_LAUNCHER is local or slurm, not {RUN_LAUNCHER!r}")
# What sbatch is told beside the run's GPUs: partition, account, time, memory, processors.
try:
    SLURM_OPTIONS = shlex.split(env.str("SLURM_OPTIONS", default=""))
except ValueError as error:
    raise ImproperlyConfigured(f"SLURM_OPTIONS cannot be taken apart: {error}") from None
if _unfit := unfit(SLURM_OPTIONS):
    raise ImproperlyConfigured(f"SLURM_OPTIONS cannot hold {_unfit}")
# A run that asks for more GPUs than this gets several nodes.
SLURM_GPUS_PER_NODE = env.int("SLURM_GPUS_PER_NODE", default=8)
if SLURM_GPUS_PER_NODE < 1:
    raise ImproperlyConfigured(f"SLURM_GPUS_PER_NODE must be 1 or more, not {SLURM_GPUS_PER_NODE}")
# How often Slurm is asked about each job; its controller is shared with everybody.
SLURM_POLL_SECONDS = env.float("SLURM_POLL_SECONDS", default=10)
# A job that no worker follows for this long saves and ends itself.
SLURM_PATIENCE_SECONDS = env.float("SLURM_PATIENCE_SECONDS", default=1800)
# A worker that is silent for this long loses its run; its trainer is ended before that.
RUN_LEASE_SECONDS = env.float("RUN_LEASE_SECONDS", default=30)
# What a trainer gets to save its work when it is asked to stop, before it is killed.
RUN_STOP_SECONDS = env.float("RUN_STOP_SECONDS", default=60)
# How long a run that is trained waits for storage that is full or away before it fails.
RUN_STORAGE_PATIENCE_SECONDS = env.float("RUN_STORAGE_PATIENCE_SECONDS", default=600)
# How often a worker renews its lease and looks whether somebody cancelled the run.
RUN_HEARTBEAT_SECONDS = env.float("RUN_HEARTBEAT_SECONDS", default=3)

"""A base model is tried before it is taken: the engine opens it and encodes one picture.

That happens in a process of the engine, never in this one. Where the engine is not installed, or
the weights would not fit into this worker's memory, nothing is tried: the first run will tell.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from django.conf import settings

from training.checkpoints.bases import BaseRefused
from training.runs.trainer import engine_python, passed_environment

LEAST_SECONDS = 300
BYTES_PER_SECOND = 20_000_000
MEMORY_SHARE = 0.6
"""Of the memory that is free, how much the weights may take."""
_MEMORY = Path("/proc/meminfo")


def try_base(folder: Path, size: int) -> str:
    """What came of it, in a few words. Raises BaseRefused with what the engine has against it."""
    python = engine_python()
    if not _has_engine(python):
        return "not tried: this worker has no engine"
    if size > MEMORY_SHARE * _free_memory():
        return "not tried: its weights are larger than this worker's free memory allows"
    try:
        done = subprocess.run(
            [python, "-m", "training.rlhf", "try", "--base", str(folder)],
            cwd=settings.BASE_DIR,
            env={**passed_environment(), "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=LEAST_SECONDS + size / BYTES_PER_SECOND,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise BaseRefused("the engine did not open it within limits of time") from None
    said = _said(done.stdout)
    if "error" in said:
        raise BaseRefused(str(said["error"])[:1000])
    if done.returncode or "image_tokens" not in said:
        raise BaseRefused("the engine could not open it within limits of memory")
    return f"tried: a picture becomes {said['image_tokens']} tokens"


def _said(output: bytes) -> dict[str, object]:
    """The last line of the engine, which is JSON."""
    lines = output.decode(errors="replace").strip().splitlines()
    try:
        said = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _has_engine(python: str) -> bool:
    looked = "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is None)"
    return subprocess.run([python, "-I", "-c", looked], check=False).returncode == 0


def _free_memory() -> int:
    for line in _MEMORY.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0

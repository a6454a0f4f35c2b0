"""Images of the next round, made by other processes while this one updates."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import MakeRun
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind, SamplingSettings
from training.rlhf.errors import DataError
from training.rlhf.images_ahead import Ahead
from training.rlhf.pixels import Preprocessing

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def ahead() -> Iterator[Ahead]:
    made = Ahead(preprocessing(), 2)
    yield made
    made.close()


def preprocessing() -> Preprocessing:
    return Preprocessing(tiny.processor(), "<image>", pad_to_square=True, max_pixels=10_000)


def test_pixels_are_those_made_here(ahead: Ahead, image_files: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    ahead.expect([*image_files, broken])
    assert ahead.take(tmp_path / "other.png") is None
    for path in image_files:
        here, there = preprocessing()(path), ahead.take(path)
        assert there is not None and there.placeholder_ids == here.placeholder_ids
        assert there.inputs.keys() == here.inputs.keys()
        assert all(torch.equal(there.inputs[name], here.inputs[name]) for name in here.inputs)
        assert ahead.take(path) is None, "it is handed over once"
    with pytest.raises(DataError, match=r"images/broken\.png cannot be read"):
        ahead.take(broken)


def test_what_killed_workers_leave_is_done_here(image_files: list[Path]) -> None:
    made = Ahead(preprocessing(), 1)
    made.expect(image_files[:1])
    assert made.take(image_files[0]) is not None
    for worker in made._pool._processes.values():
        os.kill(worker.pid, signal.SIGTERM)  # is for the run alone
    made.expect(image_files[:1])
    assert made.take(image_files[0]) is not None
    for worker in made._pool._processes.values():
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
    made.expect(image_files)
    assert made.take(image_files[0]) is None
    made.close()


def test_workers_end_with_a_killed_run(image_files: list[Path]) -> None:
    program = f"""
if __name__ == "__main__":
    import os, signal
    from pathlib import Path
    from tests.training.rlhf.test_images_ahead import Ahead, preprocessing
    made = Ahead(preprocessing(), 2)
    made.expect([Path({str(image_files[0])!r})])
    assert made.take(Path({str(image_files[0])!r}))
    print(*made._pool._processes, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    workers = [Path(f"/proc/{number}") for number in killed.stdout.split()]
    assert workers
    deadline = time.monotonic() + 60
    while any(worker.exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [worker.name for worker in workers if worker.exists()]


def test_a_run_with_workers_is_the_run_without(
    make_run: MakeRun, reward_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And from the second round on, this process decodes nothing that the workers can."""
    final, counts = [], []
    decode = Preprocessing.__call__

    def counted(self: Preprocessing, path: Path) -> object:
        counts[-1] += 1
        return decode(self, path)

    monkeypatch.setattr(Preprocessing, "__call__", counted)
    for workers in (0, 1):
        counts.append(0)
        directory = make_run(
            Kind.PPO,
            f"workers-{workers}",
            reward_model=reward_folder,
            image_workers=workers,
            steps=3,
            rollout_batch_size=4,
            batch_size=4,
            samples_every=100,
            sampling=SamplingSettings(temperature=1.0, query_length=48, response_length=6),
        )
        assert main(["ppo", "--run-dir", str(directory)]) == 0
        final.append(load_file(directory / "final" / "adapter_model.safetensors"))
    assert all(torch.equal(final[0][name], final[1][name]) for name in final[0])
    assert counts[1] < counts[0]

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import durable
from tests.killing import killed_at_each
from training.rlhf import checkpoints
from training.rlhf.errors import CheckpointError


def save(root: Path, step: int, *, keep: int = 0, merit: float | None = None) -> None:
    with checkpoints.saving(root, step, {"note": step}, keep=keep, merit=merit) as folder:
        checkpoints.save_optimizer(folder, "policy", {"w/exp_avg": torch.full((2,), float(step))})


def test_newest_checkpoint_by_number_is_found(tmp_path: Path) -> None:
    for step in (2, 10, 9):
        save(tmp_path, step)
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert found.step == 10
    assert found.state() == {"step": 10, "note": 10, "merit": None}
    assert found.optimizer("policy")["w/exp_avg"].tolist() == [10.0, 10.0]


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path / "none") is None
    assert checkpoints.newest(tmp_path) is None


def test_only_the_newest_two_keep_their_optimiser(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step)
    held = sorted(path.parent.name for path in tmp_path.glob("*/policy.optimizer.safetensors"))
    assert held == ["step-2", "step-3"]
    assert (tmp_path / "step-1" / "state.json").is_file()


@pytest.mark.parametrize(
    ("merits", "left"),
    [
        ([None] * 5, ["step-4", "step-5"]),
        ([0.1, 0.9, 0.3, 0.4, 0.2], ["step-2", "step-4", "step-5"]),
        ([0.9, 0.1, None, 0.4, 0.2], ["step-1", "step-4", "step-5"]),
        ([0.1, 0.2, 0.3, 0.4, 0.5], ["step-4", "step-5"]),
    ],
)
def test_the_newest_and_the_best_are_kept(
    tmp_path: Path, merits: list[float | None], left: list[str]
) -> None:
    for step, merit in enumerate(merits, start=1):
        save(tmp_path, step, keep=2, merit=merit)
    assert sorted(path.name for path in tmp_path.iterdir()) == left


def test_failure_while_saving_leaves_the_previous_one(tmp_path: Path) -> None:
    save(tmp_path, 1)
    with pytest.raises(OSError, match="full"), checkpoints.saving(tmp_path, 2, {}) as folder:
        (folder / "half").write_text("half")
        raise OSError("disk full")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-1"]
    found = checkpoints.newest(tmp_path)
    assert found is not None and found.step == 1


def test_leftover_of_a_kill_is_removed_and_never_taken(tmp_path: Path) -> None:
    save(tmp_path, 1)
    (tmp_path / ".step-2.partial").mkdir()
    (tmp_path / ".step-2.partial" / "state.json").write_text("{}")
    (tmp_path / "step-3").mkdir()  # no state: was never complete
    found = checkpoints.newest(tmp_path)
    assert found is not None and found.step == 1
    assert not (tmp_path / ".step-2.partial").exists()


def test_what_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".step-2.partial").mkdir()
    assert checkpoints.newest(tmp_path, tidy=False) is None
    assert (tmp_path / ".step-2.partial").exists()


def test_folder_is_replaced_whole(tmp_path: Path) -> None:
    for text in ("old", "new"):
        with checkpoints.atomic_folder(tmp_path / "final") as folder:
            (folder / text).write_text(text)
    assert [path.name for path in (tmp_path / "final").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


def test_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    save(tmp_path, 4)
    (tmp_path / "step-4" / "policy.optimizer.safetensors").write_bytes(b"garbage")
    (tmp_path / "step-4" / "state.json").write_text("{")
    found = checkpoints.newest(tmp_path)
    assert found is not None
    with pytest.raises(CheckpointError, match="step-4/policy"):
        found.optimizer("policy")
    with pytest.raises(CheckpointError, match=r"step-4/state\.json"):
        found.state()


def test_a_checkpoint_is_whole_or_absent_wherever_its_writer_is_killed(tmp_path: Path) -> None:
    """Also one that takes another's place: it is the old one, the new one or none."""

    def work(step: int) -> None:
        save(tmp_path / str(step), 7)
        with checkpoints.atomic_folder(tmp_path / str(step) / "best") as folder:
            (folder / "note").write_text("new")

    for step in killed_at_each(work, checkpoints, durable, every=3):
        root = tmp_path / str(step)
        seen = set()
        for again in (False, True):
            if again:
                work(step)
            found = checkpoints.newest(root)
            if found is not None:
                assert found.state()["note"] == 7
                assert found.optimizer("policy")["w/exp_avg"].tolist() == [7.0, 7.0]
            best = root / "best" / "note"
            assert not best.exists() or best.read_text() == "new"
            seen.add(found is not None)
        assert True in seen and {path.name for path in root.iterdir()} == {"step-7", "best"}
    assert step > 50

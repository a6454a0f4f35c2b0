"""What is believed by its name is on the disk before it has it: all of it, and then the name."""

from __future__ import annotations

import ast
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

import durable
from annotation import storage
from config.kept_secrets import kept_secret
from demo import report
from tests.power_loss import Disk
from training.checkpoints import checkpoint_files
from training.models import Checkpoint
from training.rlhf import checkpoints, image_corruption, mixture
from training.runs import in_job

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def _checkpoint(folder: Path) -> None:
    with checkpoints.saving(folder / "checkpoints", 3, {}) as made:
        (made / "deep").mkdir()
        (made / "deep" / "weights").write_bytes(b"w" * 10)


def _crop(folder: Path) -> None:
    Image.new("RGB", (8, 8)).save(folder / "whole.png")
    image_corruption._write_crop(folder / "whole.png", folder / "crop.png", random.Random(0))


def _adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    checkpoint_files.name_base(folder, Checkpoint(name="a base"))


WRITERS: dict[str, Callable[[Path], object]] = {
    "a file of storage": lambda folder: storage.write_whole(folder / "a" / "b" / "c", ["text"]),
    "a secret": lambda folder: kept_secret(folder / "b" / "secret", random_bytes=24),
    "a checkpoint": _checkpoint,
    "a checkpoint again": lambda folder: (_checkpoint(folder), _checkpoint(folder)),
    "a crop": _crop,
    "an adapter's base": _adapter,
    "a mixture": lambda folder: mixture._write(folder / "train.jsonl", ["{}\n"]),
    "what a job leaves": lambda folder: in_job.write(folder / in_job.EXIT, {"code": 0}),
    "a report": lambda folder: report.write({"a": 1}, folder / "report.json"),
}


@pytest.mark.parametrize("what", WRITERS)
def test_it_is_on_the_disk_before_it_has_its_name(disk: Disk, tmp_path: Path, what: str) -> None:
    WRITERS[what](tmp_path)
    assert disk.named and disk.lost() == []


def _content_late(folder: Path) -> None:
    (folder / ".part").write_text("text")
    os.replace(folder / ".part", folder / "final")
    durable.force(folder)


def _name_late(folder: Path) -> None:
    (folder / ".part").write_text("text")
    durable.force(folder / ".part")
    os.replace(folder / ".part", folder / "final")


def _one_forgotten(folder: Path) -> None:
    (folder / ".part").mkdir()
    for name in ("a", "b"):
        (folder / ".part" / name).write_text("text")
    for path in (folder / ".part" / "a", folder / ".part"):
        durable._force_folder(path) if path.is_dir() else durable.force(path)
    (folder / ".part").rename(folder / "final")
    durable._force_folder(folder)


@pytest.mark.parametrize("wrong", [_content_late, _name_late, _one_forgotten])
def test_a_writer_that_trusts_a_rename_is_seen(
    disk: Disk, tmp_path: Path, wrong: Callable[[Path], None]
) -> None:
    wrong(tmp_path)
    assert disk.named == ["final"] and len(disk.lost()) == 1


NOT_BELIEVED = {
    "training/runs/abandoned.py": "a lock, whose file is empty",
    "training/runs/host_cleanup.py": "out of the way, to be deleted",
    "training/rlhf/checkpoints.py": "out of the way, to be deleted",
    "training/runs/builtin_kinds.py": "in a run directory that has no mark yet",
    "factloop.py": "the client is one file that people copy: it forces what it fetches itself",
}


def renames(path: Path) -> Iterator[str]:
    """Calls that give a file another name: those of os and shutil, and of paths (one argument)."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        called = ast.unparse(node.func)
        of_a_path = len(node.args) == 1 and not node.keywords
        if called in ("os.replace", "os.rename", "os.renames", "shutil.move") or (
            of_a_path and node.func.attr in ("replace", "rename")
        ):
            yield ast.unparse(node)


def test_nothing_else_gives_a_name_that_is_believed() -> None:
    found = {
        str(path.relative_to(ROOT))
        for package in ("annotation", "benchmark", "config", "demo", "training")
        for path in (ROOT / package).rglob("*.py")
        if list(renames(path))
    }
    found |= {"factloop.py"} if list(renames(ROOT / "factloop.py")) else set()
    assert found == set(NOT_BELIEVED)


UNMARKED = "in a run directory that has no mark yet"
HIDDEN = "under a hidden name, which durable.place then changes"
A_WHILE = "in a temporary folder, or for a command that makes it anew each time"
GROWS = "a log or events, which grow by whole lines; or a lock, which is empty"
WRITTEN_PLAINLY = {
    "annotation/exporting/zip_stream.py": "sent, not kept",
    "annotation/importing/inline_pictures.py": A_WHILE,
    "annotation/importing/parquet_child.py": A_WHILE,
    "annotation/jobs.py": A_WHILE,
    "annotation/management/commands/import_comparisons.py": A_WHILE,
    "annotation/releases/artefact.py": A_WHILE,
    "annotation/releases/freezing.py": A_WHILE,
    "annotation/storage/whole_files.py": HIDDEN,
    "benchmark/answer_upload.py": A_WHILE,
    "benchmark/question_upload.py": A_WHILE,
    "benchmark/report_cards/kind.py": UNMARKED,
    "benchmark/reward_runs.py": UNMARKED,
    "benchmark/evaluation_runs.py": UNMARKED,
    "config/embedded.py": HIDDEN,
    "config/kept_secrets.py": GROWS,
    "config/serving.py": "a lock, which holds nothing",
    "demo/preparing.py": A_WHILE,
    "demo/processes.py": GROWS,
    "demo/study_engine.py": A_WHILE,
    "training/checkpoints/cards.py": "sent, not kept",
    "training/figures/tensorboard.py": GROWS,
    "training/rlhf/best.py": HIDDEN,
    "training/rlhf/checkpoints.py": HIDDEN,
    "training/rlhf/events.py": GROWS,
    "training/rlhf/generate.py": HIDDEN,
    "training/rlhf/mixture.py": HIDDEN,
    "training/rlhf/reward_model.py": HIDDEN,
    "training/rlhf/run_directory.py": GROWS,
    "training/rlhf/score.py": HIDDEN,
    "training/rlhf/train_ppo.py": HIDDEN,
    "training/rlhf/train_sft.py": HIDDEN,
    "training/rlhf/vllm_servers.py": A_WHILE,
    "training/runs/builtin_kinds.py": UNMARKED,
    "training/runs/execution.py": UNMARKED,
    "training/runs/in_job.py": GROWS,
    "training/runs/launchers/slurm_script.py": "read once, by the command that follows",
    "training/runs/trainer.py": "torn, it is as if it were not there",
}


def plain_writes(path: Path) -> Iterator[str]:
    """Calls that make or lengthen a file by its name: writes, copies, and opening for either."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        texts = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)]
        modes = [one for one in texts if isinstance(one, str) and set(one) <= set("rwaxbt+")]
        opens = called.endswith("open") and any(set(mode) & set("wax") for mode in modes)
        if (
            opens
            or called.startswith("shutil.copy")
            or called.endswith((".write_text", ".write_bytes"))
        ):
            yield ast.unparse(node)


def test_whatever_is_written_plainly_says_why_it_may_be() -> None:
    found = {
        str(path.relative_to(ROOT))
        for package in ("annotation", "benchmark", "config", "demo", "training")
        for path in (ROOT / package).rglob("*.py")
        if list(plain_writes(path))
    }
    assert found == set(WRITTEN_PLAINLY)


def test_a_folder_that_a_check_refuses_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "final").write_text("old")
    (tmp_path / "part").write_text("new")

    def refuse() -> None:
        raise ValueError("not what was sent")

    with pytest.raises(ValueError, match="not what was sent"):
        durable.place(tmp_path / "part", tmp_path / "final", check=refuse)
    assert (tmp_path / "final").read_text() == "old"


def test_a_small_file_leaves_nothing_else(tmp_path: Path) -> None:
    durable.write(tmp_path / "a.json", json.dumps({"a": 1}))
    durable.write(tmp_path / "a.json", b"{}")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.json": b"{}"}
    with pytest.raises(OSError):
        durable.write(tmp_path / "none" / "a.json", b"{}")

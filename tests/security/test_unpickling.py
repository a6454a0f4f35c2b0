"""Nothing that a user could supply is unpickled (torch CVE-2025-32434, CVAT CVE-2025-23045)."""

from __future__ import annotations

import base64
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from django.core.files.base import ContentFile
from kombu.exceptions import ContentDisallowed
from kombu.serialization import loads

from annotation import images, jobs
from annotation.models import ImportJob
from config.celery import app
from tests import factories
from tests.training.rlhf import tiny
from training.rlhf.adapters import ADAPTER_WEIGHTS
from training.rlhf.contract import LoraSettings, ModelSettings
from training.rlhf.errors import ModelError
from training.rlhf.models import VisionLanguageModel

ROOT = Path(__file__).resolve().parents[2]
"""Where the linter finds its rules."""


class Canary:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """The file that unpickling ``pickle.dumps(Canary(path))`` makes."""
    path = tmp_path / "fired"
    pickle.loads(pickle.dumps(Canary(path)))
    assert path.exists(), "the canary must be able to sing"
    path.unlink()
    return path


def pickled(canary: Path, folder: Path) -> list[Path]:
    """The canary as a plain pickle and as torch writes one."""
    plain, of_torch = folder / "plain", folder / "torch"
    plain.write_bytes(pickle.dumps(Canary(canary)))
    torch.save(Canary(canary), of_torch)
    return [plain, of_torch]


@pytest.mark.parametrize("kind", ["pickle", "application/x-python-serialize"])
def test_a_worker_refuses_a_pickled_message(canary: Path, kind: str) -> None:
    body = base64.b64encode(pickle.dumps(Canary(canary)))
    accepted = app.conf.accept_content
    assert set(accepted) == {"json"}
    with pytest.raises(ContentDisallowed):
        loads(body, kind, "binary", accept=["application/json"])
    assert not canary.exists()


def test_tasks_are_sent_as_json_and_results_are_not_kept() -> None:
    assert app.conf.task_serializer == "json"
    assert app.conf.result_backend is None
    assert all(task.serializer in (None, "json") for task in app.tasks.values())


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("pickle", "import pickle"),
        ("pickle", "from pickle import loads"),
        ("torch.load", "import torch\n\ntorch.load('x')"),
        ("joblib", "import joblib"),
    ],
)
def test_the_linter_refuses_what_unpickles(name: str, line: str) -> None:
    command = [sys.executable, "-m", "ruff", "check", "--output-format", "json"]
    command += ["--select", "TID251", "--stdin-filename", "training/some.py", "-"]
    done = subprocess.run(
        command, input=f"{line}\n", capture_output=True, text=True, cwd=ROOT, check=False
    )
    found = json.loads(done.stdout)
    assert [one["code"] for one in found] == ["TID251"], done.stderr
    assert name in found[0]["message"]


# --- Files ------------------------------------------------------------------------------------


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tiny.save_base(tmp_path / "base")


def test_an_adapter_s_pickle_is_not_opened(canary: Path, base: Path, tmp_path: Path) -> None:
    settings, adapter = ModelSettings(dtype="float32"), tmp_path / "adapter"
    model = VisionLanguageModel.load(str(base), settings)
    model.add_adapter("policy", LoraSettings(rank=4, alpha=8))
    for file in pickled(canary, tmp_path):
        for name in (ADAPTER_WEIGHTS, "adapter_model.bin"):
            shutil.rmtree(adapter, ignore_errors=True)
            adapter.mkdir()
            model.save_adapter("policy", adapter)
            (adapter / ADAPTER_WEIGHTS).unlink()
            shutil.copy(file, adapter / name)
            with pytest.raises(ModelError):
                model.load_adapter(f"{file.name} as {name}".replace(".", " "), adapter)
    assert not canary.exists()


def test_a_base_model_s_pickle_is_not_opened(canary: Path, base: Path, tmp_path: Path) -> None:
    (base / "model.safetensors").unlink()
    for file in pickled(canary, tmp_path):
        shutil.copy(file, base / "pytorch_model.bin")
        with pytest.raises(ModelError, match="safetensors"):
            VisionLanguageModel.load(str(base), ModelSettings(dtype="float32"))
    assert not canary.exists()


@pytest.mark.django_db
def test_an_upload_s_pickle_is_not_opened(canary: Path, tmp_path: Path) -> None:
    project, maker = factories.make_project(), factories.make_admin()
    uploads = ("records", "second_records", "images", "captions")
    for file in pickled(canary, tmp_path):
        data = file.read_bytes()
        with pytest.raises(images.BadImage):
            images.store(data)
        for format in ImportJob.Format.values:
            for name in ("new.jsonl", "new.parquet"):
                files = {one: ContentFile(data, name) for one in uploads}
                asking = {"project": project, "created_by": maker, "format": format}
                job = ImportJob.objects.create(name=f"{name}, {name}", **asking, **files)
                jobs.run_import(job.pk)
                job.refresh_from_db()
                assert job.state == "failed"
    assert not canary.exists()

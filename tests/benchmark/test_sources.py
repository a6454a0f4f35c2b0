"""Where published files are found: a file, a folder, a data set on the hub."""

from __future__ import annotations

import json
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from benchmark import sources
from benchmark.models import QuestionSet
from benchmark.sources import NotTaken
from tests.benchmark.factories import record
from tests.factories import picture_bytes

pytestmark = pytest.mark.django_db


def published_mmhal(folder: Path) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "image-0.png").write_bytes(picture_bytes())
    records = [record(0), record(1)]
    (folder / "response_template.json").write_text(json.dumps(records))
    return folder


def imported(*arguments: str, **options: Any) -> str:
    said = StringIO()
    call_command("import_questions", *arguments, stdout=said, **options)
    return said.getvalue()


def test_a_folder_names_what_is_missing_and_what_is_there(tmp_path: Path) -> None:
    folder = published_mmhal(tmp_path / "mmhal")
    with pytest.raises(CommandError, match=r"image image-1\.png is missing"):
        imported("mmhal", str(folder))
    said = imported("mmhal", str(folder), allow_missing=True)
    assert "2 questions, 1 of them with an image" in said
    assert "missing: image-1.png" in said


def test_a_folder_of_pope_holds_a_set_per_split(tmp_path: Path) -> None:
    for split in ("random", "popular", "adversarial"):
        line = {"question_id": 1, "image": "a.png", "text": f"A {split} dog?", "label": "no"}
        (tmp_path / f"coco_pope_{split}.json").write_text(json.dumps(line))
    (tmp_path / "a.png").write_bytes(picture_bytes())
    imported("pope", str(tmp_path))
    assert sorted(QuestionSet.objects.values_list("name", flat=True)) == [
        "POPE adversarial, 1 questions",
        "POPE popular, 1 questions",
        "POPE random, 1 questions",
    ]


def test_a_folder_without_the_files_says_which(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"holds no response_template\.json"):
        imported("mmhal", str(tmp_path))
    with pytest.raises(CommandError, match="source: no-such-thing is neither a file nor a folder"):
        imported("mmhal", "no-such-thing")
    with pytest.raises(CommandError, match="--images is needed"):
        imported("mmhal", str(published_mmhal(tmp_path / "m") / "response_template.json"))


def test_a_data_set_of_the_hub_is_fetched(tmp_path: Path, monkeypatch: Any) -> None:
    folder = published_mmhal(tmp_path / "cache")
    asked = []

    def snapshot_download(name: str, *, repo_type: str) -> str:
        asked.append((name, repo_type))
        return str(folder)

    hub = SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    assert "2 questions" in imported("mmhal", "someone/MMHal-Bench", allow_missing=True)
    assert asked == [("someone/MMHal-Bench", "dataset")]


def test_a_hub_that_is_away_is_told_in_words(monkeypatch: Any) -> None:
    def snapshot_download(name: str, *, repo_type: str) -> str:
        raise ConnectionError("no network")

    hub = SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with pytest.raises(
        NotTaken,
        match=r"source: someone/\S+ cannot be fetched from the hub \(no network\); .*folder",
    ):
        sources.located("someone/MMHal-Bench")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(NotTaken, match="huggingface_hub"):
        sources.located("someone/MMHal-Bench")

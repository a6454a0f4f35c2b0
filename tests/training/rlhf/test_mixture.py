from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import MakeRun
from tests.training.rlhf.converters import samples
from training.rlhf.__main__ import main
from training.rlhf.contract import ConversationRecord, Kind
from training.rlhf.data import read_records
from training.rlhf.errors import DataError
from training.rlhf.mixture import read_mixture, write_mixture

IMAGES = ("COCO_train2014_000000000009.jpg", "000000000009.jpg", "1000.jpg", "2000.jpg")


@pytest.fixture
def sources(tmp_path: Path) -> list[dict[str, Any]]:
    """One source of each format; their files and pictures lie in ``tmp_path / "raw"``."""
    raw = tmp_path / "raw"
    samples.write(raw / samples.QUESTIONS_NAME, samples.vqa_questions())
    samples.write(raw / "vqa.json", samples.vqa_annotations())
    samples.write(raw / "aokvqa.json", samples.aokvqa())
    samples.write(raw / "results.token", samples.TOKEN_FILE)
    samples.write(raw / "llava.json", samples.llava())
    names = tiny.save_images(raw / "images", count=len(IMAGES))
    for name, image in zip(names, IMAGES, strict=True):
        (raw / "images" / name).rename(raw / "images" / image)
    vqa = {"questions": samples.QUESTIONS_NAME, "annotations": "vqa.json"}
    return [
        {"format": "vqa_v2", "images": "images", "files": vqa},
        {"format": "aokvqa", "images": "images", "files": {"annotations": "aokvqa.json"}},
        {"format": "flickr30k", "images": "images", "files": {"captions": "results.token"}},
        {"format": "llava", "images": "images", "files": {"conversations": "llava.json"}},
    ]


def write(tmp_path: Path, sources: list[dict[str, Any]], **fields: Any) -> Path:
    return samples.write(tmp_path / "raw" / "mixture.json", {"sources": sources, **fields})


def records_of(directory: Path, name: str = "train") -> list[ConversationRecord]:
    path = directory / "data" / f"{name}.jsonl"
    if path.stat().st_size == 0:
        return []
    return read_records(path, ConversationRecord, images=directory / "images")


def mix(tmp_path: Path, sources: list[dict[str, Any]], name: str = "run", **fields: Any) -> Path:
    mixture = read_mixture(write(tmp_path, sources, **fields))
    write_mixture(mixture, root=tmp_path / "raw", directory=tmp_path / name)
    return tmp_path / name


def test_every_format_goes_into_one_run_that_trains(
    sources: list[dict[str, Any]],
    tmp_path: Path,
    make_run: MakeRun,
    capsys: pytest.CaptureFixture[str],
) -> None:
    directory = make_run(Kind.SFT, max_steps=1, batch_size=2, max_length=200)
    arguments = ["--mixture", str(write(tmp_path, sources)), "--run-dir", str(directory)]
    assert main(["mixture", *arguments]) == 0
    table = capsys.readouterr().out
    assert "vqa_v2: 1 left out, not a yes/no question" in table
    assert [line.split()[0] for line in table.splitlines()[1:6]] == [
        *("vqa_v2", "aokvqa", "flickr30k", "llava", "all")
    ]
    found = {record.id.partition("-")[0]: record for record in records_of(directory)}
    assert set(found) == {"vqa", "aokvqa", "flickr", "llava"}
    assert found["vqa"].image == "vqa_v2/COCO_train2014_000000000009.jpg"
    assert main(["sft", "--run-dir", str(directory)]) == 0
    kept = json.loads((directory / "final" / "mixture.json").read_text())
    assert [row["train"] for row in kept] == [1, 1, 2, 1]
    assert kept[0]["dropped"] == {"not a yes/no question": 1, "neither yes nor no": 1}


def test_weights_and_limits_say_how_much_goes_in(
    sources: list[dict[str, Any]], tmp_path: Path
) -> None:
    flickr = sources[2]
    counts = {}
    for name, changes in {
        "half": {"weight": 0.5},
        "more": {"weight": 2.5},
        "limited": {"weight": 2.5, "limit": 3},
    }.items():
        ids = [one.id for one in records_of(mix(tmp_path, [flickr | changes], name))]
        assert len(set(ids)) == len(ids)
        counts[name] = len(ids)
    assert counts == {"half": 1, "more": 5, "limited": 3}


def test_the_seed_decides_which_ones(sources: list[dict[str, Any]], tmp_path: Path) -> None:
    half = [sources[2] | {"weight": 0.5}]
    chosen = {records_of(mix(tmp_path, half, f"run-{seed}", seed=seed))[0].id for seed in range(8)}
    assert len(chosen) == 2
    again = [records_of(mix(tmp_path, half, name, seed=3))[0].id for name in ("a", "b")]
    assert again[0] == again[1]


def test_an_image_is_held_out_under_all_its_names(
    sources: list[dict[str, Any]], tmp_path: Path
) -> None:
    """The first picture is in three sources, in one of them under COCO's older name."""
    seen = set()
    for seed in range(4):
        directory = mix(tmp_path, sources, f"run-{seed}", seed=seed, held_out=0.5)
        places = [
            {one.id.partition("-")[0] for one in records_of(directory, name)}
            & {"vqa", "aokvqa", "llava"}
            for name in ("train", "held_out")
        ]
        assert set() in places
        seen.add(len(places[0]))
    assert seen == {0, 3}


def test_conversations_without_their_image_are_counted(
    sources: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "raw" / "images" / "2000.jpg").unlink()
    [row] = write_mixture(
        read_mixture(write(tmp_path, [sources[2]])),
        root=tmp_path / "raw",
        directory=tmp_path / "run",
    )
    assert (row.converted, row.dropped) == (1, {"image not in the folder": 1})


def test_images_outside_their_folder_are_refused(
    sources: list[dict[str, Any]], tmp_path: Path
) -> None:
    lines = samples.TOKEN_FILE.replace("2000.jpg", "../images/2000.jpg")
    (tmp_path / "raw" / "results.token").write_text(lines.replace("1000.jpg", "../results.token"))
    with pytest.raises(DataError, match="outside the images folder"):
        mix(tmp_path, [sources[2]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "coco"}, r"sources\[0\]\.format: is 'coco', not one of vqa_v2"),
        ({"files": {"captions": "x"}}, r"sources\[0\]\.files: has to name annotations"),
        ({"weight": 0.0}, r"sources\[0\]\.weight: is 0\.0"),
        ({"limit": -1}, r"sources\[0\]\.limit: is -1, below 0"),
        ({"name": "../up"}, r"sources\[0\]\.name"),
        ({"colour": 1}, r"sources\[0\]\.colour: is not a known field"),
        ({"images": "nowhere"}, r"source aokvqa: nowhere is no folder"),
    ],
)
def test_what_is_wrong_with_a_mixture_is_named(
    change: dict[str, Any],
    message: str,
    sources: list[dict[str, Any]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = write(tmp_path, [sources[1] | change])
    arguments = ["--mixture", str(path), "--run-dir", str(tmp_path / "run")]
    assert main(["mixture", *arguments]) == 1
    [record] = caplog.records
    assert re.search(message, record.getMessage())
    assert not (tmp_path / "run" / "data").exists()


def test_two_sources_of_one_name_are_refused(sources: list[dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a name of its own"):
        read_mixture(write(tmp_path, [sources[1], sources[1]]))
    read_mixture(write(tmp_path, [sources[1], sources[1] | {"name": "again"}]))

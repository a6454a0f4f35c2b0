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


@pytest.mark.parametrize("name", ["../images/2000.jpg", r"..\a.jpg", "a/../../b"])
def test_images_outside_their_folder_are_refused_by_file_and_line(
    name: str, sources: list[dict[str, Any]], tmp_path: Path
) -> None:
    lines = samples.TOKEN_FILE.replace("2000.jpg", name)
    number = next(n for n, line in enumerate(lines.split("\n"), start=1) if line.startswith(name))
    (tmp_path / "raw" / "results.token").write_text(lines)
    place = rf"^results\.token, line {number}, image: .* is outside the images folder"
    with pytest.raises(DataError, match=place):
        mix(tmp_path, [sources[2]])
    conversations = [one | {"image": name} if "image" in one else one for one in samples.llava()]
    samples.write(tmp_path / "raw" / "llava.json", conversations)
    with pytest.raises(DataError, match=r"^llava\.json, line \d+, image: .* outside"):
        mix(tmp_path, [sources[3]])


@pytest.mark.parametrize(
    "name",
    [
        "COCO_val2017_000000000009.jpg",
        "coco/train2017/000000000009.jpg",
        "u\\000000000009.jpg",
        "./000000000009.jpg",
        "/data/coco/000000000009.jpg",
        "000000000009.JPG",
    ],
)
def test_a_picture_is_found_under_each_of_its_names(
    name: str, sources: list[dict[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "raw" / "images" / IMAGES[0]).unlink()
    conversations = [one | {"image": name} if "image" in one else one for one in samples.llava()]
    samples.write(tmp_path / "raw" / "llava.json", conversations)
    found = records_of(mix(tmp_path, [sources[3]]))
    assert {one.image for one in found} == {"llava/000000000009.jpg"}


def test_a_picture_that_several_files_fit_is_refused(
    sources: list[dict[str, Any]], tmp_path: Path
) -> None:
    for folder in ("a", "b"):
        (tmp_path / "raw" / "images" / folder).mkdir()
        (tmp_path / "raw" / "images" / folder / "x.jpg").touch()
    conversations = [one | {"image": "x.jpg"} if "image" in one else one for one in samples.llava()]
    samples.write(tmp_path / "raw" / "llava.json", conversations)
    with pytest.raises(DataError, match=r"fits several files of its folder: a/x\.jpg, b/x\.jpg"):
        mix(tmp_path, [sources[3]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"data": [{"id": 1}]}, "llava.json: is one object, not a list: .* list under 'data'"),
        ([None], r"llava.json, line 1: is null, not an object"),
        ([{"id": 1, "image": "a.jpg"}], r"llava.json, line 1, conversations: is missing"),
        (
            [{"id": None, "image": "a.jpg", "conversations": samples.llava()[0]["conversations"]}],
            r"llava.json, line 1, id: is null, not a text or a whole number",
        ),
    ],
)
def test_what_a_source_holds_instead_of_records_is_said(
    content: Any, message: str, sources: list[dict[str, Any]], tmp_path: Path
) -> None:
    samples.write(tmp_path / "raw" / "llava.json", content)
    with pytest.raises(DataError, match=message):
        mix(tmp_path, [sources[3]])


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

"""What the engine is brought and cannot use is refused by file, line and member, in words.

Nothing of Python, torch or PIL is said to people, and no folder of the machine.
"""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from annotation.image_child import answer
from tests.training.rlhf.conftest import base_folder  # noqa: F401  (a fixture)
from training.rlhf.contract import (
    ContractError,
    PreferencePair,
    PromptRecord,
    RunSpec,
)
from training.rlhf.data import read_records
from training.rlhf.errors import DataError
from training.rlhf.pixels import read_image
from training.rlhf.reading import records

BASE_MODEL = Path(__file__).parents[2] / "demo" / "base_model"
PROGRAMS = ("Error", "NoneType", "Traceback", "<class", "torch.", "Kind.", "object has no")


def in_words(error, *wanted):
    said = str(error)
    assert all(part in said for part in wanted), said
    assert not any(part in said for part in PROGRAMS) and "\n" not in said
    return True


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    return folder


def prompt(**changes):
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": ""}]
    return {"id": "1", "image": "a.png", "conversations": turns, **changes}


def pair(**changes):
    outputs = {"output_1": {"value": "One."}, "output_2": {"value": "Two."}}
    return prompt(**{**outputs, "preference": 1, **changes})


RECORDS = {
    "a number": (PromptRecord, 1, "record: is not an object"),
    "null": (PromptRecord, None, "record: is not an object"),
    "a list": (PreferencePair, [1], "record: is not an object"),
    "a text": (PreferencePair, "x", "record: is not an object"),
    "an id that is null": (PromptRecord, prompt(id=None), "id: is not a text"),
    "an id that is a list": (PromptRecord, prompt(id=[1]), "id: is not a text"),
    "turns that are a text": (PromptRecord, prompt(conversations="x"), "conversations: is not a"),
    "an image that is a number": (PromptRecord, prompt(image=5), "image: is not a text or a list"),
    "a truth as preference": (PreferencePair, pair(preference=True), "preference: is not a whole"),
    "an output that is a text": (PreferencePair, pair(output_1="x"), "output_1: is not an object"),
    "an output that is null": (PreferencePair, pair(output_2=None), "output_2: is not an object"),
    "votes that are a text": (PreferencePair, pair(votes="x"), "votes: is not an object of counts"),
    "votes that are texts": (PreferencePair, pair(votes={"1": "x"}), "votes.1: is no count"),
    "a margin of nothing": (PreferencePair, pair(margin=float("nan")), "margin: is not a number"),
    "a margin above 1": (PreferencePair, pair(margin=3), "margin: is not between 0 and 1"),
    "fewer votes than none": (PreferencePair, pair(votes={"1": -1}), "votes.1: is no count"),
    "a hallucination in words": (PreferencePair, pair(hallucination="no"), "is neither true nor"),
    "half of a character": (PreferencePair, pair(output_1={"value": "\ud800"}), "half of a char"),
    "half of one in a fact": (PromptRecord, prompt(captions=["a", "\udfff"]), "captions[1]: holds"),
    "a bonus of nothing": (PromptRecord, prompt(length_bonus=float("nan")), "length_bonus: is not"),
    "a bonus without end": (
        PromptRecord,
        prompt(length_bonus=float("inf")),
        "length_bonus: is not",
    ),
    "a truth as a type": (PromptRecord, prompt(caption_type=True), "caption_type: is True"),
    "turns of messages": (
        PromptRecord,
        prompt(conversations=[{"role": "user", "content": "What?"}]),
        "conversations[0].from: is missing",
    ),
    "a margin in words": (PreferencePair, pair(margin="half"), "margin: is not a number"),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_is_refused_by_line_and_member(kind, tmp_path, images):
    of, value, reason = RECORDS[kind]
    path = tmp_path / "train.jsonl"
    path.write_text(f"{json.dumps(pair())}\n{json.dumps(value)}\n")
    with pytest.raises(DataError) as refused:
        read_records(path, of, images=images)
    assert in_words(refused.value, "train.jsonl, line 2: ", reason)


def test_an_answer_that_says_nothing_is_an_answer(tmp_path, images):
    """Models are silent now and then; people compare such an answer like any other, and every
    release with one must train."""
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps(pair(output_1={"value": ""}, preference=2)))
    [read] = read_records(path, PreferencePair, images=images)
    assert (read.output_1, read.better) == ("", "Two.")


def test_an_id_stands_once_where_results_are_told_by_it(tmp_path, images):
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(prompt(id=id)) + "\n" for id in "aba"))
    assert len(read_records(path, PromptRecord, images=images)) == 3
    with pytest.raises(DataError) as refused:
        read_records(path, PromptRecord, images=images, ids_once=True)
    assert in_words(refused.value, "line 3: id: 'a' is the id of line 1 too")


FILES = {
    "HTML": (b"\n<!DOCTYPE html>", "is HTML or XML"),
    "gzip": (b"\x1f\x8b\x08abc", "is compressed with gzip"),
    "a spreadsheet": (b"PK\x03\x04abc", "is a zip archive (or a spreadsheet)"),
    "Parquet": (b"PAR1abc", "is a Parquet file"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_of_another_kind_is_called_what_it_is(kind, tmp_path):
    data, reason = FILES[kind]
    (tmp_path / "train.jsonl").write_bytes(data)
    with pytest.raises(DataError) as refused:
        list(records(tmp_path / "train.jsonl"))
    assert in_words(refused.value, "train.jsonl", reason)


@pytest.mark.parametrize("value", [[], "x", 3, None, {}, {"kind": "zzz"}, {"kind": 3}])
def test_a_spec_is_refused_by_its_member(value):
    with pytest.raises(ContractError) as refused:
        RunSpec.from_json(value)
    assert in_words(refused.value, "kind: ")


def _png():
    data = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(data, "PNG")
    return data.getvalue()


PICTURES = {
    "cut off": _png()[:900],
    "cut in its header": _png()[:20],
    "empty": b"",
    "a page": b"<html>404</html>",
    "noise": bytes(range(256)),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_is_refused_by_its_name_and_not_by_its_folder(kind, tmp_path):
    path = tmp_path / "b.png"
    path.write_bytes(PICTURES[kind])
    with pytest.raises(DataError) as refused:
        read_image(path)
    assert in_words(refused.value, "images/b.png cannot be read as a picture")
    assert str(tmp_path) not in str(refused.value)


def _grey(bits):
    rows = [[value << (bits - 6) for value in range(64)]] * 4
    data = b"".join(value.to_bytes(2, "little") for row in rows for value in row)
    return Image.frombytes("I;16", (64, 4), data)


def _turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.new("RGB", (80, 40), "red")
    picture.paste("blue", (0, 0, 40, 40))
    return picture, {"exif": exif}


ODD_PICTURES = {
    "10 bits of 16": ("a.png", _grey(10), {}),
    "12 bits of 16": ("a.png", _grey(12), {}),
    "16 bits": ("a.png", _grey(16), {}),
    "turned": ("a.jpg", *_turned()),
    "transparent": ("a.png", Image.new("RGBA", (4, 4), (9, 9, 9, 0)), {}),
    "a palette": ("a.gif", Image.new("P", (4, 4), 3), {"transparency": 3}),
    "four inks": ("a.jpg", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), {}),
}


@pytest.mark.parametrize("kind", ODD_PICTURES)
def test_models_see_the_picture_that_people_see(kind, tmp_path):
    """Also in a run directory that was made elsewhere, whose pictures no import has looked at."""
    name, picture, options = ODD_PICTURES[kind]
    picture.save(tmp_path / name, **options)
    _, encoded = answer((tmp_path / name).read_bytes())
    imported = Image.open(io.BytesIO(encoded)).convert("RGB")
    seen = read_image(tmp_path / name)
    assert seen.size == imported.size
    pairs = zip(seen.tobytes(), imported.tobytes(), strict=True)
    assert max(abs(one - other) for one, other in pairs) <= (4 if name.endswith("jpg") else 0)

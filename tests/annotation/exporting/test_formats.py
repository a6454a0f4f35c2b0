"""Each format beside the native record that says the same, and the libraries that read them."""

import importlib.util
import io
import json
import os
import subprocess
import sys
import zipfile

import pytest

from annotation import exporting
from annotation.exporting import make_release
from annotation.image_sources import Stored
from annotation.importing import import_files
from annotation.importing.formats import parse_any_pair
from annotation.importing.record_files import BadField
from annotation.models import Comparison, Image
from annotation.releases.freezing import freeze_again
from tests.factories import judge, make_comparison, make_project, make_prompt

pytestmark = pytest.mark.django_db

SPEAKERS = {"user": "human", "assistant": "gpt"}


@pytest.fixture
def release():
    """Two preferences of honesty, one of helpfulness, one conversation of three turns."""
    project = make_project(k=1)
    judge(make_comparison(project, model_1="a", model_2="b", source="import 7"), "2")
    judge(make_comparison(project, model_1="a", model_2="b", source="import 7"), "1")
    judge(make_comparison(project), "tie", "2")
    turns = [
        {"from": "human", "value": "<image>\nWhat is shown?"},
        {"from": "gpt", "value": "A circle."},
        {"from": "human", "value": "Of which colour, a < b?"},
    ]
    judge(make_comparison(project, prompt=make_prompt(project, conversation=turns)), "1")
    judge(make_comparison(project), "tie", "tie")
    return make_release(project, held_out_share=0.4)


def records(release, format, split=None):
    data = b"".join(exporting.stream(release, format, split))
    return [json.loads(line) for line in data.splitlines()]


def outputs(native):
    texts = {number: native[f"output_{number}"]["value"] for number in (1, 2)}
    return texts[native["preference"]], texts[3 - native["preference"]]


def spoken(messages):
    """Messages as the native turns they were made of."""
    turns = []
    for message in messages:
        image = "<image>\n" if {"type": "image"} in message["content"] else ""
        (text,) = (part["text"] for part in message["content"] if part["type"] == "text")
        turns.append({"from": SPEAKERS[message["role"]], "value": image + text})
    return turns


def test_trl_says_what_the_native_format_says(release):
    natives = records(release, "llava_rlhf")
    found = records(release, "trl")
    assert len(found) == len(natives) == 4
    for native, record in zip(natives, found, strict=True):
        better, worse = outputs(native)
        assert record["id"] == native["id"]
        assert spoken(record["prompt"]) == native["conversations"][:-1]
        assert spoken(record["chosen"]) == [{"from": "gpt", "value": better}]
        assert spoken(record["rejected"]) == [{"from": "gpt", "value": worse}]
        assert record["images"] == [native["image"]]
        marks = [part for m in record["prompt"] for part in m["content"] if part["type"] == "image"]
        assert len(marks) == len(record["images"])


def test_rlhf_v_says_what_the_native_format_says(release):
    natives = {record["id"]: record for record in records(release, "llava_rlhf")}
    found = records(release, "rlhf_v")
    assert len({record["idx"] for record in found}) == len(found) == len(natives)
    for record in found:
        origin = json.loads(record["origin_split"])
        native = natives.pop(origin["id"])
        assert (record["chosen"], record["rejected"]) == outputs(native)
        assert (record["image"], record["image_path"]) == (
            native["image"],
            f"images/{native['image']}",
        )
        last = native["conversations"][-2]["value"].removeprefix("<image>\n")
        assert record["question"].endswith(last)
        assert record["ds_name"] == "factloop"
        if record["origin_dataset"]:
            chosen = native[f"output_{native['preference']}"]["from"]
            assert origin["models"]["chosen"] == chosen
    assert not natives


def test_rlhf_v_keeps_earlier_turns_before_the_question(release):
    questions = [record["question"] for record in records(release, "rlhf_v")]
    earlier = "Question: What is shown?\nAnswer: A circle.\nQuestion: Of which colour, a < b?"
    assert questions.count(earlier) == 1


@pytest.mark.parametrize("format", exporting.FOLDER_FORMATS)
def test_the_zip_of_a_folder_holds_what_the_folder_holds(release, format, tmp_path):
    exporting.write_folder(release, tmp_path, format)
    files = {
        str(path.relative_to(tmp_path)): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    sent = b"".join(exporting.stream_folder(release, format))
    archive = zipfile.ZipFile(io.BytesIO(sent))
    assert {name: archive.read(name) for name in archive.namelist()} == files
    assert sent == b"".join(exporting.stream_folder(release, format))
    assert any(name.endswith(".png") for name in files)


def test_an_unknown_folder_is_refused_before_the_stream_begins(release):
    with pytest.raises(exporting.UnknownFormat):
        exporting.stream_folder(release, "pickle")


@pytest.mark.parametrize("format", ["trl", "rlhf_v"])
def test_the_splits_of_a_format_are_all_of_it(release, format):
    parts = [record for split in exporting.SPLITS for record in records(release, format, split)]
    assert len(parts) == 4
    assert sorted(map(str, parts)) == sorted(map(str, records(release, format)))


def test_the_dataset_folder_is_the_same_each_time_and_splits_by_image(release, tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        exporting.write_folder(release, folder, "datasets")
    Comparison.objects.update(response_1="changed")
    exporting.write_folder(release, folders[1], "datasets")
    files = [{str(p.relative_to(f)): p.read_bytes() for p in f.rglob("*.*")} for f in folders]
    assert files[0] == files[1]
    for split in exporting.SPLITS:
        lines = files[0][f"{split}/metadata.jsonl"].splitlines()
        named = {name for line in lines for name in json.loads(line)["file_names"]}
        assert {f"{split}/{name}" for name in named} | {f"{split}/metadata.jsonl"} == {
            name for name in files[0] if name.startswith(f"{split}/")
        }
    assert release.sha256.encode() in files[0]["README.md"]


LOAD = """
import json, sys
from datasets import load_dataset
found = load_dataset(sys.argv[1])
rows = {name: [{**row, "images": [image.size for image in row["images"]]} for row in part]
        for name, part in found.items()}
print(json.dumps(rows))
"""

PREPARE = """
import json, sys
from datasets import load_dataset
from trl.data_utils import is_conversational, prepare_multimodal_messages
for part in load_dataset(sys.argv[1]).values():
    for row in part:
        assert is_conversational(row), row
        messages = prepare_multimodal_messages(
            row["prompt"] + row["chosen"], images=list(row["images"])
        )
        images = [p for m in messages for p in m["content"] if p["type"] == "image"]
        assert [image["image"].size for image in images] == [(8, 6)], messages
        print(json.dumps(messages[-1]["content"][-1]["text"]))
"""


def in_a_process(code, folder, tmp_path):
    """Standard output of ``code``; a process of its own, as these libraries warn on import."""
    environment = {**os.environ, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not importlib.util.find_spec("datasets"), reason="datasets is not installed")
def test_the_datasets_library_loads_the_folder(release, tmp_path):
    folder = exporting.write_folder(release, tmp_path / "folder", "datasets")
    loaded = json.loads(in_a_process(LOAD, folder, tmp_path))
    assert set(loaded) == {"train", "held_out"}
    for split, rows in loaded.items():
        natives = records(release, "llava_rlhf", split)
        assert [row["id"] for row in rows] == [native["id"] for native in natives]
        for row, native in zip(rows, natives, strict=True):
            assert row["images"] == [[8, 6]]
            assert row["chosen"][0]["content"][0]["text"] == outputs(native)[0]
            assert row["hallucination"] == native["hallucination"]
            assert row["captions"] == native["captions"]


@pytest.mark.skipif(
    not (importlib.util.find_spec("trl") and importlib.util.find_spec("datasets")),
    reason="TRL is not installed",
)
def test_trl_prepares_the_folder_for_dpo(release, tmp_path):
    folder = exporting.write_folder(release, tmp_path / "folder", "datasets")
    prepared = in_a_process(PREPARE, folder, tmp_path).splitlines()
    expected = [outputs(native)[0] for native in records(release, "llava_rlhf")]
    assert sorted(map(json.loads, prepared)) == sorted(expected)


PLACES = [
    "闹钟的位置对睡眠质量有什么影响？",  # noqa: RUF001
    "What is it? <image>",
    "What <image> is it?",
    "<image>\n<image>\nWhat is it?",
]


@pytest.mark.parametrize("question", PLACES)
@pytest.mark.parametrize("turns", [1, 3])
def test_the_image_stands_once_in_the_first_turn_and_its_mark_is_text_elsewhere(question, turns):
    project = make_project(k=1)
    conversation = [
        {"from": "human", "value": question},
        {"from": "gpt", "value": "Use <image>."},
        {"from": "human", "value": "Why <image>?"},
    ][:turns]
    prompt = make_prompt(project, conversation=conversation)
    comparison = make_comparison(
        project, prompt=prompt, response_1="The <image> element.", response_2="A dog."
    )
    judge(comparison, "2")
    release = make_release(project)
    [found] = records(release, "trl")
    blocks = [part["type"] for message in found["prompt"] for part in message["content"]]
    assert blocks == ["image", *["text"] * turns]
    texts = [message["content"][-1]["text"] for message in found["prompt"]]
    assert (
        texts == [question.replace("<image>", "").strip(), "Use <image>.", "Why <image>?"][:turns]
    )
    assert found["chosen"][0]["content"] == [{"type": "text", "text": "The <image> element."}]
    assert (release.counts["with_facts"], release.counts["with_marks"]) == (
        bool(prompt.captions),
        0,
    )


def test_marked_words_go_with_their_outputs():
    """Where nobody marked a word nothing is said: nobody may have looked."""
    project = make_project(k=1, mark_spans=True)
    span = {"response": 2, "start": 0, "end": 1, "kind": "object"}
    judge(make_comparison(project, external_id="a"), "2", spans=[span])
    judge(make_comparison(project, external_id="b"), "2")
    marked, plain = records(make_release(project), "llava_rlhf")
    assert marked["output_1"]["marks"] == []
    assert marked["output_2"]["marks"] == [{"start": 0, "end": 1, "kind": "object"}]
    assert "marks" not in plain["output_1"] and "marks" not in plain["output_2"]


ANSWERS = {"response_1": "Two red cats.", "response_2": "Three dogs sit."}


def corrected_project(k=2):
    """One comparison with marks, the same correction twice and one that changes nothing."""
    project = make_project(k=k, ask_correction="better")
    comparison = make_comparison(project, external_id="a", model_1="m", model_2="n", **ANSWERS)
    span = {"response": 1, "start": 4, "end": 7, "kind": "attribute"}
    blue = [{"response": 1, "text": "Two blue cats."}]
    judge(comparison, "2", spans=[span], corrections=blue)
    judge(comparison, "2", corrections=[*blue, {"response": 2, "text": "Three dogs sit."}])
    return project


def test_corrections_go_with_what_changed_in_them():
    """The one optional member; a correction that changes nothing is no pair, the same text one."""
    release = make_release(corrected_project(), held_out_share=0)
    [record] = records(release, "llava_rlhf")
    assert record["corrections"] == [
        {
            "output": 1,
            "value": "Two blue cats.",
            "marks": [{"start": 4, "end": 8, "kind": "correction"}],
            "replaced": [{"start": 4, "end": 7, "kind": "attribute"}],
        }
    ]
    assert (release.counts["with_marks"], release.counts["with_corrections"]) == (1, 1)
    pair, corrected = records(release, "rlhf_v")
    assert (pair["chosen"], pair["rejected"]) == ("Two red cats.", "Three dogs sit.")
    assert (corrected["chosen"], corrected["rejected"]) == ("Two blue cats.", "Two red cats.")
    origin = json.loads(corrected["origin_split"])
    assert (origin["corrects"], origin["models"]) == ("a", {"chosen": "", "rejected": "m"})
    assert [vote.get("corrections", []) for vote in records(release, "votes")]


def test_a_release_without_corrections_is_as_it_ever_was(release):
    plain, corrected = (next(exporting_lines(one)) for one in (release, fresh_release()))
    assert (plain["artefact"], corrected["artefact"]) == (1, 2)
    assert all("corrections" not in record for record in records(release, "llava_rlhf"))
    assert all("corrections" not in vote for vote in records(release, "votes"))
    assert (release.counts["with_corrections"], freeze_again(release)) == (0, True)


def fresh_release():
    return make_release(corrected_project())


def exporting_lines(release):
    with release.artefact.open("rb") as file:
        yield from map(json.loads, file)


@pytest.mark.parametrize("format", ["llava_rlhf", "rlhf_v"])
def test_marks_and_corrections_come_back_in(format, tmp_path):
    """Out of one project and into another: the release of that one teaches the same."""
    release = make_release(corrected_project(), held_out_share=0)
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"".join(exporting.stream(release, format)))
    images = Stored(Image.objects.all())
    other = make_project(k=1)
    done = import_files(other, [path], images, format=format)
    assert done.created == 1
    assert [str(join) for join in done.joins] == [
        *("images for 1 of 1", f"facts for {int(format == 'llava_rlhf')} of 1"),
        *("marked words for 1 of 1", "corrections for 1 of 1"),
    ]
    [before], [after] = (records(one, "llava_rlhf") for one in (release, make_release(other)))
    sides = {before[f"output_{n}"]["value"]: before[f"output_{n}"] for n in (1, 2)}
    for number in (1, 2):
        output = after[f"output_{number}"]
        assert output == sides[output["value"]]
    [was], [now] = before["corrections"], after["corrections"]
    assert after[f"output_{now['output']}"]["value"] == "Two red cats."
    assert {**now, "output": 1} == was


def test_a_correction_alone_is_a_pair_of_its_own(tmp_path):
    """As RLHF-V publishes them; of RLAIF-V, whose rows look the same, nothing is a correction."""
    row = {"question": "What?", "image": "a.png", "idx": 1}
    row |= {"chosen": "Two blue cats.", "rejected": "Two red cats."}
    pair = parse_any_pair(1, {**row, "ds_name": "RLHF-V"})
    texts = {"1": pair.response_1, "2": pair.response_2}
    marked = {texts[n]: [texts[n][m["start"] : m["end"]] for m in pair.marks[n]] for n in texts}
    assert marked == {"Two blue cats.": ["blue"], "Two red cats.": ["red"]}
    assert {mark["kind"] for mark in pair.marks[str(pair.label.preference)]} == {"correction"}
    assert parse_any_pair(1, {**row, "ds_name": "RLAIF-V"}).marks == {}


PAIR = {
    "id": "a",
    "image": "a.png",
    "conversations": [{"from": "human", "value": "What?"}],
    "output_1": {"from": "m", "value": "Two cats."},
    "output_2": {"from": "n", "value": "A dog."},
}
FAULTY = {
    "marks that are no list": ({"output_1": {"value": "A.", "marks": 1}}, "output_1.marks"),
    "a mark that is none": ({"output_1": {"value": "A.", "marks": [1]}}, "output_1.marks[0]"),
    "a mark outside": (
        {"output_2": {"value": "A.", "marks": [{"start": 0, "end": 9}]}},
        "output_2.marks[0]",
    ),
    "a mark that ends before it begins": (
        {"output_1": {"value": "Abc.", "marks": [{"start": 2, "end": 2}]}},
        "output_1.marks[0]",
    ),
    "an unknown kind": (
        {"output_1": {"value": "A.", "marks": [{"start": 0, "end": 1, "kind": "x"}]}},
        "output_1.marks[0].kind",
    ),
    "corrections that are no list": ({"corrections": {"a": 1}}, "corrections"),
    "a correction that is none": ({"corrections": ["a"]}, "corrections[0]"),
    "a correction of nothing": ({"corrections": [{"value": "a"}]}, "corrections[0].output"),
    "a third output": ({"corrections": [{"output": 3, "value": "a"}]}, "corrections[0].output"),
    "no text": ({"corrections": [{"output": 1, "value": " "}]}, "corrections[0].value"),
}


@pytest.mark.parametrize("case", FAULTY)
def test_marks_and_corrections_that_are_none_are_refused_by_place(case):
    change, field = FAULTY[case]
    with pytest.raises(BadField) as refused:
        parse_any_pair(1, {**PAIR, **change})
    assert refused.value.field == field

"""The engine reads the forms that the site reads, and says the same of what neither can."""

import json

import pytest

from annotation.reading import names
from annotation.reading.faults import Unreadable
from annotation.reading.files import read_all
from tests.inputs.test_files import FORMS, LINES, TWO
from training.rlhf import names as engine_names
from training.rlhf.contract import ContractError, ConversationRecord
from training.rlhf.converters.reading import entries, lines
from training.rlhf.errors import DataError
from training.rlhf.mixture import read_mixture
from training.rlhf.reading import document, records

JSON_FORMS = [form for form in FORMS if not any(word in form for word in ("CSV", "tabs", "bars"))]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "train.jsonl"


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "with a byte order mark"])
@pytest.mark.parametrize("form", JSON_FORMS)
def test_both_read_the_same_of_every_form(form, mark, path):
    path.write_bytes((mark + FORMS[form]).encode())
    places = [(f"train.jsonl, line {line}", value) for line, value in read_all(path)]
    assert list(records(path)) == places
    assert [value for _, value in places] == TWO
    assert [entry.data for entry in entries(path)] == TWO


@pytest.mark.parametrize("separator", ["\u2028", "\x85", "\x0b", "\x1c"])
def test_a_line_ends_at_a_newline_only(separator, path):
    one = {"text": f"a{separator}b"}
    raw = json.dumps(one, ensure_ascii=separator < "\x20")
    path.write_text(f"{raw}\n{raw}", encoding="utf-8")
    assert [value for _, value in records(path)] == [one, one]
    path.write_text(f"a.jpg,one{separator}two\nb.jpg,three\r\n", encoding="utf-8", newline="")
    assert [line for line, _ in lines(path)] == [f"a.jpg,one{separator}two", "b.jpg,three"]


BROKEN = {
    "UTF-16": LINES.encode("utf-16"),
    "UTF-16 without a mark": LINES.encode("utf-16-le"),
    "an array in UTF-16": json.dumps(TWO).encode("utf-16-be"),
    "GBK": "\n".join(['{"text": "桌子"}'] * 3).encode("gbk"),
    "half of an array": json.dumps(TWO)[:-5].encode(),
    "half of an object": LINES[:-3].encode(),
    "objects that end early": json.dumps(TWO[0], indent=1)[:-3].encode(),
    "depth": b"[" * 5000,
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "nothing that is JSON": b"one\ntwo",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_neither_can_read_is_refused_in_words(kind, path):
    path.write_bytes(BROKEN[kind])
    with pytest.raises(Unreadable):
        read_all(path)
    for read in (lambda: list(records(path)), lambda: document(path), lambda: read_mixture(path)):
        with pytest.raises(DataError) as refused:
            read()
        said = str(refused.value)
        assert said.startswith("train.jsonl") and len(said) < 200
        assert not any(word in said for word in ("Error", "codec", "0x"))
        if "UTF-16" in kind:
            assert said.endswith("is UTF-16, not UTF-8 text: save it as UTF-8")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_document_and_a_mixture_may_have_a_mark_and_any_newline(newline, path):
    source = {"format": "llava", "files": {"conversations": "c.json"}, "images": "i"}
    text = json.dumps({"sources": [source]}, indent=1).replace("\n", newline)
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert document(path) == {"sources": [source]}
    assert read_mixture(path).sources[0].images == "i"


NAMES = [
    "a.png",
    "./u//a.png",
    "u\\a.png",
    " u / a.png",
    "e\u0301.png",
    "COCO_val2014_000000000009.JPG",
]
NAMES += ["train2017/000000000009.jpg", "x/val2014/COCO_val2014_000000000009.jpg", "000000000009"]
NAMES += ["../a.png", "..\\a.png", "", " ", ".", "a\0.png", "u/.."]


@pytest.mark.parametrize("name", NAMES)
def test_both_compare_names_in_one_way(name):
    assert engine_names.normal(name) == names.normal(name)
    assert engine_names.key(name) == names.key(name)
    assert engine_names.leaves_its_folder(name) == names.leaves_its_folder(name)


def test_a_file_that_is_not_there_is_said(path):
    for read in (lambda: list(records(path)), lambda: document(path)):
        with pytest.raises(DataError, match=r"^train.jsonl: cannot be read \(No such file"):
            read()


@pytest.mark.parametrize("medium", ["video", "videos", "audio"])
def test_a_conversation_about_a_video_is_none_of_text_alone(medium):
    turns = [{"from": "human", "value": "<video>\nWhat happens?"}, {"from": "gpt", "value": "x"}]
    record = {"id": "1", "conversations": turns, medium: ["v.mp4"]}
    with pytest.raises(ContractError, match=f"{medium}: is not read"):
        ConversationRecord.from_json(record)
    assert ConversationRecord.from_json({**record, medium: None}).images == ()

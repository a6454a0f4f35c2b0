"""What is no JSON is said in our words, with line and column; a member stands once."""

import io
import json
from pathlib import Path

import pytest

from annotation.reading.faults import Unreadable
from annotation.reading.files import document, values
from config import json_words
from config.sanitising import NotJson, parse_json
from training.checkpoints import bases
from training.rlhf.contract import ContractError
from training.rlhf.contract.events import parse_event
from training.rlhf.errors import DataError
from training.rlhf.reading import document as engine_document
from training.rlhf.reading import records as engine_records

DECODERS = ("Expecting", "delimiter", "Extra data", "Unterminated", "Invalid", "enclosed", "char ")
COMMA = "a comma is missing, or a quote within a text has no backslash before it"
SINGLE = "names and texts stand in double quotes, not in single ones"
BROKEN = {
    '{"a": 1': "it ends too early at column 8",
    '{"a"': "it ends too early at column 5",
    "{oops": "a name in double quotes is expected at column 2",
    "{'a': 1}": f"{SINGLE} at column 2",
    "{\"a\": 'b'}": f"{SINGLE} at column 7",
    '{"a" 1}': "a colon is missing at column 6",
    '{"a": 1 "b": 2}': f"{COMMA} at column 9",
    '{"a": "say "b""}': f"{COMMA} at column 13",
    '{"a": 1,}': "a comma is too many at column 9",
    '{"a": [1,]}': "a comma is too many at column 10",
    '{"a": [1}}': "a closing bracket is of the wrong kind at column 9",
    '{"a": }': "a value is missing at column 7",
    '{"a": True}': "true, false and null are written small at column 7",
    '{"a": hi}': "a value is expected at column 7",
    '{"a": "b}': "the text that begins there is not closed at column 7",
    '{"a": "\t"}': "a text holds a line break or a tab as it is, not \\n or \\t at column 8",
    '{"a": "C:\\Users"}': "a backslash that is meant is written twice at column 10",
    '{"a": "\\u12"}': "a backslash that is meant is written twice at column 9",
    '{"a": 1} {"b": 2}': "more follows where it should end at column 10",
}


def said_by_all(path: Path) -> list[str]:
    """What every reader says of a file's first line, from "is" on."""
    text = path.read_bytes()
    faults: list[str] = []
    list(values(io.BytesIO(text), lambda fault: faults.append(fault.reason)))
    for read, error in (
        (lambda: parse_json(text), NotJson),
        (lambda: document(io.BytesIO(text)), Unreadable),
        (lambda: bases.read_json(path), bases.BaseRefused),
        (lambda: parse_event(text.decode()), ContractError),
        (lambda: engine_document(path), DataError),
        (lambda: list(engine_records(path)), DataError),
    ):
        with pytest.raises(error) as refused:
            read()
        faults.append(str(refused.value))
    return [fault[fault.index("is not JSON") :] for fault in faults]


@pytest.mark.parametrize("text", BROKEN)
def test_what_is_no_json_is_said_alike_by_all_that_read_it(text, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(text)
    said = said_by_all(path)
    assert {one.removesuffix(", in record 1") for one in said} == {f"is not JSON ({BROKEN[text]})"}
    assert not any(word in one for one in said for word in DECODERS)


def test_python_has_no_fault_without_words():
    for text in (*BROKEN, "", "x", "[", "{", '{"a": 1, 2}', "[1,, 2]", "nul", "-", "1.e5", '"\\x"'):
        with pytest.raises(NotJson) as refused:
            parse_json(text)
        assert "cannot be read" not in str(refused.value)


def test_the_two_files_of_words_are_one():
    engine = Path(json_words.__file__).parents[1] / "training" / "rlhf" / "json_words.py"
    ours, theirs = (
        path.read_text().partition("from __future__")[2]
        for path in (Path(json_words.__file__), engine)
    )
    assert ours == theirs


@pytest.mark.parametrize("before", [0, 3, 1500])
@pytest.mark.parametrize("form", ["an array", "objects"])
def test_the_place_is_that_in_the_file_however_much_stands_before(form, before, tmp_path):
    good, bad = json.dumps({"a": "é" * 2000}, indent=1), '{\n "a": 1\n "b": 2}'
    joined, start, end = (",\n", "[\n", "]") if form == "an array" else ("\n", "", "")
    text = start + joined.join([*[good] * before, bad]) + end
    faults: list[str] = []
    found = list(values(io.BytesIO(text.encode()), lambda fault: faults.append(str(fault))))
    line = text.count("\n", 0, text.index('"b": 2')) + 1
    assert len(found) == before
    assert faults == [
        f"is not JSON ({COMMA} at line {line}, column 2), in record {before + 1}"
    ] or (form == "objects" and faults == [f"is not JSON ({COMMA} at line {line}, column 2)"])
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"at line {line}, column 2\)"):
        list(engine_records(path))


TWICE = '{"id": "2", "image": "a.png", "image": "b.png"}'
ONE, LAST = '{"id": "1"}', '{"id": "3"}'


@pytest.mark.parametrize(
    "text",
    [
        "\n".join([ONE, TWICE, LAST]),
        f"[{ONE}, {TWICE}, {LAST}]",
        f'[{ONE}, {{"x": {TWICE}}}, {LAST}]',
        "\n".join(
            json.dumps(json.loads(ONE), indent=1) if one == ONE else one
            for one in (ONE, TWICE, LAST)
        ),
    ],
)
def test_a_member_twice_is_the_fault_of_its_record_alone(text, tmp_path):
    faults: list[tuple[int, str]] = []
    found = list(
        values(io.BytesIO(text.encode()), lambda one: faults.append((one.line, one.reason)))
    )
    assert [value["id"] for _, value in found] == ["1", "3"]
    assert faults == [(2, "has 'image' twice")]
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError, match="has 'image' twice"):
        list(engine_records(path))


@pytest.mark.parametrize("number", ["1e999", "9" * 30])
def test_a_number_that_nobody_holds_is_the_fault_of_its_record_alone(number):
    faults: list[tuple[int, str]] = []
    text = f'[{ONE}, {{"id": {number}}}, {LAST}]'
    found = list(
        values(io.BytesIO(text.encode()), lambda one: faults.append((one.line, one.reason)))
    )
    assert len(found) == 2 and faults[0][0] == 2 and "too large" in faults[0][1]


def test_the_body_of_a_request_is_refused_alike():
    with pytest.raises(NotJson, match="has 'a' twice"):
        parse_json(b'{"a": 1, "a": 2}')

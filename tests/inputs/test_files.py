"""One reader for every file: forms told apart by content, faults named once and with their line."""

import csv
import io
import json

import pytest

from annotation.reading import json_records, tables
from annotation.reading.faults import Unreadable
from annotation.reading.files import document, read_all, values

TWO = [{"id": "1", "text": "a"}, {"id": "2", "text": "b"}]
LINES = "\n".join(json.dumps(one) for one in TWO)


def read(data):
    faults = []
    found = list(values(io.BytesIO(data), faults.append))
    return [value for _, value in found], [(fault.line, fault.reason) for fault in faults]


def _csv(separator=","):
    text = io.StringIO()
    writer = csv.DictWriter(text, ["id", "text"], delimiter=separator)
    writer.writeheader()
    writer.writerows(TWO)
    return text.getvalue()


FORMS = {
    "lines": LINES,
    "lines that end in a newline": LINES + "\n",
    "lines with blank ones": "\n\n" + LINES.replace("\n", "\n \n"),
    "lines of Windows": LINES.replace("\n", "\r\n"),
    "an array": json.dumps(TWO),
    "an array over several lines": json.dumps(TWO, indent=1),
    "an array with blanks around": f"\r\n {json.dumps(TWO)} \n",
    "objects over several lines": "\n".join(json.dumps(one, indent=2) for one in TWO),
    "CSV": _csv(),
    "CSV of a German Excel": _csv(";"),
    "tabs": _csv("\t"),
    "CSV that names its separator": "sep=;\r\n" + _csv(";"),
    "tabs, named in quotes": '"sep=\t"\n' + _csv("\t"),
    "bars, named": "SEP=|\n\n" + _csv("|"),
    "CSV behind blank lines": "\r\n\r\n" + _csv(),
    "CSV of pandas, with its index": ",id,text\n0,1,a\n1,2,b\n",
    "CSV of an old Mac": "id,text\r1,a\r2,b\r",
}


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["", "with a byte order mark"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_records(form, mark):
    assert read((mark + FORMS[form]).encode()) == (TWO, [])


def test_a_name_of_a_column_may_hold_a_colon():
    [row] = read(b"Unnamed: 0,id,a=b\n0,1,c\n")[0]
    assert row == {"Unnamed: 0": "0", "id": "1", "a=b": "c"}


@pytest.mark.parametrize("text", ["# a list\nof words\nonly", "- id: 1\n  text: a\n", "|a|b|\n"])
def test_a_text_that_holds_no_records_is_one_fault(text):
    found, [(line, reason)] = read(text.encode())
    assert (found, line) == ([], 0) and reason.startswith("is neither JSON, which begins with")


BINARIES = {
    "PAR1\x15\0\x15\0": "is a Parquet file",
    "version https://git-lfs.github.com/spec/v1\n": "is a pointer of Git LFS",
    "\xd0\xcf\x11\xe0\xa1\xb1": "is an old Excel",
    "SQLite format 3\0": "is a database",
    "\xff\xff\xff\xff\x98\0\0\0": "is an Arrow file",
}


@pytest.mark.parametrize("start", BINARIES)
def test_a_file_of_another_kind_is_named(start):
    [(line, reason)] = read(start.encode("latin-1") + bytes(90))[1]
    assert line == 0 and reason.startswith(BINARIES[start])


def test_letters_of_europe_are_not_taken_for_chinese():
    [(_, reason)] = read('{"text": "Größe"}'.encode("latin-1"))[1]
    assert "GBK" not in reason


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
def test_a_line_ends_at_a_newline_only(separator):
    one = {"text": f"a{separator}b"}
    raw = json.dumps(one, ensure_ascii=False) if separator > "\x1f" else json.dumps(one)
    assert read(f"{raw}\n{raw}".encode()) == ([one, one], [])


@pytest.mark.parametrize("form", ["lines", "an array", "objects over several lines", "CSV"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_is_named_once(form, encoding):
    found, faults = read(FORMS[form].encode(encoding))
    assert (found, len(faults), faults[0][0]) == ([], 1, 0)
    if encoding != "utf-32" and not (form == "CSV" and encoding != "utf-16"):
        assert faults[0][1] == "is UTF-16, not UTF-8 text: save it as UTF-8"


@pytest.mark.parametrize("encoding", ["gbk", "gb18030"])
def test_a_chinese_encoding_is_named(encoding):
    rows = [{"text": "桌子上有杯子"} for _ in range(20)]
    array = json.dumps(rows, ensure_ascii=False).encode(encoding)
    lines = b"\n".join(json.dumps(row, ensure_ascii=False).encode(encoding) for row in rows)
    assert len(read(array)[1]) == 1
    for data in (array, lines):
        found, faults = read(data)
        assert found == []
        assert {reason for _, reason in faults} == {faults[0][1]}
        assert faults[0][1].startswith("is not UTF-8 text (it looks like GBK)")


def test_an_encoding_of_europe_is_not_taken_for_chinese():
    [(line, reason)] = read(json.dumps({"text": "Käse"}, ensure_ascii=False).encode("latin-1"))[1]
    assert (line, reason) == (1, "is not UTF-8 text: save the file as UTF-8")


FAULTS = {
    "a zip": (b"PK\x03\x04....", "is a zip archive"),
    "gzip": (b"\x1f\x8b\x08....", "is compressed with gzip"),
    "a page": (b"<!DOCTYPE html><html>", "is HTML or XML"),
    "a list under a key": (json.dumps({"data": TWO}).encode(), "there is a list under 'data'"),
    "the same, indented": (json.dumps({"data": TWO}, indent=1).encode(), "a list under 'data'"),
    "objects by number": (json.dumps({"0": TWO[0]}, indent=1).encode(), "a JSON object of objects"),
    "a cut array": (json.dumps(TWO).encode()[:-1], "in record 2"),
    "text behind an array": (json.dumps(TWO).encode() + b"x", "text behind the array"),
    "a column twice": (b"id,text,text\n1,a,b\n", "has 'text' twice among its columns"),
    "no comma": (b"[1 2]", "',' is expected"),
    "a quote left open": (b'id,text\n1,"a\n2,b\n', "is not CSV"),
    "two encodings in a table": (
        b"id,text\n1,\xc3\xa4\n2,\xe4\n",
        "save the file as UTF-8, in line 3 of its text",
    ),
    "deep lists": (b"[" * 100_000, "is nested more than"),
    "deep objects": (b'{"a":' * 100_000, "is nested more than"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_file_of_another_form_is_one_fault(name):
    data, reason = FAULTS[name]
    _, faults = read(data)
    assert len(faults) == 1
    assert reason in faults[0][1]
    assert "Error" not in faults[0][1] and len(faults[0][1]) < 200


@pytest.mark.parametrize("indent", [None, 1])
def test_one_record_of_argilla_is_no_object_of_records(indent):
    one = {"fields": {"prompt": "What?"}, "responses": {"q": {}}}
    assert read(json.dumps(one, indent=indent).encode()) == ([one], [])


def test_a_bad_line_is_named_and_the_others_are_read():
    found, faults = read((LINES + '\n{oops\n{"id": "3"}').encode())
    assert [one["id"] for one in found] == ["1", "2", "3"]
    assert [line for line, _ in faults] == [3]


def test_numbers_that_json_lacks_refuse_no_line_in_which_nobody_reads_them():
    [one], faults = read(b'{"id": 1, "logps": NaN}')
    assert (one["id"], faults) == (1, [])


def test_a_record_longer_than_what_is_read_at_once_is_whole():
    long = [{"text": "x" * 3_000_000}, {"text": "é" * 700_000}, {"text": "short"}]
    assert read(json.dumps(long, ensure_ascii=False).encode()) == (long, [])


@pytest.mark.parametrize(
    "begins", ["[1", '[{"text": "', "[-1."], ids=["number", "text", "fraction"]
)
def test_a_record_that_does_not_end_is_read_in_linear_time(begins, monkeypatch):
    """And not to the end of a file that is larger than any record."""
    looked_at = []

    class Counting(json.JSONDecoder):
        def raw_decode(self, text, at=0):
            looked_at.append(len(text) - at)
            return super().raw_decode(text, at)

    monkeypatch.setattr(json_records._Text, "CHUNK", 64)
    monkeypatch.setattr(json_records, "json_decoder", lambda **_: Counting(parse_int=float))
    for most in (2**16, 2**12):
        looked_at.clear()
        monkeypatch.setattr(json_records, "MOST_RECORD_BYTES", most)
        found, [(line, reason)] = read(begins.encode() + b"1" * 2**16)
        assert (found, line) == ([], 0) and "in record 1" in reason
        assert sum(looked_at) < 6 * most


@pytest.mark.parametrize("long", ["header", "row", "cell over lines"])
def test_a_line_of_a_table_is_no_longer_than_a_record(long, monkeypatch):
    monkeypatch.setattr(tables, "MOST_RECORD_BYTES", 1000)
    head = "id,text" + (",a" * 3000 if long == "header" else "")
    row = {"row": "1," + "a" * 2000, "cell over lines": '1,"' + "a\n" * 2000 + '"'}.get(long, "1,a")
    found, faults = read(f"{head}\n{row}\n".encode())
    assert (found, [line for line, _ in faults]) == ([], [0])
    assert "a line is too long" in faults[0][1]


@pytest.mark.parametrize("lines", [1, 3, 400])
def test_the_line_that_is_no_utf_8_is_named_wherever_pieces_end(lines, monkeypatch):
    monkeypatch.setattr(json_records._Text, "CHUNK", 7)
    text = "id,text\n" + "".join(f"{n},süß\n" for n in range(lines - 1)) + "9,"
    _, [(line, reason)] = read(text.encode() + "süß\n".encode("latin-1"))
    assert line == 0 and reason.endswith(f"in line {lines + 1} of its text")


def test_a_document_has_each_member_once():
    with pytest.raises(Unreadable, match=r"has 'a\.png' twice"):
        document(io.BytesIO(b'{"a.png": "one", "b.png": "x", "a.png": "two"}'))
    assert document(io.BytesIO(b'\xef\xbb\xbf{"a": 1}')) == {"a": 1}


def test_all_of_a_file_or_why_not(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(LINES)
    assert read_all(path) == [(1, TWO[0]), (2, TWO[1])]
    path.write_text(LINES + "\n{")
    with pytest.raises(Unreadable, match="line 3: is not JSON"):
        read_all(path)
    with pytest.raises(Unreadable, match="cannot be read"):
        read_all(tmp_path / "absent")


TABLES = {
    "columns without a name behind the last": b"a,b,,\n1,2,,\n",
    "rows of separators": b"a,b\n,\n1,2\n,\n",
    "a named separator that the header does without": b"sep=;\na,b\n1,2\n",
}


@pytest.mark.parametrize("table", TABLES)
def test_what_excel_writes_beside_the_cells_is_no_fault(table):
    faults = []
    assert list(values(io.BytesIO(TABLES[table]), faults.append)) == [(1, {"a": "1", "b": "2"})]
    assert faults == []


def test_one_record_of_trl_written_alone_is_no_list_of_records():
    turn = {"role": "user", "content": [{"type": "text", "text": "x"}]}
    record = {"images": [{"path": "a.png", "bytes": None}], "prompt": [turn], "chosen": [turn]}
    found = list(values(io.BytesIO(json.dumps(record).encode()), pytest.fail))
    assert found == [(1, record)]


def test_a_page_of_an_api_is_told_by_its_list_of_records():
    page = {"features": [{"name": "a"}], "rows": [{"row": {"a": 1}}], "num_rows_total": 1}
    faults = []
    assert list(values(io.BytesIO(json.dumps(page).encode()), faults.append)) == []
    assert [fault.reason[-25:] for fault in faults] == ["there is a list under 'rows'"[-25:]]


@pytest.mark.parametrize("error", ["#N/A", "#NAME?", "#VALUE!", "#REF!"])
def test_an_error_of_a_spreadsheet_is_no_text(error):
    found, [(line, reason)] = read(f"id,text\n1,{error}\n2,# a\n".encode())
    assert (found, line) == ([{"id": "2", "text": "# a"}], 1)
    assert reason == f"holds an error of the spreadsheet under 'text': {error}"

"""Names as people's machines write them: joined where one match is possible, or refused."""

import io
import json
import unicodedata
import zipfile

import pytest

from annotation.image_sources import Archive, Folder, absence
from annotation.images import BadImage
from annotation.importing import import_files
from annotation.importing.record_files import ImportRefused
from annotation.reading.names import (
    Ambiguous,
    Names,
    OneNameEach,
    decoded,
    excerpt,
    fit,
    key,
    normal,
)
from tests.factories import make_project

NFD = {name: unicodedata.normalize("NFD", name) for name in ("café.png", "Küche.png", "사진.png")}

SAME = [
    *NFD.items(),
    ("train/desk.png", "train\\desk.png"),
    ("train/desk.png", "./train/desk.png"),
    ("train/desk.png", ".\\train\\.\\desk.png"),
    ("train/desk.png", "train//desk.png"),
    ("train/desk.png", "train/desk.png "),
    ("train/desk.png", " train / desk.png\t"),
    ("train/desk.png", "/train/desk.png"),
    ("example.org/a b.png", "https://example.org/a%20b.png?raw=true#top"),
    ("images/1.png", "/data/local-files/?d=images/1.png"),
    ("images/1.png", "/data/local-files/?d=images%2F1.png"),
    ("images/1.png", "http://localhost:8080/data/local-files/?d=images%2F1.png"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_of_one_name_are_one(one, other):
    assert normal(one) == normal(other)
    assert Names([one]).find(other) == one
    assert Names([other]).find(one) == other


FITTING = [
    ("a.png", "deep/er/a.png"),
    ("coco/train2017/1.png", "train2017/1.png"),
    ("C:\\pictures\\a.png", "a.png"),
    ("https://example.org/pictures/a.png", "pictures/a.png"),
    ("COCO_val2014_000000000001.jpg", "000000000001.jpg"),
    ("COCO_train2014_000000000001.jpg", "coco/train2017/000000000001.jpg"),
    ("val2014/COCO_val2014_000000000001.jpg", "val2017/000000000001.JPG"),
]
ENCODED = [
    ("my photo.png", "my%20photo.png"),
    ("trip/my photo (1).png", "my%20photo%20%281%29.png"),
    ("Küche.png", "bilder/K%C3%BCche.png"),
    (NFD["café.png"], "caf%C3%A9.png"),
    ("a/b.png", "a%2Fb.png"),
]
OTHERS = [
    ("100%.png", "100.png"),
    ("a.png", "..%2F..%2Fb.png"),
    ("cam1/a.png", "cam2/a.png"),
    ("a.png", "ba.png"),
    ("x/a.png", "a.png/x"),
    ("a.png", "a.jpg"),
    ("A.png", "a.png"),
    ("COCO_val2014_000000000001.jpg", "000000000002.jpg"),
    ("COCO_val2014_000000000001.jpg", "COCO_val2014_000000000001"),
    ("cam1/000000000001.jpg", "cam2/000000000001.jpg"),
]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("one", "other"), FITTING)
def test_two_names_fit_if_one_is_a_suffix_of_the_other(one, other, turned):
    there, wanted = (other, one) if turned else (one, other)
    assert fit(key(one), key(other))
    assert Names([there, "something/else.png"]).find(wanted) == there


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_other_names_do_not_fit(one, other, turned):
    there, wanted = (other, one) if turned else (one, other)
    assert Names([there]).find(wanted) is None


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("one", "other"), ENCODED)
def test_a_name_as_addresses_write_it_is_found(one, other, turned):
    there, wanted = (other, one) if turned else (one, other)
    assert Names([there, "100%.png", "x%20y.png"]).find(wanted) == there
    assert Names([there, wanted]).find(wanted) == wanted
    alone = OneNameEach()
    assert alone.other(one, "file") is None
    folders = len(key(decoded(one))) != len(key(decoded(other)))
    assert (alone.other(other, "file") is None) is not folders


AMBIGUOUS = [
    (["x/my photo.png", "y/my photo.png"], "my%20photo.png"),
    (["my photo.png", "x/my photo.png"], "z/x/my%20photo.png"),
    (["x/a.png", "y/a.png"], "a.png"),
    (["x/a.png", "y/x/a.png"], "z/y/x/a.png"),
    (["café.png", NFD["café.png"]], "café.png"),
    (["COCO_val2014_000000000001.jpg", "COCO_train2014_000000000001.jpg"], "000000000001.jpg"),
]


@pytest.mark.parametrize(("there", "wanted"), AMBIGUOUS)
def test_a_name_that_fits_several_is_never_guessed(there, wanted):
    with pytest.raises(Ambiguous):
        Names(there).find(wanted)


def test_an_equal_path_comes_before_longer_ones():
    assert Names(["a.png", "x/a.png"]).find("./a.png") == "a.png"
    assert Names(["train/a.png", "val/a.png"]).find("train\\a.png") == "train/a.png"


def test_a_second_name_of_one_thing_is_noticed():
    alone = OneNameEach()
    assert alone.other("cam1/a.png", "file") is None
    assert alone.other("./cam1/a.png", "file") is None
    assert alone.other("cam2/a.png", "file") == "cam1/a.png"
    coco = OneNameEach()
    assert coco.other("COCO_val2014_000000000001.jpg", 1) is None
    assert coco.other("000000000001.jpg", 1) is None


@pytest.mark.parametrize("wanted", ["upper.jpg", "UPPER.png"])
def test_a_near_name_is_said_and_not_taken(tmp_path, wanted):
    (tmp_path / "UPPER.JPG").write_bytes(b"x")
    folder = Folder(tmp_path)
    assert folder.locate(wanted) is None
    assert absence(wanted, folder) == f"there is no {wanted} (but there is UPPER.JPG)"


def test_a_name_of_an_upload_to_label_studio_is_near_that_of_its_file(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    said = absence("/data/upload/3/5f0d4bd5-a.png", Folder(tmp_path))
    assert said.endswith("5f0d4bd5-a.png (but there is a.png)")


def test_no_message_is_longer_than_an_excerpt():
    assert excerpt("x" * 40_000) == "x" * 59 + "…"
    assert excerpt("a\n b\0\u202e") == "a b\ufffd\ufffd"


LONG = ["x" * 40_000, "x" * 300 + ".png", "a/" * 2000 + "b.png"]


@pytest.mark.parametrize("name", LONG)
def test_a_name_longer_than_files_have_is_not_there(tmp_path, name):
    assert Folder(tmp_path).locate(name) is None
    assert len(absence(name, Folder(tmp_path))) < 100


# --- zips of several systems --------------------------------------------------------------------


class Entry(zipfile.ZipInfo):
    """An entry whose name is written as some system writes it."""

    raw, flag = b"", 0

    def _encodeFilenameFlags(self):
        return self.raw, self.flag


def packed(names, *, utf_8_flag=False, encoding="utf-8"):
    """A zip whose entries' names are in this encoding, with the flag for UTF-8 or without."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            entry = Entry(name)
            entry.raw, entry.flag = name.encode(encoding), 0x800 if utf_8_flag else 0
            file.writestr(entry, b"data")
    buffer.seek(0)
    return Archive(buffer)


MAC = [f"photos/{name}" for name in NFD.values()]
SYSTEMS = {
    "Finder": (MAC + [f"__MACOSX/photos/._{name}" for name in NFD.values()], True, "utf-8"),
    "Finder, no flag": ([*MAC, "photos/.DS_Store"], False, "utf-8"),
    "PowerShell": ([f"pictures\\{name}" for name in NFD], True, "utf-8"),
}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_of_zips_are_found_however_they_were_packed(system, form):
    names, flag, encoding = SYSTEMS[system]
    archive = packed(names, utf_8_flag=flag, encoding=encoding)
    for name in NFD:
        assert archive.locate(unicodedata.normalize(form, name)) is not None
    noted = ["the archive does not say in which encoding its names are: read as UTF-8"]
    assert archive.notes() == ([] if flag else noted)


def test_a_guessed_encoding_is_said():
    archive = packed(["图片/桌子.png"], encoding="gbk")
    assert archive.locate("桌子.png") is not None
    assert archive.notes()[0].endswith("read as GBK")


def test_a_japanese_name_is_read_and_said():
    archive = packed(["写真の犬.png", "テーブル.png"], encoding="cp932")
    assert archive.locate("写真の犬.png") and archive.locate("テーブル.png")
    assert archive.notes()[0].endswith("read as Shift-JIS")


@pytest.mark.django_db
def test_a_guess_that_fits_nothing_is_said_with_the_refusal(tmp_path):
    """A wrong guess may be why."""
    asked = [{"from": "human", "value": "<image>\nWhat?"}]
    record = {"id": "1", "image": "고양이.png", "conversations": asked}
    path = tmp_path / "pairs.json"
    path.write_text(json.dumps([{**record, "output_1": "A.", "output_2": "B."}]))
    with pytest.raises(ImportRefused) as refused:
        import_files(make_project(), [path], packed(["강아지.png"], encoding="euc-kr"))
    said = [str(problem) for problem in refused.value.problems]
    assert len(said) == 2 and "read as GBK" in said[0] and "there is no 고양이.png" in said[1]


def test_a_name_in_an_unknown_encoding_is_not_guessed():
    archive = packed(["Käse.png"], encoding="mac-roman")
    assert archive.locate("Käse.png") is None
    assert "may be wrong" in archive.notes()[0]


def test_a_name_alone_is_read_as_the_others_of_its_archive_are():
    archive = packed(["図.png", "写真の犬.png"], encoding="cp932")
    assert archive.locate("図.png") and archive.notes()[0].endswith("read as Shift-JIS")


OTHERS = {
    "cp866": "фото.png",
    "cp1251": "фото.png",
    "cp1252": "Größe.png",
    "cp850": "Größe.png",
    "big5": "照片/貓.png",
    "euc-kr": "사진.png",
    "gb18030": "狗.png",
}


@pytest.mark.parametrize("encoding", OTHERS)
def test_a_name_of_a_record_tells_in_which_encoding_the_archive_has_it(encoding):
    archive = packed([OTHERS[encoding], "z.png"], encoding=encoding)
    place = archive.locate(OTHERS[encoding])
    assert place is not None and archive.locate("z.png") not in (None, place)
    assert "read as" in archive.notes()[0]
    assert archive.locate(f"z{OTHERS[encoding]}") is None


def test_two_entries_of_one_name_are_ambiguous():
    with pytest.raises(BadImage, match="fits several files of the archive"):
        packed([NFD["café.png"], "café.png"], utf_8_flag=True).locate("café.png")

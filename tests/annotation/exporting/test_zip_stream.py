"""A zip made while it is sent: whole, the same each time, and never held."""

import io
import zipfile

from annotation.exporting.zip_stream import Entry, zip_stream


def entries():
    yield Entry("a.txt", [b"one ", b"two"])
    yield Entry("images/b.png", [b"\x89PNG" * 10], compress=False)
    yield Entry("empty", [])


def test_the_archive_holds_its_entries():
    archive = zipfile.ZipFile(io.BytesIO(b"".join(zip_stream(entries()))))
    assert archive.testzip() is None
    assert {name: archive.read(name) for name in archive.namelist()} == {
        "a.txt": b"one two",
        "images/b.png": b"\x89PNG" * 10,
        "empty": b"",
    }
    kinds = [info.compress_type for info in archive.infolist()]
    assert kinds == [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]


def test_the_same_entries_give_the_same_bytes():
    assert b"".join(zip_stream(entries())) == b"".join(zip_stream(entries()))


def test_entries_are_read_when_their_turn_comes_and_not_kept():
    read = []

    def chunks(name):
        for number in range(40):
            read.append((name, number))
            yield bytes(10_000)

    stream = zip_stream(Entry(name, chunks(name), compress=False) for name in "ab")
    first = next(stream)
    assert 64 * 1024 <= len(first) < 128 * 1024
    assert read == [("a", number) for number in range(7)]
    assert max(len(chunk) for chunk in stream) < 128 * 1024
    assert len(read) == 80

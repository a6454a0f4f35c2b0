"""Bytes that are UTF-8 text, and the words for those that are not."""

from __future__ import annotations

import codecs
import re
from typing import IO

from annotation.reading.faults import BLANK, LineFault

PIECE = 2**20
_CHINESE = re.compile(r"[\u2010-\u2027\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]+")
_SIDE_BY_SIDE = re.compile(r"[^\x00-\x7f]{2}")
_JAPANESE = re.compile(r"[\u3005\u3040-\u30ff\u4e00-\u9fff\uff01-\uff5e]{2,}")
_UTF_16 = "is UTF-16, not UTF-8 text: save it as UTF-8"
_BINARY = {
    b"PK\x03\x04": "is a zip archive (or a spreadsheet), not a file of records",
    b"\x1f\x8b": "is compressed with gzip: unpack it first",
    b"PAR1": "is a Parquet file, which is not read here",
    b"%PDF": "is a PDF, not a file of records",
    b"\x89PNG": "is a picture, not a file of records",
    b"\xff\xd8\xff": "is a picture, not a file of records",
    b"<": "is HTML or XML, not a file of records",
    b"version https://git-lfs": "is a pointer of Git LFS: fetch the file with git lfs pull",
    b"\x28\xb5\x2f\xfd": "is compressed with zstd: unpack it first",
    b"\xd0\xcf\x11\xe0": "is an old Excel or Word file: save it as CSV in UTF-8",
    b"ARROW1": "is an Arrow file, which is not read here: save it as Parquet",
    b"\xff\xff\xff\xff": "is an Arrow file, which is not read here: save it as Parquet",
    b"SQLite format 3": "is a database of SQLite, not a file of records",
}


def why_not_text(start: bytes) -> str | None:
    """Why a file that begins like this is no text that is read here; None where it may be."""
    stripped = start.lstrip(BLANK)
    known = next((why for magic, why in _BINARY.items() if stripped.startswith(magic)), None)
    if known:
        return known
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "is UTF-32, not UTF-8 text: save it as UTF-8"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _UTF_16
    if start[:64].count(0) >= len(start[:64]) // 4 > 0:
        return _UTF_16 if start[:2].strip(b"\0") in (b"{", b"[") else "is not text"
    return None


def decoded(data: bytes) -> str:
    """As text, without a byte order mark. Raises LineFault."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise LineFault(not_utf_8(data)) from None


def not_utf_8(data: bytes) -> str:
    """Why ``data``, which is no UTF-8, is not read."""
    guess = chinese_encoding(data)
    looks = f" (it looks like {guess[1]})" if guess else ""
    return f"is not UTF-8 text{looks}: save the file as UTF-8"


def line_not_utf_8(file: IO[bytes]) -> int:
    """The first line, from 1, whose bytes are no UTF-8."""
    file.seek(0)
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    while piece := file.read(PIECE):
        try:
            decoder.decode(piece)
        except UnicodeDecodeError as error:
            return line + error.object.count(b"\n", 0, error.start)
        line += piece.count(b"\n")
    return line


def chinese_encoding(data: bytes) -> tuple[str, str] | None:
    """(codec, name) of the encoding that bytes, which are no UTF-8, have by their looks.

    GBK's common characters alone are looked for: both of their bytes are above ASCII, which text
    in the encodings of Europe is not for long.
    """
    try:
        text = codecs.getincrementaldecoder("gb2312")().decode(data)
    except UnicodeDecodeError:
        return None
    strange = "".join(character for character in text if character > "\x7f")
    # One alone may be two letters of Europe side by side, as in "Größe".
    several = _SIDE_BY_SIDE.search(text) is not None
    return ("gb18030", "GBK") if several and _CHINESE.fullmatch(strange) else None


def asian_encoding(data: bytes) -> tuple[str, str] | None:
    """``chinese_encoding``, or that of Japanese, of which two letters are wanted."""
    try:
        text = data.decode("cp932")
    except UnicodeDecodeError:
        text = ""
    strange = "".join(character for character in text if character > "\x7f")
    japanese = ("cp932", "Shift-JIS") if _JAPANESE.fullmatch(strange) else None
    return chinese_encoding(data) or japanese

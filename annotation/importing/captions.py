"""Files of captions, in the forms that they have, and how they are joined to images."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import IO, Any

from annotation.importing.forms.fields import listed
from annotation.importing.record_files import BadField, Faults, Problem
from annotation.importing.record_image import IMAGES, is_absent, name_of_picture
from annotation.reading.faults import Fault, Unreadable
from annotation.reading.files import document, text_lines, values
from annotation.reading.names import Ambiguous, Names, OneNameEach, excerpt, told_by
from config.sanitising import is_storable

TEXTS = ("captions", "caption", "comment", "raw")
NAMES = ("image_name", "filename", "image_file", "image_filename", "img_path")
"""Of an image, beside the members that records name theirs by."""
_ALONE = ("text", "description")
"""Captions where a record holds nothing else, as image folders and captioning tools have them; what
stands beside more may be a question."""
_BESIDE = {*NAMES, *IMAGES, *_ALONE, "id", "image_id", "url", "split", "width", "height"}
_BESIDE |= {"type", "example_id", "index"}
FORMS = (
    "is not one JSON object of captions by image, nor records with image and caption, nor COCO's "
    "annotations, nor Flickr30k's lines"
)
_TOKEN_LINE = re.compile(r"(?P<image>[^#\t]+)#\d+\t(?P<caption>.*)")
"""Flickr's .token files: image, "#", number, tab, caption."""
_BAR_HEAD = ("image_name", "comment_number", "comment")
_BAR_LINE = re.compile(r"(?P<image>[^|]+)\|\s*\d+\s*(?:\||\s)\s*(?P<caption>.*)")
"""Flickr30k's results.csv. One line of the published file lacks its second bar."""


def read_captions(file: IO[bytes], problems: list[Problem]) -> dict[str, list[str]]:
    """Captions by image: one JSON object of texts or lists of texts, as LLaVA-RLHF has them;
    records (JSON or CSV) with ``image`` and ``caption``, of which several add up; COCO's
    annotations and Karpathy's splits; or the lines of Flickr8k and Flickr30k."""
    faults: list[Problem] = []
    found: dict[str, list[str]] = {}
    for line, image, value in _told(file, faults):
        texts = [value] if isinstance(value, str) else value
        if not isinstance(image, str) or not image.strip():
            faults.append(Problem(line, "image", "is not the name of an image", file="captions"))
        elif isinstance(texts, list) and texts and all(map(_is_caption, texts)):
            found.setdefault(image, []).extend(texts)
        elif value != []:
            blank = isinstance(texts, list) and all(
                text is None or (isinstance(text, str) and not text.strip()) for text in texts
            )
            reason = "is empty" if blank else "is neither a text nor a list of texts"
            faults.append(Problem(line, excerpt(image), reason, file="captions"))
    problems += faults
    return found


def _told(file: IO[bytes], faults: list[Problem]) -> Iterator[tuple[int, Any, Any]]:
    """(line, image, captions) as the file has them; line 0 in one object."""
    if (form := _form_of_lines(file)) is not None:
        yield from _of_lines(file, form, faults)
        return
    try:
        one = document(file)
    except Unreadable as error:
        file.seek(0)
        unread: list[Fault] = []
        records = list(values(file, unread.append))
        if any(_is_record(record) for _, record in records):
            faults += [Problem(one.line, "", one.reason, file="captions") for one in unread]
        elif unread or not _says_anything(file):
            faults.append(Problem(0, "", str(error), file="captions"))
            return
    else:
        if isinstance(one, dict) and not _is_record(one):
            yield from _of_object(one, faults)
            return
        if isinstance(one, list) and any(map(_has_regions, one)):
            yield from _of_regions(one, faults)
            return
        records = list(enumerate(one if isinstance(one, list) else [one], start=1))
    if not any(_is_record(record) for _, record in records):
        reason = FORMS if records else "holds no captions"
        faults.append(Problem(0, "", reason, file="captions"))
        return
    for line, record in records:
        try:
            yield line, *_of_record(record)
        except BadField as error:
            faults.append(Problem(line, error.field, error.reason, file="captions"))


def _says_anything(file: IO[bytes]) -> bool:
    file.seek(0)
    return next(text_lines(file, lambda fault: None), None) is not None


def _form_of_lines(file: IO[bytes]) -> re.Pattern[str] | None:
    """How each line of a file of lines is read; None for a file of another form."""
    _, first = next(text_lines(file, lambda fault: None), (0, ""))
    file.seek(0)
    if tuple(part.strip().lower() for part in first.split("|")) == _BAR_HEAD:
        return _BAR_LINE
    return _TOKEN_LINE if _TOKEN_LINE.fullmatch(first) else None


def _of_lines(
    file: IO[bytes], form: re.Pattern[str], faults: list[Problem]
) -> Iterator[tuple[int, Any, Any]]:
    def told(line: int, reason: str) -> None:
        faults.append(Problem(line, "", reason, file="captions"))

    captions = 0
    for number, (line, text) in enumerate(
        text_lines(file, lambda fault: told(fault.line, fault.reason))
    ):
        found = form.fullmatch(text)
        if found:
            captions += 1
            yield line, found["image"].strip(), " ".join(found["caption"].split())
        elif number or form is _TOKEN_LINE:  # the first line of the other form is its head
            told(line, "is not an image, a number and a caption")
    if not captions:
        told(0, "holds no captions")


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and bool(_caption_of(value))


def _caption_of(record: dict[str, Any]) -> str:
    """The member that holds the captions; empty where none does."""
    names = TEXTS if record.keys() - _BESIDE else (*TEXTS, *_ALONE)
    return next((name for name in names if name in record), "")


def _of_record(record: Any) -> tuple[Any, Any]:
    if not _is_record(record):
        raise BadField("", "is not an object with image and caption")
    names = [record[name] for name in NAMES if name in record]
    texts = record[_caption_of(record)]
    name = next(iter(names), None) or name_of_picture(record)
    if name is None and not is_absent(record.get("image_id")):
        of_coco = "coco" in str(record.get("dataset_id", "coco"))
        name = _numbered(record["image_id"]) if of_coco else f"{record['image_id']}.jpg"
    return record.get("url") if name is None else name, listed(texts)


def _numbered(id: Any) -> Any:
    """The name of a picture that is known by its id, which COCO makes of the number.

    Localized Narratives has the pictures of other sets too (``dataset_id``), named by their id.
    """
    if isinstance(id, str) and id.isascii() and id.isdigit():
        id = int(id[:13])
    whole = isinstance(id, int) and not isinstance(id, bool) and 0 <= id < 10**12
    return f"{id:012d}.jpg" if whole else id


def _has_regions(value: Any) -> bool:
    """Visual Genome's descriptions of regions, a list of them for each picture."""
    regions = value.get("regions") if isinstance(value, dict) else None
    return isinstance(regions, list) and all(
        isinstance(one, dict) and "phrase" in one for one in regions
    )


def _of_regions(pictures: list[Any], faults: list[Problem]) -> Iterator[tuple[int, Any, Any]]:
    """Its pictures are files named by their number, without COCO's noughts."""
    for number, picture in enumerate(pictures, start=1):
        if not _has_regions(picture):
            faults.append(Problem(number, "", "is not a picture with regions", file="captions"))
            continue
        ids = (one.get("image_id") for one in picture["regions"])
        id = next((one for one in (picture.get("id"), picture.get("image_id"), *ids) if one), None)
        name = f"{id}.jpg" if isinstance(id, int | str) else id
        yield number, name, [one["phrase"] for one in picture["regions"]]


def _of_object(one: dict[str, Any], faults: list[Problem]) -> Iterable[tuple[int, Any, Any]]:
    if _is_coco(one):
        return _of_coco(one, faults)
    if _has_sentences(one.get("images")):
        return _of_sentences(one["images"])
    if isinstance(one.get("data"), list) and all(map(_is_of_textcaps, one["data"])):
        return _of_textcaps(one["data"])
    return ((0, name, _inside(captions)) for name, captions in one.items())


def _inside(captions: Any) -> Any:
    """Of an object by image that holds more than captions, these."""
    return captions[_caption_of(captions)] if _is_record(captions) else captions


def _has_sentences(images: Any) -> bool:
    return (
        isinstance(images, list)
        and bool(images)
        and all(
            isinstance(image, dict) and isinstance(image.get("sentences"), list) for image in images
        )
    )


def _of_sentences(images: list[dict[str, Any]]) -> Iterable[tuple[int, Any, Any]]:
    """Karpathy's splits of Flickr8k, Flickr30k and COCO."""
    for number, image in enumerate(images, start=1):
        texts = [one.get("raw") if isinstance(one, dict) else one for one in image["sentences"]]
        yield number, image.get("filename"), texts


def _is_of_textcaps(record: Any) -> bool:
    return isinstance(record, dict) and {"image_id", "reference_strs"} <= record.keys()


def _of_textcaps(records: list[dict[str, Any]]) -> Iterable[tuple[int, Any, Any]]:
    """TextCaps says all captions of a picture with each of them."""
    seen = set()
    for number, record in enumerate(records, start=1):
        if str(record["image_id"]) not in seen:
            seen.add(str(record["image_id"]))
            name = record.get("image_path") or f"{record['image_id']}.jpg"
            yield number, name, record["reference_strs"]


def _is_coco(one: dict[str, Any]) -> bool:
    return all(
        isinstance(one.get(name), list) and all(isinstance(item, dict) for item in one[name])
        for name in ("images", "annotations")
    )


def _of_coco(one: dict[str, Any], faults: list[Problem]) -> Iterable[tuple[int, Any, Any]]:
    """An annotation names its image by number, which has to be that of one image."""
    names: dict[str, Any] = {}
    for number, image in enumerate(one["images"], start=1):
        id, name = str(image.get("id")), image.get("file_name")
        first = names.setdefault(id, name)
        if first != name:
            reason = f"{excerpt(id)} is the id of {excerpt(first)} and of {excerpt(name)}"
            faults.append(Problem(number, "images.id", reason, file="captions"))
    for number, note in enumerate(one["annotations"], start=1):
        yield number, names.get(str(note.get("image_id"))), note.get("caption")


def _is_caption(text: Any) -> bool:
    return isinstance(text, str) and bool(text.strip()) and is_storable(text)


class Captions:
    """A file of captions, to be joined to images by their names.

    An image that several captions fit, and a caption that several images fit, are faults.
    """

    def __init__(self, file: IO[bytes], faults: Faults) -> None:
        problems: list[Problem] = []
        self._captions = read_captions(file, problems)
        for problem in problems:
            faults.add(problem)
        self._names = Names(self._captions)
        self._spellings: dict[object, list[str]] = defaultdict(list)
        for name in self._captions:
            self._spellings[told_by(name)].append(name)
        self._alone = OneNameEach()
        self._faults = faults

    def of(self, image: str, line: int) -> list[str]:
        """The captions of the image that a record of ``line`` names; none is no fault."""
        try:
            name = self._names.find(image)
        except Ambiguous as several:
            reason = f"{excerpt(image)} fits several captions: {several}"
            self._faults.add(Problem(line, "image", reason))
            return []
        if name is None:
            return []
        for spelled in self._spellings[told_by(name)]:
            if self._captions[spelled] != self._captions[name]:
                both = f"{excerpt(name)} and {excerpt(spelled)}"
                reason = f"{excerpt(image)} fits several captions: {both} are one picture"
                self._faults.add(Problem(line, "image", reason))
                return []
        other = self._alone.other(image, name)
        if other is not None:
            reason = f"the caption of {excerpt(name)} fits this image and {excerpt(other)}"
            self._faults.add(Problem(line, "image", reason))
        return self._captions[name]

    def near(self, image: str) -> str:
        """What could be meant by an image without captions, for a message; empty for nothing."""
        found = self._names.near(image)
        return f"; but there are some for {excerpt(found)}" if found else ""

    def example(self) -> str:
        """How the file calls one of its images."""
        return excerpt(next(iter(self._captions), "none"))

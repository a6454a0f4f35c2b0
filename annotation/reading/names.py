"""Names of pictures and of what belongs to them: joined where one match is possible, or refused.

Two names fit if one path is a suffix of the other: a record, or an archive, may have further
folders in front. Names are compared in one normal form, because the same name is written
differently by every system (``normal``), and COCO's two spellings of a picture are one picture.
What the rule does not decide is never guessed.
"""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

from config.sanitising import normalized

Key = tuple[str, ...]

LONGEST_SHOWN = 60
_COCO_NAME = re.compile(r"(?:COCO_(?:train|val|test)20\d\d_)?(\d{12})(\.[A-Za-z]+)?")
_COCO_FOLDER = re.compile(r"(?:train|val|test)20\d\d")
_SIGNING = re.compile(
    r"x-(?:amz|goog|oss|cos)-.+|signature|expires|policy|key-pair-id|awsaccesskeyid|googleaccessid|"
    r"ossaccesskeyid|security-token|s[eiprtv]|sig|spr|sk(?:oid|tid|t|e|s|v)|token",
    re.IGNORECASE,
)
"""Members of the query of an address that S3, Google, Azure and others sign it by."""
_OF_AN_UPLOAD = re.compile(r"\A[0-9a-f]{8}-")
_SERVED_BY_LABEL_STUDIO = "/data/local-files/"


class Ambiguous(ValueError):
    """A name fits several; the message lists some of them and does not repeat the name."""

    def __init__(self, names: list[str]) -> None:
        shown = [excerpt(name) for name in sorted(names)[:3]]
        super().__init__(", ".join([*shown, *(["…"] if len(names) > 3 else [])]))


def excerpt(text: object, longest: int = LONGEST_SHOWN) -> str:
    """The beginning of a text for a message: one line, nothing invisible, never long."""
    line = " ".join(str(text).split())
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def quoted(value: object) -> str:
    """A value of a file for a message, as Python writes it and never long."""
    return excerpt(repr(value))


def normal(name: str) -> str:
    """One spelling of a path: NFC, "/" between its parts, none of them empty, "." or padded.

    An address is its host and path. Nothing is resolved: ".." stays, for ``leaves_its_folder``.
    """
    if "://" in name:
        host, path = _address(name)
        name = _served(name) if path == _SERVED_BY_LABEL_STUDIO else f"{host}/{path}"
    elif name.startswith(_SERVED_BY_LABEL_STUDIO):
        name = _served(name)
    parts = normalized(name, "NFC").replace("\\", "/").split("/")
    return "/".join(part for part in (part.strip() for part in parts) if part not in ("", "."))


def _served(name: str) -> str:
    """The path of a picture that Label Studio serves from a folder."""
    return parse_qs(urlsplit(name).query).get("d", [name])[0]


def decoded(name: str) -> str:
    """A name with the %20 and the like of addresses decoded; as it is where it has none."""
    return unquote(name) if "%" in name else name


def _address(name: str) -> tuple[str, str]:
    try:
        address = urlsplit(name)
    except ValueError:  # a broken host; the text is then a name like any other
        return "", name.replace("://", "/")
    return address.netloc, unquote(address.path)


def leaves_its_folder(name: str) -> bool:
    """Whether a path could lead out of the folder that it is looked up in, or is none at all."""
    path = name.replace("\\", "/")
    return not normal(path) or "\0" in path or ".." in path.split("/")


def key(name: str) -> Key:
    """What two names must share from the end on to fit: the parts, COCO's spellings made one.

    COCO numbers its pictures across years and splits, so neither the prefix of a name nor the
    folder of a split tells two of them apart.
    """
    *folders, last = normal(name).split("/")
    found = _COCO_NAME.fullmatch(last)
    if found:
        last = f"{found[1]}{(found[2] or '').lower()}"
        if folders and _COCO_FOLDER.fullmatch(folders[-1]):
            folders.pop()
    return (*folders, last)


def told_by(name: str) -> tuple[Key, str]:
    """What tells a picture from others: its key, and of an address what its query asks for.

    One server may give many pictures under one path. What only signs an address, and is new with
    each signing, tells nothing apart.
    """
    query = ""
    if "://" in name:
        with contextlib.suppress(ValueError):
            asked = parse_qsl(urlsplit(name).query, keep_blank_values=True)
            query = urlencode(sorted(one for one in asked if not _SIGNING.fullmatch(one[0])))
    return key(name), query


def fit(one: Key, other: Key) -> bool:
    """Whether one path is a suffix of the other."""
    shorter = min(len(one), len(other))
    return one[-shorter:] == other[-shorter:]


@dataclass(frozen=True)
class _Known:
    name: str
    key: Key


class Names:
    """The names that there are, to be found by the names that others use for them.

    Names of one normal form are told apart no further: they count as several files of one name.
    What fits no name as it is written is looked for with its %20 and the like decoded.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._exact: dict[str, list[str]] = defaultdict(list)
        self._by_last: dict[str, list[_Known]] = defaultdict(list)
        self._by_folded: dict[str, str] | None = None
        self._encoded: list[_Known] = []
        for name in names:
            self._exact[normal(name)].append(name)
            known = _Known(name, key(name))
            self._by_last[known.key[-1]].append(known)
            if decoded(name) != name:
                self._encoded.append(_Known(name, key(decoded(name))))

    def __len__(self) -> int:
        return sum(len(names) for names in self._exact.values())

    def find(self, wanted: str) -> str | None:
        """The one name that fits, as it is written here; None for none. Raises Ambiguous.

        An equal path comes before a longer or shorter one, and both before a decoded one.
        """
        fitting = self._fitting(wanted) or self._fitting_decoded(wanted)
        if len(fitting) > 1:
            raise Ambiguous(fitting)
        return fitting[0] if fitting else None

    def _fitting(self, wanted: str) -> list[str]:
        exact = self._exact.get(normal(wanted), [])
        wanted_key = key(wanted)
        return exact or [
            known.name
            for known in self._by_last.get(wanted_key[-1], [])
            if fit(wanted_key, known.key)
        ]

    def _fitting_decoded(self, wanted: str) -> list[str]:
        plain = decoded(wanted)
        fitting = self._fitting(plain) if plain != wanted else []
        plain_key = key(plain)
        return fitting + [known.name for known in self._encoded if fit(plain_key, known.key)]

    def near(self, wanted: str) -> str | None:
        """A name whose last part differs by upper and lower case or by its suffix alone, or by
        what Label Studio puts before the names of uploads."""
        if self._by_folded is None:
            self._by_folded = {}
            for last, known in self._by_last.items():
                for folded in (last.casefold(), _stem(last)):
                    self._by_folded.setdefault(folded, known[0].name)
        last = key(wanted)[-1]
        plain = _OF_AN_UPLOAD.sub("", last.casefold())
        return self._by_folded.get(last.casefold()) or self._by_folded.get(
            _stem(last), self._by_folded.get(plain)
        )


def _stem(last: str) -> str:
    return last.casefold().rpartition(".")[0] or last.casefold()


class OneNameEach:
    """Sees to it that no two names are joined to one thing."""

    def __init__(self) -> None:
        self._taken: dict[object, str] = {}

    def other(self, name: str, thing: object) -> str | None:
        """The other name that ``thing`` goes by already; None where ``name`` is its only one."""
        first = self._taken.setdefault(thing, name)
        one, two = decoded(first), decoded(name)
        same = normal(one) == normal(two) or key(one) == key(two)
        return None if same and told_by(one)[1] == told_by(two)[1] else first

"""Whether the sentences of an answer say of an object that it is there, or that it is not."""

from __future__ import annotations

import re
from typing import Literal

import inflection

from benchmark.plain_text import fold
from benchmark.protocols import mentions

YesOrNo = Literal["yes", "no"]
_SENTENCE_END = re.compile(r"[.!?\n]")
REPORTED = re.compile(
    r"\b(?:(?<!\bi would )(?<!\bi'd )says?|said|saying|reads?|reading|written|words?|asks?|asked"
    r"|asking|claims?|claimed)\b"
)

_CLAUSE = re.compile(
    r"[.!;\n]|,? ?(?<!\ball )(?<!\bany )(?<!anything )(?<!anyone )(?<!everything )(?<!everyone )"
    r"(?<!everybody )\b(?:but|however|though|although|whereas|while|yet)\b"
    r"|,(?= (?:there|not|only|just|it|i|the|a|an|one|yes|no)\b)|\band (?=there\b)"
)
DENIES = re.compile(
    r"\b(?:no|not|none|neither|nor|never|nothing|nowhere|without|lacks?|lacking|absent|absence"
    r"|free of|(?:empty|void|bare|clear) of|devoid|instead of|rather than|cannot|missing|zero|0)\b"
    r"|n't\b|\bno-one\b"
)
_ABOUT_ANOTHER = re.compile(
    r"\b(?:at|on|in|near|under|beside|besides|behind|by|around|next to|with|except|has|against)\b"
)
"""Between a denial and the object, it denies another thing: "no chair at the dining table"."""
_TO_BE_SEEN = (
    r"(?:visible|present|there|here|seen|shown|found|depicted|pictured|featured|included|detected"
    r"|observed|captured|displayed|anywhere|part of"
    r"|in (?:the |this |that )?(?:image|picture|photo|photograph|scene|frame|view|sight))\b"
)
_IS_NOT = r"(?:(?:is|are|was|were|do|does|did|can|could|has|have)(?:n't| not)|cannot|can't)\b"
_OF_IT = r"^(?:(?! (?:that|who|which)\b)[^,]){0,40}?\b"
_DENIED_AFTER = re.compile(
    rf"{_OF_IT}{_IS_NOT}"
    rf"(?:(?: (?:actually|currently|really|even|appear|seem|to|been|be)){{0,4}} {_TO_BE_SEEN}"
    r"| (?:exist|show up|appear)\b(?! to\b))"
    r"|^ (?:is|are) (?:absent|missing|nowhere)\b"
)
_SOMETHING_ELSE_DENIED_AFTER = re.compile(f"{_OF_IT}{_IS_NOT}")
"""The dog is not on a leash: that denies no dog, and does not yet say that one is shown."""
_SAID_TO_BE_THERE = re.compile(
    r"\bthere(?: is| are|'s|'re)\b"
    r"|\b(?:shows?|contains?|includes?|features?|depicts?|displays?|see)\b"
)
"""Before the object: what follows is said of something that is there."""
UNSURE = re.compile(
    r"\b(?:can ?not (?:tell|say|determine|answer|see the image)|can't (?:tell|say|determine|answer)"
    r"|unable|unsure|uncertain|unclear|whether|if|maybe|perhaps|might|may|could be|possibly"
    r"|unless|(?<!\bi )would|would(?! (?:say|answer)\b)|used to|once|otherwise|wrong|incorrect"
    r"|depends"
    r"|possibility|possible|probably|likely|unlikely|improbable|hardly|barely|(?<!not )seems?|sorry"
    r"|doubt|doubts|doubtful|expect|expects|expected|resembles?|false|untrue|fail(?:s|ed)? to"
    r"|(?:look|looked|looking|search|searched|searching) for|looks? like (?:an?|the|some)"
    r"|(?:asks?|asked|asking) (?:about|for|after)|not (?:sure|clear|certain|possible))\b"
)
_TWICE_DENIED = re.compile(r"(?:\b(?:not|never|cannot)|n't)\b[^,]{0,60}\b(?:no|not|none|without)\b")
_MADE_ANOTHER = re.compile(r"(?:\w-|\b(?:hot|teddy|toy|stuffed|stop|fire|traffic) )$")
_MAKES_ANOTHER = re.compile(
    r"-\w| (?:houses?|towers?|stations?|stops?|tracks?|parks?|trees?|juice|paper|controls?|screens?"
    r"|openers?|shop|store|food|statues?|figurines?|sculptures?|toys?|logos?|shaped?|like|costume)\b"
)
"""Beside its name, the object is part of the name of another thing: "hot dog", "bus stop"."""
_THERE_IS = re.compile(r"\bthere(?: (?:is|are)\b|'s\b|'re\b)")
_THERE_IS_NOT = re.compile(
    r"\bthere (?:is|are) (?:no|not|none)\b|\bthere (?:isn't|aren't)\b|\bthere's (?:no|not)\b"
)
_NOBODY = re.compile(r"\b(?:nobody|no one|no-one)\b(?! else)")
_BUT_FOR = r"(?:except(?:ing)?|other than|besides|apart from|aside from|save(?: for)?)\b"
_EXCEPTED = re.compile(_BUT_FOR)
_NOBODY_BUT = re.compile(
    rf"{_NOBODY.pattern}[^.!?;:,\n]{{0,40}}? (?:but(?! (?:there|it|they|the image)\b)|{_BUT_FOR})"
)
"""What stands behind it is there: "no one but a man" denies no person."""
_PEOPLE = {"person", "people", "human", "humans", "someone"}

_ASKED = re.compile(
    r"\b(?:is|are|was|were) there (?P<a>[^?]{1,80})"
    r"|\b(?:can|do|could) (?:you|we|i) see (?P<b>[^?]{1,80})"
    r"|\b(?:image|picture|photo|scene) (?:contain|show|include|have|depict|feature)s? "
    r"(?P<c>[^?]{1,80})"
)
_PLACE = re.compile(
    r" (?:in|on|at|within|visible|present|shown|anywhere|from|of) .*$|[?.,].*$"
    r"| (?:visible|present)$"
)
_WHERE = re.compile(
    r" (?:in|on|at|within) (?:(?:the|this|that|an?|any|your) )?(?:given |provided |above )?"
    r"(?!the|th[ai][ts]\b|an?\b|any\b|your|given|provided|above|im|pic|pho|sce|fram|view|shot|vis|sight|total)"
    r"(\w+)"
)
WORD = re.compile(r"\w+")
_ARTICLE = re.compile(r"^(?:an?|the|any|some|one|at least one) ")


def object_names(asked: str) -> frozenset[str]:
    """The ways in which an answer may call what a question asks for, singular and plural: "dogs"
    for "Is there a dog in the image?". Empty for a question about anything but an object."""
    plain = " ".join(fold(asked).split())
    match = _ASKED.search(plain)
    if match is None and plain.endswith("?"):
        return frozenset()
    name = next((part for part in match.groups() if part), "") if match else plain
    name = _ARTICLE.sub("", _PLACE.sub("", f"{name} ".strip())).strip()
    if not name:
        return frozenset()
    names = {name, inflection.singularize(name), inflection.pluralize(name)}
    return frozenset(names | _PEOPLE if names & {"person", "people"} else names)


def place_asked(asked: str) -> set[str]:
    """The word for where, if not in the picture: "sofa" for "Is there a dog on the sofa?"."""
    match = _ASKED.search(" ".join(fold(asked).split()))
    name = next((part for part in match.groups() if part), "") if match else ""
    where = _WHERE.search(name)
    return {where[1]} if where else set()


def by_sentence(plain: str, names: frozenset[str]) -> YesOrNo | None:
    """What the sentences that speak of the object agree on."""
    if not names:
        return _stated(plain)
    if mentions.STRUCK.search(plain) or with_exception(plain, names):
        return None
    named_by = naming(names)
    said: set[YesOrNo | None] = set()
    for clause in _CLAUSE.split(plain):
        found = named_by.finditer(clause)
        named = next((one for one in found if not _names_another(clause, one)), None)
        if named is None:
            if names & _PEOPLE and _NOBODY.search(clause):
                said.add("no")
        elif UNSURE.search(clause) or _reported(clause, named):
            said.add(None)
        else:
            before, after = clause[: named.start()], clause[named.end() :]
            denials = list(DENIES.finditer(before))
            if mentions.unclear(clause, named, denials[-1] if denials else None):
                said.add(None)
                continue
            there = not denials and _SAID_TO_BE_THERE.search(before)
            if not there and _DENIED_AFTER.match(after):
                said.add("no")
            elif denials:
                between = denials[-1].end()
                apart = (_ABOUT_ANOTHER, _EXCEPTED)  # "nothing other than a dog"
                elsewhere = any(one.search(before, between) for one in apart)
                said.add(None if elsewhere else "no")
            elif there or not _SOMETHING_ELSE_DENIED_AFTER.match(after):
                said.add("yes")
    return said.pop() if len(said) == 1 else None


def denies_others_only(plain: str, names: frozenset[str]) -> bool:
    """Whether the object is denied but for some ("no people other than a man"), which may be one:
    only somebody who knows what a man is can tell."""
    if names & _PEOPLE and _NOBODY_BUT.search(plain):
        return True
    but = f"(?:but|{_BUT_FOR})" if names & _PEOPLE else _BUT_FOR
    some = rf"\b(?:no|not any|n't any|without)(?: \w+)? (?:{_alternatives(names)})\b"
    return bool(re.search(rf"{some}[^.!?;:,\n]{{0,40}}? {but} (?!there\b|it\b|they\b)", plain))


def with_exception(plain: str, names: frozenset[str]) -> bool:
    """Whether an exception behind the name, "no dogs but one", takes back what its clause says."""
    return any(mentions.with_exception(plain, named) for named in naming(names).finditer(plain))


def naming(names: frozenset[str]) -> re.Pattern[str]:
    """Finds any of the names as a word of its own."""
    return re.compile(rf"\b(?:{_alternatives(names)})\b")


def _alternatives(names: frozenset[str]) -> str:
    return "|".join(sorted(map(re.escape, names)))


def _names_another(clause: str, named: re.Match[str]) -> bool:
    """Whether the object's name is only a part of another thing's, or another part of speech."""
    made = _MADE_ANOTHER.search(clause[: named.start()])
    return bool(
        made or _MAKES_ANOTHER.match(clause, named.end()) or mentions.is_another(clause, named)
    )


def _reported(clause: str, named: re.Match[str]) -> bool:
    """Whether the clause repeats another's words, or denies a denial."""
    before = clause[: named.start()]
    return any(one.search(before) for one in (REPORTED, _TWICE_DENIED))


def _stated(plain: str) -> YesOrNo | None:
    """What a plain first sentence such as "There is a dog on the grass" says of something."""
    first = _SENTENCE_END.split(plain, maxsplit=1)[0]
    if UNSURE.search(first):
        return None
    if _THERE_IS_NOT.search(first):
        return "no"
    return "yes" if _THERE_IS.search(first) else None

"""Reads yes or no out of an answer in words, against what was asked; nothing where it is unclear.

"There is a white bus" says nothing about a dining table, "There are no cars, but there is a person"
answers a question about a person, and "No problem! There is a car" is no denial. So the word yes or
no counts where it is the statement; a sentence counts where it speaks of the object that was asked
for; and an answer that does neither, or both ways, stays unclear.
"""

from __future__ import annotations

import re
from typing import Literal

import inflection

from benchmark.plain import fold
from benchmark.protocols.answers import FRAMES, final_answer
from benchmark.protocols.protocol import Mode

Answer = Literal["yes", "no"]

# --- where the answer stands ------------------------------------------------------------------

_FRAMES = (
    *FRAMES,
    re.compile(r"\banswer\b(?: is)?[ \t]{0,4}[:=]?[ \t*_$]{0,4}\n?[ \t]{0,4}([^\n]{0,200})"),
)
_LEADING = re.compile(r"[^\w]{0,20}(?P<word>yes|no|yeah|yep|yup|nope|nah)\b(?P<rest>[^\n]{0,80})")
_HEDGED = re.compile(
    r"[^\w]{0,20}(?:yes|no) ?(?:(?:/|or|and|,)? ?(?:yes|no)\b|[.;:] ?(?:yes|no)[^\w]{0,5}$)"
)
_PERHAPS = re.compile(r"\b(?:maybe|perhaps|possibly) (?:yes|no)\b")
_IMAGE = re.compile(r" (?:image|picture)")
_SENTENCE_END = re.compile(r"[.!?\n]")
_YES = re.compile(r"(?<!\bnot )\b(?:yes|yeah|yep|yup)\b")
_NO = re.compile(r"\b(?:no|nope|nah)(?= ?(?:[.,;:!?)\"']|\n|$))|\b(?:answer|it) is no\b")
_GOES_ON = re.compile(
    r" ?(?:$|[.,;:!?()\"'\n-]|(?:there|it|they|i|we|you|the|this|that|these|those|he|she|because|as"
    r"|since|but|not|thanks|sir)\b)"
)
"""What follows "no" where "no" is the statement and not part of "no dog"."""
_IDIOM = re.compile(
    r"\bno (?:doubt|question|problem|problems|worries|wonder|need|matter|longer|more than|fewer"
    r"|less)\b|\bnot (?:only|just|merely|to mention)\b|\bwithout (?:a )?(?:doubt|question)\b"
)

# --- what a sentence says of an object --------------------------------------------------------

_CLAUSE = re.compile(
    r"[.!;\n]|,? ?\b(?:but|however|though|although|whereas|while|yet)\b"
    r"|,(?= (?:there|not|only|just|it|i|the|a|an|one)\b)|\band (?=there\b)"
)
_DENIES = re.compile(
    r"\b(?:no|not|none|neither|nor|never|nothing|nowhere|without|lacks?|lacking|absent|absence"
    r"|free of|devoid|instead of|rather than|cannot|missing|zero|0)\b|n't\b|\bno-one\b"
)
_ABOUT_ANOTHER = re.compile(
    r"\b(?:at|on|in|near|under|beside|besides|behind|by|around|next to|with|except|has)\b"
)
"""Between a denial and the object, it denies another thing: "no chair at the dining table"."""
_DENIED_AFTER = re.compile(
    r"^[^,]{0,40}?\b(?:is|are|was|were|do|does|can|could|has|have)(?:n't| not)\b"
    r"|^ (?:is|are) (?:absent|missing|nowhere)\b"
)
_UNSURE = re.compile(
    r"\b(?:can ?not (?:tell|say|determine|answer|see the image)|can't (?:tell|say|determine|answer)"
    r"|unable|unsure|uncertain|unclear|whether|if|maybe|perhaps|might|may|could be|possibly"
    r"|possibility|possible|probably|likely|unlikely|improbable|hardly|barely|seems?|sorry"
    r"|doubt|doubts|doubtful|expect|expects|expected|resembles?|false|untrue|fail(?:s|ed)? to"
    r"|(?:look|looked|looking|search|searched|searching) for|looks? like (?:an?|the|some)"
    r"|(?:asks?|asked|asking) (?:about|for|after)|not (?:sure|clear|certain|possible))\b"
)
_THERE_IS = re.compile(r"\bthere(?: (?:is|are)\b|'s\b|'re\b)")
_THERE_IS_NOT = re.compile(
    r"\bthere (?:is|are) (?:no|not|none)\b|\bthere (?:isn't|aren't)\b|\bthere's (?:no|not)\b"
)
_NOBODY = re.compile(r"\b(?:nobody|no one|no-one)\b(?! else)")
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
_ARTICLE = re.compile(r"^(?:an?|the|any|some|one|at least one) ")


def parse_answer(text: str, *, asked: str | None = None, mode: Mode = "careful") -> Answer | None:
    """Yes or no, or None where a text says neither or both (``careful`` only).

    ``asked`` is the question, or the object that it asks for: sentences are then read for what
    they say of that object. Without it, "there is" counts as yes whatever is there.
    ``reference`` is the published rule: the first sentence without its commas says no if one of
    its words is "No", "no" or "not", and yes in every other case, the empty text included.
    """
    if mode == "reference":
        words = text.split(".")[0].replace(",", "").split(" ")
        return "no" if {"No", "no", "not"} & set(words) else "yes"
    if mode != "careful":
        raise ValueError(f"mode is {mode!r}, not 'careful' or 'reference'")
    final = final_answer(text)
    if final is None:
        return None
    names = object_names(asked) if asked else frozenset()
    for frame in _FRAMES:
        framed = [match[1] for match in frame.finditer(final.lower())]
        if framed and (said := _by_word(_folded(framed[-1]), names)) is not None:
            return said
    plain = _folded(final)
    if _HEDGED.match(plain) or _contradicts_itself(plain):
        return None
    return _by_word(plain, names) or _anywhere(plain, names) or _by_sentence(plain, names)


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


def _folded(text: str) -> str:
    """One line per line, single spaces, without what only looks like a denial."""
    lines = (" ".join(line.split()) for line in fold(text).splitlines())
    return _IDIOM.sub(" ", "\n".join(line for line in lines if line)).strip()


def _by_word(plain: str, names: frozenset[str]) -> Answer | None:
    """A leading yes, or a leading no that is the statement or denies the object itself."""
    leading = _LEADING.match(plain)
    if leading is None:
        return None
    if leading["word"].startswith("y"):
        return "yes"
    rest = leading["rest"]
    if _GOES_ON.match(rest) or not rest:
        return "no"
    if not names:
        return None if _UNSURE.search(plain) or _IMAGE.match(rest) else "no"
    denied = (re.match(rf" (?:\w+ )?{re.escape(name)}\b", rest) for name in names)
    return "no" if any(denied) else None


def _contradicts_itself(plain: str) -> bool:
    """Whether both words stand on lines of their own: no line says which is the answer."""
    return {"yes", "no"} <= {line.strip("*_ .!") for line in plain.split("\n")}


def _anywhere(plain: str, names: frozenset[str]) -> Answer | None:
    """The one of the two words that stands alone somewhere, where no sentence says otherwise."""
    yes, no = bool(_YES.search(plain)), bool(_NO.search(plain))
    if yes == no or _PERHAPS.search(plain):
        return None
    said: Answer = "yes" if yes else "no"
    told = _by_sentence(plain, names) if names else None
    return said if told in (None, said) else None


def _by_sentence(plain: str, names: frozenset[str]) -> Answer | None:
    """What the sentences that speak of the object agree on."""
    if not names:
        return _stated(plain)
    naming = re.compile(rf"\b(?:{'|'.join(sorted(map(re.escape, names)))})\b")
    said: set[Answer | None] = set()
    for clause in _CLAUSE.split(plain):
        named = naming.search(clause)
        if named is None:
            if names & _PEOPLE and _NOBODY.search(clause):
                said.add("no")
        elif _UNSURE.search(clause) or clause.rstrip().endswith("?"):
            said.add(None)
        else:
            before, after = clause[: named.start()], clause[named.end() :]
            denials = list(_DENIES.finditer(before))
            if _DENIED_AFTER.match(after):
                said.add("no")
            elif not denials:
                said.add("yes")
            else:
                elsewhere = _ABOUT_ANOTHER.search(before, denials[-1].end())
                said.add(None if elsewhere else "no")
    return said.pop() if len(said) == 1 else None


def _stated(plain: str) -> Answer | None:
    """What a plain first sentence such as "There is a dog on the grass" says of something."""
    first = _SENTENCE_END.split(plain, maxsplit=1)[0]
    if _UNSURE.search(first):
        return None
    if _THERE_IS_NOT.search(first):
        return "no"
    return "yes" if _THERE_IS.search(first) else None

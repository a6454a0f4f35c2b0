"""Reads yes or no out of an answer in words, against what was asked; nothing where it is unclear.

"There is a white bus" says nothing about a dining table, "There are no cars, but there is a person"
answers a question about a person, and "No problem! There is a car" is no denial. So the word yes or
no counts where it is the statement; a sentence counts where it speaks of the object that was asked
for; and an answer that does neither, or both ways, stays unclear. What a reply only repeats or
quotes (the question, the instruction "answer yes or no", what a sign says) is no statement of its
own.
"""

from __future__ import annotations

import re
from typing import Literal

import inflection

from benchmark.plain_text import fold
from benchmark.protocols import mentions, other_languages
from benchmark.protocols.answers import FRAMES, final_answer
from benchmark.protocols.protocol import Mode

Answer = Literal["yes", "no"]

# --- where the answer stands ------------------------------------------------------------------

_FRAMES = (
    *FRAMES,
    re.compile(r"\banswer\b(?: is)?[ \t]{0,4}[:=]?[ \t*_$]{0,4}\n?[ \t]{0,4}([^\n]{0,200})"),
    re.compile(
        r"(?:答案|回答|答え)(?:[是为為は](?=[ :\uff1a*]))?[ \t*]{0,4}[:\uff1a]?"
        r"[ \t*]{0,4}([^\n]{0,200})"
    ),
)
_LEADING = re.compile(r"[^\w]{0,20}(?P<word>yes|no|yeah|yep|yup|nope|nah)\b(?P<rest>[^\n]{0,80})")
_EITHER = re.compile(r"(?:yes ?(?:/|\|)? ?no|no ?(?:/|\|) ?yes|yes and no)[^\w]{0,5}")
_BOTH_NAMED = re.compile(
    r"[\"']?\b(?:yes[\"']?(?: or |/|, or )[\"']?no|no[\"']?(?: or |/|, or )[\"']?yes)\b[\"']?"
    r"(?: only\b)?[.:]?"
)
"""The instruction that a question ends with, repeated: neither of its two words is an answer."""
_IMAGE = re.compile(r" (?:image|picture)")
_SENTENCE = re.compile(r"(?<=[.!?\n])")
_SENTENCE_END = re.compile(r"[.!?\n]")
_STATED = re.compile(
    r"(?<!\w\()\b(?:(?P<yes>yes|yeah|yep|yup)(?! (?:to|for|if|unless|when|only)\b)"
    r"|(?P<no>no|nope|nah)(?= ?(?:[^\w ]|\n|$))|(?:answer|it) is (?P<is_no>no))\b"
)
"""A yes, or a no that is no part of "no dog"; "p(yes)" is a name of something else, and "yes to the
cat" an answer to something else."""
_ON_CONDITION = re.compile(r"[, ]{0,2}(?:only )?(?:if|unless|provided|assuming|depending)\b")
_NEAR = 80
"""How far before the word its clause is read."""
_CLAUSE_BEFORE = re.compile(r"[.!?;:\n,()-]")
_REPORTED = re.compile(
    r"\b(?:(?<!\bi would )(?<!\bi'd )says?|said|saying|reads?|reading|written|words?|asks?|asked"
    r"|asking|claims?|claimed)\b"
)
_QUOTED = re.compile(
    rf"({_REPORTED.pattern}[:,]? ?)(?:\"[^\"\n]{{0,200}}\"|'[^'\n]{{0,200}}'(?!\w))"
)
_REFUSES = re.compile(
    r"\b(?:can ?not|can't|unable to|not able to) (?:\w+ )?"
    r"(?:answer|assist|help|tell|say|determine|view|open|access|process)\b"
    r"|\b(?:please|could you|can you) (?:\w+ )?(?:upload|provide|attach|send|share)\b"
    r"|\b(?:i|we) can help\b"
)
_NEXT_QUESTION = re.compile(
    r"\n[#* ]{0,5}(?:question|q)[* ]{0,3}: ?(?P<asks>[^\n]{0,200})", re.IGNORECASE
)
_GOES_ON = re.compile(
    r" ?(?:$|[^\w ]|(?:there|it|they|i|we|you|the|this|that|these|those|he|she|because|as"
    r"|since|but|not|thanks|sir|yes|no)\b)"
)
"""What follows "no" where "no" is the statement and not part of "no dog"."""
_IDIOM = re.compile(
    r"\bno\. ?\d|\bno (?:doubt|question|problem|problems|worries|wonder|need|matter"
    r"|more than|fewer|less)\b|\bnot (?:only|just|merely|to mention)\b"
    r"|\bwithout (?:a )?(?:doubt|question)\b"
)

_ASKS_OF_A_THING = re.compile(
    r"[^\w]{0,5}(?:(?:question|q)[^\w]{1,4})?(?:(?:is|are|was|were) (?:there|the|an?|any|this|that)"
    r" (?!(?:one|it|any|image|picture|right|so)\b)"
    r"|(?:can|do|could) (?:you|we|i) see (?!(?:it|one)\b)"
    r"|(?:does|do|did) (?:the|this) |(?:what|how) about |(?:an?|any) (?!(?:yes|no)\b)"
    r"|(?!(?:yes|no|right|ok|okay|well|hmm|so|really|sure|why|what|where|who|how|anything|is|are)\b)"
    r"\w{2,20}(?: \w{2,20})?\?)"
)
_CONTRADICTS_ITSELF = re.compile(
    r"[^\w]{0,20}(?:(?:yes|yeah|yep|yup),? (?:there|it|they) (?:is|are|does|do)(?:n't| not)"
    r"|(?:no|nope|nah),? there (?:is|are))(?:[^\w ]|$)"
)
"""Two words for one sentence that is left to be thought: "No there is." """
_ONLY_THE_WORD = re.compile(
    r"[^\w]{0,5}(?:(?:answer|a)[^\w]{1,4})?(?:yes|no|yeah|yep|yup|nope|nah)\b"
)
_NO_AND_MORE = re.compile(r"(?<!\w)no, ?(?P<rest>[^.!?\n]{1,120})")
_FOREIGN = re.compile(
    r"\b(?:hay|una?|unos|unas|el|los|las|est[aá]|hay|se|y|per|il|gli|c'[eè]|ci|sono|uno|der|das|eine?"
    r"|einen|ist|sind|gibt|es|une|les|des|du|est|uma?|h[aá]|tem|na|het|een|er|en|ett|det|si|le|la"
    r"|que|veo|vejo|vedo|s[ií]|è|é|jest|tam|j[ae]|voil[aà])\b"
)
_OTHER_SCRIPT = re.compile(r"[\u0370-\u1fff\u3040-\ud7af]")
_ENGLISH = re.compile(
    r"\b(?:there|is|are|the|it|this|that|not|see|of|and|any|does|do|only|image|picture|it's|i'm"
    r"|don't|can't|isn't|with|has|have)\b"
)
_DENIES_TOO = re.compile(
    r"\b(?:no|non|n[aã]o|nicht|keine?n?|pas|nessun[ao]?|ning[uú]n[ao]?|nenhum[a]?|nada|niente"
    r"|geen|niet|inte|ingen)\b|[没不無无]"
)

# --- what a sentence says of an object --------------------------------------------------------

_CLAUSE = re.compile(
    r"[.!;\n]|,? ?(?<!\ball )(?<!\bany )(?<!anything )(?<!anyone )(?<!everything )(?<!everyone )"
    r"(?<!everybody )\b(?:but|however|though|although|whereas|while|yet)\b"
    r"|,(?= (?:there|not|only|just|it|i|the|a|an|one|yes|no)\b)|\band (?=there\b)"
)
_DENIES = re.compile(
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
_UNSURE = re.compile(
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
_WORD = re.compile(r"\w+")
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
    final = _this_question(final, names)
    for frame in _FRAMES:
        framed = [match[1] for match in frame.finditer(final.lower())]
        if framed and (said := _in_frame(_folded(framed[-1]), names)) is not None:
            return said
    plain = _folded(final)
    if _CONTRADICTS_ITSELF.match(plain) or mentions.REFUSED_YES.search(plain):
        return None
    if _of_another_language(plain):
        return None
    stated = _stated_words(plain)
    if len(stated) > 1 or _EITHER.fullmatch(plain):
        return None
    told = _by_sentence(_after_the_word(plain), names) if names else None
    leading = _by_word(plain, names)
    if leading != "yes" and names and _denies_others_only(plain, names):
        return None
    if leading is not None:
        other = told not in (None, leading) or bool(stated - {leading})
        return None if other or (told is None and _REFUSES.search(plain)) else leading
    if stated:
        said = stated.pop()
        return said if told in (None, said) else None
    if asked and not names:
        return None  # "There is a dog" is no answer to whether it runs
    told = _by_sentence(plain, names)
    return None if told == "yes" and asked and _place(asked) - set(_WORD.findall(plain)) else told


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


def _place(asked: str) -> set[str]:
    """The word for where, if not in the picture: "sofa" for "Is there a dog on the sofa?"."""
    match = _ASKED.search(" ".join(fold(asked).split()))
    name = next((part for part in match.groups() if part), "") if match else ""
    where = _WHERE.search(name)
    return {where[1]} if where else set()


def _this_question(final: str, names: frozenset[str]) -> str:
    """The reply without what answers another question, which some models put to themselves."""
    if names:
        final = _without_answers_to_others(final, names)
        for match in _NEXT_QUESTION.finditer(final):
            before = final[: match.start()]
            if before.strip() and not _naming(names).search(match["asks"].lower()):
                return before
    return final


def _without_answers_to_others(final: str, names: frozenset[str]) -> str:
    """Without a yes or no right behind a question about another thing: "Is there a cat? Yes."."""
    kept, of_another = [], False
    for one in _SENTENCE.split(final):
        words = one.strip().lower()
        if not words:
            kept.append(one)
            continue
        named = _naming(names).search(words)
        if not of_another or named or not _ONLY_THE_WORD.match(words):
            kept.append(one)
        of_another = words.endswith("?") and not named and bool(_ASKS_OF_A_THING.match(words))
    return "".join(kept)


def _of_another_language(plain: str) -> bool:
    """Whether "no" begins a sentence of another language, in which the rest is not understood;
    not where that rest denies as well."""
    for match in _NO_AND_MORE.finditer(plain):
        rest = match["rest"]
        other = _FOREIGN.search(rest) or _OTHER_SCRIPT.search(rest)
        if other and not _ENGLISH.search(rest) and not _DENIES_TOO.search(rest):
            return True
    return False


def _folded(text: str) -> str:
    """One line per line, single spaces, without what only looks like a statement: questions, the
    two words of an instruction, quotations, idioms."""
    lines = (" ".join(line.split()) for line in fold(text).splitlines())
    plain = _BOTH_NAMED.sub(" ", "\n".join(line for line in lines if line))
    plain = "".join(one for one in _SENTENCE.split(plain) if not one.rstrip().endswith("?"))
    return _IDIOM.sub(" ", _QUOTED.sub(r"\1", plain)).strip()


def _stated_words(plain: str) -> set[Answer]:
    """Which of the two words stands alone somewhere without being denied, doubted or quoted."""
    found: set[Answer] = set()
    for match in _STATED.finditer(plain):
        clause = _CLAUSE_BEFORE.split(plain[max(0, match.start() - _NEAR) : match.start()])[-1]
        if not any(one.search(clause) for one in (_DENIES, _UNSURE, _REPORTED)):
            found.add("yes" if match["yes"] else "no")
    return found


def _in_frame(plain: str, names: frozenset[str]) -> Answer | None:
    """What a frame that holds an answer says, unless it holds both."""
    return None if len(_stated_words(plain)) > 1 else _by_word(plain, names)


def _after_the_word(plain: str) -> str:
    """What follows a leading yes or no that is a statement of its own; all of it without one."""
    leading = _LEADING.match(plain)
    apart = leading is not None and _GOES_ON.match(leading["rest"])
    return plain[leading.end("word") :] if leading is not None and apart else plain


def _by_word(plain: str, names: frozenset[str]) -> Answer | None:
    """A leading yes, or a leading no that is the statement or denies the object itself."""
    leading = _LEADING.match(plain)
    if leading is None:
        return other_languages.yes_or_no(plain)
    if _ON_CONDITION.match(leading["rest"]):
        return None
    if leading["word"].startswith("y"):
        return "yes"
    rest = leading["rest"]
    if _GOES_ON.match(rest) or not rest:
        return "no"
    if not names:
        return None if _UNSURE.search(plain) or _IMAGE.match(rest) else "no"
    denied = (re.match(rf" (?:\w+ )?{re.escape(name)}\b", rest) for name in names)
    alone = (m for m in denied if m and not mentions.says_nothing(rest, m))
    return "no" if any(not _otherwise(plain, names) for _ in alone) else None


def _by_sentence(plain: str, names: frozenset[str]) -> Answer | None:
    """What the sentences that speak of the object agree on."""
    if not names:
        return _stated(plain)
    if mentions.STRUCK.search(plain) or _otherwise(plain, names):
        return None
    naming = _naming(names)
    said: set[Answer | None] = set()
    for clause in _CLAUSE.split(plain):
        found = naming.finditer(clause)
        named = next((one for one in found if not _names_another(clause, one)), None)
        if named is None:
            if names & _PEOPLE and _NOBODY.search(clause):
                said.add("no")
        elif _UNSURE.search(clause) or _reported(clause, named):
            said.add(None)
        else:
            before, after = clause[: named.start()], clause[named.end() :]
            denials = list(_DENIES.finditer(before))
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


def _denies_others_only(plain: str, names: frozenset[str]) -> bool:
    """Whether the object is denied but for some ("no people other than a man"), which may be one:
    only somebody who knows what a man is can tell."""
    if names & _PEOPLE and _NOBODY_BUT.search(plain):
        return True
    but = f"(?:but|{_BUT_FOR})" if names & _PEOPLE else _BUT_FOR
    some = rf"\b(?:no|not any|n't any|without)(?: \w+)? (?:{_alternatives(names)})\b"
    return bool(re.search(rf"{some}[^.!?;:,\n]{{0,40}}? {but} (?!there\b|it\b|they\b)", plain))


def _otherwise(plain: str, names: frozenset[str]) -> bool:
    """Whether an exception behind the name, "no dogs but one", takes back what its clause says."""
    return any(mentions.with_exception(plain, named) for named in _naming(names).finditer(plain))


def _naming(names: frozenset[str]) -> re.Pattern[str]:
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
    return any(one.search(before) for one in (_REPORTED, _TWICE_DENIED))


def _stated(plain: str) -> Answer | None:
    """What a plain first sentence such as "There is a dog on the grass" says of something."""
    first = _SENTENCE_END.split(plain, maxsplit=1)[0]
    if _UNSURE.search(first):
        return None
    if _THERE_IS_NOT.search(first):
        return "no"
    return "yes" if _THERE_IS.search(first) else None

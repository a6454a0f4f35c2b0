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

from benchmark.plain_text import fold
from benchmark.protocols import mentions, other_languages
from benchmark.protocols.answers import FRAMES, final_answer
from benchmark.protocols.object_sentences import (
    DENIES,
    REPORTED,
    UNSURE,
    WORD,
    YesOrNo,
    by_sentence,
    denies_others_only,
    naming,
    object_names,
    place_asked,
    with_exception,
)
from benchmark.protocols.protocol import Mode

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
_QUOTED = re.compile(
    rf"({REPORTED.pattern}[:,]? ?)(?:\"[^\"\n]{{0,200}}\"|'[^'\n]{{0,200}}'(?!\w))"
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


def parse_answer(text: str, *, asked: str | None = None, mode: Mode = "careful") -> YesOrNo | None:
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
    told = by_sentence(_after_the_word(plain), names) if names else None
    leading = _by_word(plain, names)
    if leading != "yes" and names and denies_others_only(plain, names):
        return None
    if leading is not None:
        other = told not in (None, leading) or bool(stated - {leading})
        return None if other or (told is None and _REFUSES.search(plain)) else leading
    if stated:
        said = stated.pop()
        return said if told in (None, said) else None
    if asked and not names:
        return None  # "There is a dog" is no answer to whether it runs
    told = by_sentence(plain, names)
    elsewhere = asked and place_asked(asked) - set(WORD.findall(plain))
    return None if told == "yes" and elsewhere else told


def _this_question(final: str, names: frozenset[str]) -> str:
    """The reply without what answers another question, which some models put to themselves."""
    if names:
        final = _without_answers_to_others(final, names)
        for match in _NEXT_QUESTION.finditer(final):
            before = final[: match.start()]
            if before.strip() and not naming(names).search(match["asks"].lower()):
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
        named = naming(names).search(words)
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


def _stated_words(plain: str) -> set[YesOrNo]:
    """Which of the two words stands alone somewhere without being denied, doubted or quoted."""
    found: set[YesOrNo] = set()
    for match in _STATED.finditer(plain):
        clause = _CLAUSE_BEFORE.split(plain[max(0, match.start() - _NEAR) : match.start()])[-1]
        if not any(one.search(clause) for one in (DENIES, UNSURE, REPORTED)):
            found.add("yes" if match["yes"] else "no")
    return found


def _in_frame(plain: str, names: frozenset[str]) -> YesOrNo | None:
    """What a frame that holds an answer says, unless it holds both."""
    return None if len(_stated_words(plain)) > 1 else _by_word(plain, names)


def _after_the_word(plain: str) -> str:
    """What follows a leading yes or no that is a statement of its own; all of it without one."""
    leading = _LEADING.match(plain)
    apart = leading is not None and _GOES_ON.match(leading["rest"])
    return plain[leading.end("word") :] if leading is not None and apart else plain


def _by_word(plain: str, names: frozenset[str]) -> YesOrNo | None:
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
        return None if UNSURE.search(plain) or _IMAGE.match(rest) else "no"
    denied = (re.match(rf" (?:\w+ )?{re.escape(name)}\b", rest) for name in names)
    alone = (m for m in denied if m and not mentions.says_nothing(rest, m))
    return "no" if any(not with_exception(plain, names) for _ in alone) else None

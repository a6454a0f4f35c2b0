"""AMBER's generative part: which nouns a description names, and which of them are there.

Published rule (arXiv 2311.07397 and its script): nouns that occur in the table of associations are
kept, each occurrence counted. A noun is true where the picture's truth has it or something that it
is associated with; a word of the safe list is neither; any other noun is hallucinated, and names a
lure where the picture's lures have it. The script tags parts of speech and, beside equal words,
takes close vectors of a language model for equal; here a word is a noun unless what stands around
it makes it something else ("a man can be seen" names no can), and only equal words are equal.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import inflection

Associations = Mapping[str, Sequence[str]]

_TOKEN = re.compile(r"[a-z]+(?:-[a-z]+)*|[^\sa-z]")
_VERB_FOLLOWS = frozenset(
    {"can", "could", "will", "would", "may", "might", "must", "should", "cannot"}
    | {"they", "we", "you", "i", "who", "he", "she", "does", "do", "did", "not"}
)
_VERBS = """\
bear book box brush chair cook dress drink fish floor glass ice leave mirror net note paint park
picture plug pot rain ride ring rock row sail shop sign ski snow sound stand step stop support surf
swing tie train walk watch water work"""
_ALSO_VERBS = frozenset(_VERBS.split())
"""What "to" makes a verb ("to watch"), but not in "next to water"."""
_NEXT_TO = frozenset({"next", "close", "due", "similar", "adjacent", "leading", "connected"})
_OBJECT_FOLLOWS = frozenset({"a", "an", "the", "his", "her", "its", "their", "attention", "them"})
_LEADS_TO_A_CAN = """\
a an the his her its their my your our another every trash garbage rubbish soda beer tin spray paint
watering aluminum aluminium coke metal"""
_BEFORE_A_CAN = frozenset(_LEADS_TO_A_CAN.split())
_GOES_ON = (
    "of on in at and with is are or for to from next near beside which was were . , ; : ) ! ?"
)
_AFTER_A_CAN = frozenset(_GOES_ON.split())
# WordNet's rules for nouns, and "oes", which it has as exceptions.
_ENDINGS = (
    ("ses", "s"),
    ("ves", "f"),
    ("ves", "fe"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("oes", "o"),
    ("ies", "y"),
    ("men", "man"),
    ("s", ""),
)


@dataclass(frozen=True, kw_only=True)
class DescriptionScore:
    """Counts of one description. CHAIR is hallucinated / kept, Cover is covered / truths, Cog is
    lures_named / lures, each pooled over descriptions."""

    kept: int
    hallucinated: int
    covered: int
    truths: int
    lures_named: int
    lures: int


def vocabulary_of(associations: Associations) -> frozenset[str]:
    """All words that are looked for: keys and values of the table."""
    return frozenset(associations) | {word for words in associations.values() for word in words}


def nouns(text: str, vocabulary: Collection[str]) -> list[str]:
    """The nouns of a text that the vocabulary has, in the singular, in order, repetitions kept."""
    spelt = {word.lower(): word for word in vocabulary}
    words = _TOKEN.findall(text.lower())
    found = []
    lemmas: dict[str, str | None] = {}  # Inflection tries a hundred patterns on a word.
    for place, word in enumerate(words):
        if word not in lemmas:
            lemmas[word] = _lemma(word, spelt)
        lemma = lemmas[word]
        if lemma is not None and _is_noun(words, place, lemma):
            found.append(spelt[lemma])
    return found


def _lemma(word: str, known: Collection[str]) -> str | None:
    """The shortest known word that it can be a form of, as WordNet's lemmatizer chooses; None
    where there is none. "People" is a word of its own and no form of "person"."""
    forms = [word] + [word[: -len(end)] + new for end, new in _ENDINGS if word.endswith(end)]
    if word == "leaves":
        forms = ["leaf"]
    fitting = [form for form in forms if form in known]
    if fitting:
        return min(fitting, key=len)
    irregular = inflection.singularize(word)
    return irregular if irregular in known and word != "people" else None


def _is_noun(words: Sequence[str], place: int, lemma: str) -> bool:
    """Whether a word that may be something else is a noun where it stands."""
    word = words[place]
    before = words[place - 1] if place else ""
    after = words[place + 1] if place + 1 < len(words) else "."
    if word == "can":
        return before in _BEFORE_A_CAN or after in _AFTER_A_CAN
    if word == "hot" or before in _VERB_FOLLOWS:
        return False
    if word.endswith("ing") and after in _OBJECT_FOLLOWS:
        return False
    led = before == "to" and (place < 2 or words[place - 2] not in _NEXT_TO)
    return not (led and lemma in _ALSO_VERBS)


def score_description(
    text: str,
    truth: Sequence[str],
    lures: Sequence[str],
    associations: Associations,
    safe_words: Collection[str],
    *,
    vocabulary: Collection[str] | None = None,
) -> DescriptionScore:
    """Counts of one description of a picture that shows ``truth`` and tempts with ``lures``.

    ``vocabulary`` is that of ``associations`` where nothing is given.
    """
    known = vocabulary_of(associations) if vocabulary is None else vocabulary
    named = nouns(text, known)
    true, tempting = _naming(truth, associations), _naming(lures, associations)
    covered: set[str] = set()
    tempted: set[str] = set()
    hallucinated = 0
    for noun in named:
        if noun in safe_words:
            continue
        if noun in true:
            covered.add(true[noun])
        else:
            hallucinated += 1
            if noun in tempting:
                tempted.add(tempting[noun])
    return DescriptionScore(
        kept=len(named),
        hallucinated=hallucinated,
        covered=len(covered),
        truths=len(truth),
        lures_named=len(tempted),
        lures=len(lures),
    )


def _naming(objects: Sequence[str], associations: Associations) -> dict[str, str]:
    """Which object each word names: as in the script, an associate before the object itself, and
    the first object of several."""
    found: dict[str, str] = {}
    for name in objects:
        for word in associations.get(name, ()):
            found.setdefault(word, name)
    for name in objects:
        found.setdefault(name, name)
    return found

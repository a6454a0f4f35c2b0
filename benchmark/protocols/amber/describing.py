"""AMBER's generative part: which nouns a description names, and which of them are there.

Published rule (arXiv 2311.07397 and its script): nouns that occur in the table of associations are
kept, each occurrence counted. A noun is true where the picture's truth has it or something that it
is associated with; a word of the safe list is neither; any other noun is hallucinated, and names a
lure where the picture's lures have it. The script tags parts of speech and, beside equal words,
takes close vectors of a language model for equal; here a word is a noun unless what stands before
it makes it a verb, and only equal words are equal.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import inflection

Associations = Mapping[str, Sequence[str]]

_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")
_VERB_FOLLOWS = frozenset(
    {"can", "could", "will", "would", "may", "might", "must", "should", "cannot"}
    | {"they", "we", "you", "i", "who", "he", "she", "does", "do", "did", "not"}
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
    words = _WORD.findall(text.lower().replace("\u2019", "'"))
    found = []
    for place, word in enumerate(words):
        if place and words[place - 1] in _VERB_FOLLOWS:
            continue
        # "people" is a word of its own there, as "glasses" is not.
        forms = (inflection.singularize(word), word) if word.endswith("s") else (word,)
        forms = (*forms, inflection.singularize(word))
        lemma = next((spelt[form] for form in forms if form in spelt), None)
        if lemma is not None:
            found.append(lemma)
    return found


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
        truths=len(set(truth)),
        lures_named=len(tempted),
        lures=len(set(lures)),
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

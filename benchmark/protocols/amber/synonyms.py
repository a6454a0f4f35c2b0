"""Near synonyms of nouns by word vectors, as AMBER's own script takes them: ``synonyms: spacy``.

The script takes a noun for a true word, or for a lure, where spaCy holds the two for more similar
than 0.8 in ``en_core_web_lg``. That model comes from no registry of packages, so it is optional:
without it only equal words are equal. Which source is used is part of the wording, and figures of
the two are never ranked together.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.protocols.amber import describing
from benchmark.protocols.amber.describing import Associations, DescriptionScore

NONE, SPACY = "none", "spacy"
SIMILARITY = 0.8

Near = Callable[[str, str], bool]
"""Whether two words are near synonyms."""


def named(source: str, model: str) -> str:
    """What the wording says of the source. Raises ValueError for one that is not known."""
    if source not in (NONE, SPACY):
        raise ValueError(f"AMBER_SYNONYMS is {source!r}, not {NONE!r} or {SPACY!r}")
    return f"synonyms: {source}" + (f" {model}" if source == SPACY else "")


@functools.cache
def by_spacy(model: str) -> Near:
    """Similarity of a model's word vectors above 0.8; ``model`` is a package's name or a folder.

    Raises ValueError where spaCy or the model is not installed, or the model has no vectors.
    """
    try:
        pipeline: Any = importlib.import_module("spacy").load(model)
    except (ImportError, OSError) as error:
        raise ValueError(
            f"near synonyms need spaCy with its model {model}, which is not here; "
            "AMBER_SYNONYMS=none does without"
        ) from error
    if not pipeline.vocab.vectors.shape[0]:
        raise ValueError(f"spaCy's model {model} has no word vectors")
    return near_by(lambda word: pipeline.make_doc(word).vector)


def near_by(vector_of: Callable[[str], NDArray[np.float32]]) -> Near:
    """By the cosine of two words' vectors; a word without a vector is near none."""
    kept = functools.cache(vector_of)

    @functools.cache
    def near(first: str, second: str) -> bool:
        one, other = kept(first), kept(second)
        norm = float(np.linalg.norm(one) * np.linalg.norm(other))
        return norm > 0 and float(np.dot(one, other)) / norm > SIMILARITY

    return near


def score_description(
    text: str,
    truth: Sequence[str],
    lures: Sequence[str],
    associations: Associations,
    safe_words: Collection[str],
    *,
    vocabulary: Collection[str],
    near: Near,
) -> DescriptionScore:
    """``describing.score_description`` where near words are equal too.

    In the order of the script: a noun that no true word equals is held against the lures, and
    against the true words in any case; the first of each that is near counts.
    """
    named_nouns = describing.nouns(text, vocabulary)
    true = describing._naming(truth, associations)
    tempting = describing._naming(lures, associations)
    covered: set[str] = set()
    tempted: set[str] = set()
    hallucinated = 0
    for noun in named_nouns:
        if noun in safe_words:
            continue
        if noun in true:
            covered.add(true[noun])
            continue
        if noun in tempting:
            tempted.add(tempting[noun])
        tempted.update(_nearest(noun, tempting, near))
        found = _nearest(noun, true, near)
        covered.update(found)
        hallucinated += not found
    return DescriptionScore(
        kept=len(named_nouns),
        hallucinated=hallucinated,
        covered=len(covered),
        truths=len(truth),
        lures_named=len(tempted),
        lures=len(lures),
    )


def _nearest(noun: str, words: dict[str, str], near: Near) -> list[str]:
    """What the first near word names, or nothing."""
    return next(([thing] for word, thing in words.items() if near(noun, word)), [])

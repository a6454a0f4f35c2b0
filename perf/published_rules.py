"""How often our rules decide as the published scripts do, on answers of real models.

    python -m perf.published_rules pope QUESTIONS ANSWERS
    python -m perf.published_rules dash-b ANSWERS
    python -m perf.published_rules amber FOLDER TEXTS [--vectors MODEL]

``pope``: one split of POPE or RePOPE and answers with its ids; answers to other questions are left
out. ``dash-b``: answers as DASH-B's own script writes them, which say the truth themselves, so that
no other version of its pictures comes between. Both print our figures beside those of the
published script's rule and counts.

``amber``: FOLDER holds ``relation.json``, ``safe_words.txt`` and ``annotations.json``; TEXTS are
descriptions: AMBER's answers (``id``, ``response``), or any JSON lines with texts under
"response", "text" or "caption" (a list of texts, as VL-RewardBench has them, too), each set beside
the picture that it fits best. The published side is a rewriting of AMBER's script and needs NLTK
with the data of WordNet and the averaged perceptron tagger (NLTK_DATA), and for near synonyms
spaCy with a model that has word vectors (its name or folder; the script names en_core_web_lg).
Neither is a dependency of the project: where one is absent, the program says so and ends with 3.
Where the Punkt tokenizer is absent, sentences end at ". ", and it says that too.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.protocols import amber, dash_b, files, pope
from benchmark.protocols.amber import synonyms
from benchmark.protocols.amber.describing import vocabulary_of
from benchmark.protocols.by_id import load_answers
from benchmark.protocols.dash_b.questions import QUERY

ABSENT = 3
A_DESCRIPTION = 25
"""Characters; shorter texts, "Yes." or "(B)", describe nothing."""


# --------------------------------------------------------------------------------------------
# Yes or no
# --------------------------------------------------------------------------------------------


def by_containing(text: str) -> str | None:
    """RePOPE's and DASH-B's rule: "yes" anywhere, else "no" anywhere."""
    lowered = text.lower()
    return "yes" if "yes" in lowered else "no" if "no" in lowered else None


def compare_pope(questions: Path, answers: Path) -> int:
    asked = {one.question_id: one for one in pope.load_questions(questions)}
    said = {number: text for number, text in load_answers(answers).items() if number in asked}
    if not said:
        print(f"{answers.name} answers none of {len(asked)} questions")
        return 1
    labels = [asked[number].label for number in said]
    ours = [pope.parse_answer(said[number], asked=asked[number].text) for number in said]
    print(f"{len(said)} of {len(asked)} questions answered")
    for name, theirs in (
        ("POPE's rule", [pope.parse_answer(text, mode="reference") for text in said.values()]),
        ("RePOPE's rule", [by_containing(text) for text in said.values()]),
    ):
        _print_equal(name, ours, theirs)
        print(f"  {name}: {_written(pope_figures(labels, theirs))}")
    found = pope.summarise(labels, ours)
    print(f"  ours, {found.unparsed} unclear: {_written(vars(found))}")
    return 0


def pope_figures(labels: Sequence[str], answers: Sequence[str | None]) -> dict[str, float]:
    """As the published scripts compute them, out of four counts."""
    counts = Counter(zip(labels, answers, strict=True))
    hits, alarms = counts["yes", "yes"], counts["no", "yes"]
    misses, rejected = counts["yes", "no"], counts["no", "no"]
    precision, recall = hits / (hits + alarms), hits / (hits + misses)
    return {
        "accuracy": (hits + rejected) / (hits + alarms + misses + rejected),
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / (precision + recall),
        "yes_ratio": (hits + alarms) / (hits + alarms + misses + rejected),
    }


def compare_dash_b(answers: Path) -> int:
    rows = [row for _, row in files.objects(answers)]
    labels = [str(row["gt"]) for row in rows]
    asked = [QUERY.format(object=row["object_name"]) for row in rows]
    texts = [str(row["response"]) for row in rows]
    ours = [pope.parse_answer(text, asked=one) for text, one in zip(texts, asked, strict=True)]
    theirs = [by_containing(text) for text in texts]
    _print_equal("DASH-B's rule", ours, theirs)
    right = Counter(label for label, one in zip(labels, theirs, strict=True) if label == one)
    of = Counter(labels)
    tnr, tpr = right["no"] / of["no"], right["yes"] / of["yes"]
    published = {
        "tnr": tnr,
        "tpr": tpr,
        "accuracy": sum(right.values()) / len(labels),
        "harmonic_mean": 2 * tnr * tpr / (tnr + tpr),
    }
    print(f"  DASH-B's script: {_written(published)}")
    found = dash_b.summarise(labels, ours)
    print(f"  ours, {found.unparsed} unclear: {_written(vars(found))}")
    return 0


def _print_equal(name: str, ours: Sequence[Any], theirs: Sequence[Any]) -> None:
    equal = sum(one == other for one, other in zip(ours, theirs, strict=True))
    print(f"{equal} of {len(ours)} answers read as by {name}")


def _written(figures: dict[str, Any]) -> str:
    shown = {n: v for n, v in figures.items() if isinstance(v, float)}
    return ", ".join(f"{name} {100 * value:.2f} %" for name, value in shown.items())


# --------------------------------------------------------------------------------------------
# AMBER's descriptions
# --------------------------------------------------------------------------------------------

FindNouns = Callable[[str], list[str]]


@dataclass(frozen=True)
class Table:
    """AMBER's words: associations, those that are safe, and all that are looked for."""

    associations: dict[str, list[str]]
    safe_words: frozenset[str]
    vocabulary: frozenset[str]


@dataclass(frozen=True)
class Picture:
    """What is known of one of AMBER's pictures; ``things`` are the ways to call each truth."""

    truth: tuple[str, ...]
    lures: tuple[str, ...]
    things: tuple[frozenset[str], ...]


@dataclass
class Tally:
    """Counts over descriptions, ours and the published side's."""

    texts: int = 0
    both_kept: int = 0
    either_kept: int = 0
    decisions: int = 0
    equal: int = 0

    def add(
        self,
        ours: Sequence[str],
        theirs: Sequence[str],
        picture: Picture,
        table: Table,
        near: synonyms.Near,
    ) -> None:
        mine, other = Counter(ours), Counter(theirs)
        shared = mine & other
        self.texts += 1
        self.both_kept += shared.total()
        self.either_kept += (mine | other).total()
        for noun, times in shared.items():
            self.decisions += times
            equal = our_decision(noun, picture, table) == published(noun, picture, table, near)
            self.equal += times * equal


def _never(first: str, second: str) -> bool:
    return False


def our_decision(noun: str, picture: Picture, table: Table) -> bool:
    """Whether we count a noun as hallucinated, where it stands as one."""
    known = (picture.truth, picture.lures, table.associations, table.safe_words)
    score = amber.score_description(f"The {noun}.", *known, vocabulary=table.vocabulary)
    return score.hallucinated > 0


def published(noun: str, picture: Picture, table: Table, near: synonyms.Near) -> bool:
    """Whether AMBER's script does: not safe, equal to no true word, and near none."""
    true = [word for name in picture.truth for word in table.associations.get(name, ())]
    true += picture.truth
    if noun in table.safe_words or noun in true:
        return False
    return not any(near(noun, word) for word in true)


def published_nouns(vocabulary: frozenset[str]) -> tuple[FindNouns, str]:
    """AMBER's: tokens tagged as nouns, lemmatised, kept where the table has them.

    Raises LookupError where NLTK or its data is not here.
    """
    try:
        import nltk  # type: ignore[import-not-found,unused-ignore]
        from nltk.stem import WordNetLemmatizer  # type: ignore[import-not-found,unused-ignore]
        from nltk.tokenize import (  # type: ignore[import-not-found,unused-ignore]
            NLTKWordTokenizer,
        )
    except ImportError as error:
        raise LookupError("NLTK is not installed") from error
    lemmatizer = WordNetLemmatizer()
    lemmatizer.lemmatize("dogs")
    nltk.pos_tag(["dog"])
    tokenize, note = nltk.word_tokenize, "NLTK's tokenizer"
    try:
        tokenize("A dog. A cat.")
    except LookupError:
        words = NLTKWordTokenizer()
        note = 'NLTK\'s word tokenizer, sentences ending at ". " since Punkt is absent'

        def tokenize(text: str) -> list[str]:
            sentences = re.split(r"(?<=[.!?])\s+", text)
            return [token for sentence in sentences for token in words.tokenize(sentence)]

    def find(text: str) -> list[str]:
        tagged = nltk.pos_tag(tokenize(text))
        found = (lemmatizer.lemmatize(word) for word, tag in tagged if tag.startswith("NN"))
        return [noun for noun in found if noun in vocabulary]

    return find, note


def compare_amber(folder: Path, texts: Path, vectors: str) -> int:
    associations = json.loads((folder / "relation.json").read_text(encoding="utf-8"))
    safe = (folder / "safe_words.txt").read_text(encoding="utf-8").split("\n")
    safe_words = frozenset(word.strip() for word in safe if word.strip())
    vocabulary = vocabulary_of(associations)
    table = Table(associations, safe_words, vocabulary)
    pictures = {
        row["id"]: Picture(
            tuple(row["truth"]),
            tuple(row["hallu"]),
            tuple(frozenset({name, *associations.get(name, ())}) for name in row["truth"]),
        )
        for row in json.loads((folder / "annotations.json").read_text(encoding="utf-8"))
        if row["type"] == "generative"
    }
    try:
        find, note = published_nouns(vocabulary)
        near = synonyms.by_spacy(vectors) if vectors else _never
    except (LookupError, ValueError) as error:
        print(f"cannot compare: {str(error).strip().splitlines()[0]}")
        return ABSENT
    print(f"published side: {note}; near synonyms by {vectors or 'nothing'}")
    tally = Tally()
    scores: dict[str, list[amber.DescriptionScore]] = {"none": [], "spacy": []}
    for number, text in descriptions(texts):
        ours = amber.nouns(text, vocabulary)
        picture = pictures[number] if number in pictures else _fitting(ours, pictures)
        tally.add(ours, find(text), picture, table, near)
        known = (picture.truth, picture.lures, associations, safe_words)
        scores["none"].append(amber.score_description(text, *known, vocabulary=vocabulary))
        scores["spacy"].append(
            synonyms.score_description(text, *known, vocabulary=vocabulary, near=near)
        )
    print(f"{tally.texts} descriptions")
    print(
        f"nouns that either kept: {tally.either_kept}; both kept: {tally.both_kept} "
        f"({_percent(tally.both_kept, tally.either_kept)})"
    )
    print(
        f"decisions hallucinated or not: {tally.decisions}; equal: {tally.equal} "
        f"({_percent(tally.equal, tally.decisions)})"
    )
    for source, found in scores.items():
        summary = amber.summarise(found, [])
        shown = {name: getattr(summary, name) for name in ("chair", "cover", "hal", "cog")}
        figures = ", ".join(f"{n} {'–' if v is None else f'{v:.1f}'}" for n, v in shown.items())  # noqa: RUF001
        print(f"ours with synonyms {source}: {figures} (percent)")
    return 0


def descriptions(path: Path) -> Iterator[tuple[int, str]]:
    """(id, text) of each; -1 for texts that are not AMBER's answers."""
    for _, row in files.objects(path):
        number = row["id"] if isinstance(row.get("id"), int) and "response" in row else -1
        found = next((row[n] for n in ("response", "text", "caption") if n in row), ())
        for text in [found] if isinstance(found, str) else found:
            if isinstance(text, str) and len(text) >= A_DESCRIPTION:
                yield number, text


def _fitting(nouns: Iterable[str], pictures: dict[int, Picture]) -> Picture:
    """The picture of whose objects most are named; of several, the one with the fewest others."""
    named = set(nouns)

    def fit(picture: Picture) -> tuple[int, int]:
        covered = sum(not named.isdisjoint(words) for words in picture.things)
        return covered, -len(picture.truth)

    return max(pictures.values(), key=fit)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "not defined"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    which = parser.add_subparsers(dest="which", required=True)
    of_pope = which.add_parser("pope")
    of_pope.add_argument("questions", type=Path)
    of_pope.add_argument("answers", type=Path)
    which.add_parser("dash-b").add_argument("answers", type=Path)
    of_amber = which.add_parser("amber")
    of_amber.add_argument("folder", type=Path)
    of_amber.add_argument("texts", type=Path)
    of_amber.add_argument("--vectors", default="", help="spaCy's model; none without")
    chosen = parser.parse_args(arguments)
    match chosen.which:
        case "pope":
            return compare_pope(chosen.questions, chosen.answers)
        case "dash-b":
            return compare_dash_b(chosen.answers)
    return compare_amber(chosen.folder, chosen.texts, chosen.vectors)


if __name__ == "__main__":
    sys.exit(main())

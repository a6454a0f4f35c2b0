"""Reads a whole-number rating out of what a judge wrote in its own words.

Judges decorate ("**Rating:** 5"), change their minds, quote what they judge and hedge ("3 or 4").
One rule settles it: statements are ranked by how explicit they are, the last of the most explicit
kind counts, and if that one is hedged, off the scale or contradicts its own words, there is no
rating. Guessing would put a wrong number into a mean; having none asks a person.
"""

from __future__ import annotations

import re

from benchmark.plain_text import fold
from benchmark.protocols import other_languages
from benchmark.protocols.answers import final_answer, framed, without_struck_out

LOWEST_RATING, HIGHEST_RATING = 0, 6
HONEST_FROM = 3
"""Lower ratings are for answers with hallucination."""

_WORDS = {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}

_SCALE_NOTE = (
    r"(?:\s?[(\[][^()\[\]\n]{0,40}[)\]]"
    r"|\s(?:on\sa\sscale\s)?(?:from|of|out\sof)\s[0-6](?:\s?(?:-|to)\s?6)?)?"
)
_OPENING = r"[\s\"'(\[{<]*"
_NUMBER = r"(?P<number>-?\d+(?:\.\d+)?)(?![\d%])"
_WORD = r"(?P<word>zero|one|two|three|four|five|six)\b(?!\s[a-z])"

# "Rating: 4", "rating (0-6) = 4", "the rating is 4", "| rating | 4", "<rating>4", "rating\n4".
_LABEL = (
    r"(?<![/\w])(?P<open>[\"']?)(?P<label>ratings?|{other_languages}|{other})(?P<close>[\"']?)"
    r"(?:\s(?:for|of)\s(?:this|the|that)\s(?:[a-z']+\s)?(?:response|answer))?"
    + _SCALE_NOTE
    + r"(?P<sign>\s?(?:[:=|>]|->|→|\bis\b(?:\s(?:therefore|thus|hence|then))?|-(?=\s))+"
    + r"|\n(?=[\"'(\[{<]*\d))"
)
_LABELLED = (
    re.compile(_LABEL.replace("{other_languages}|{other}", other_languages.RATING)),
    re.compile(
        _LABEL.replace(
            "ratings?|{other_languages}|{other}", "(?:overall |final )?(?:scores?|grade|verdict)"
        )
    ),
)
_VALUE = re.compile(rf"{_OPENING}(?:an?\s)?(?:{_NUMBER}|{_WORD})")

# "a rating of 4", "I rate this answer a 4", "I would give it 4 out of 6".
_PROSE = (
    re.compile(rf"\b(?:rating|score|grade)\s(?:would\sbe|should\sbe|of)\s{_NUMBER}"),
    re.compile(rf"\brat(?:e|ed|ing)\s(?:[a-z'\"]+\s){{0,5}}?(?:(?:as|at|a|an)\s)?{_NUMBER}"),
    re.compile(
        r"\b(?:give|gave|giving|award|assign|deserves?|merits?|earns?|gets?|receives?|scores?)\s"
        rf"(?:[a-z'\"]+\s){{0,5}}?{_NUMBER}(?=\s?(?:/|out\sof)\s?6\b)"
    ),
)
_IN_THE_WORDS_OF_THE_SCALE = re.compile(
    rf"^\(?{_NUMBER}\)?\s?[,:-]\s?(?:very|somewhat|not)\sinformative\b", re.MULTILINE
)
"""Without a label: "6, very informative, no hallucination". A list of several is the scale."""
_BARE = re.compile(r"\(?(?P<number>\d+)\)?(?:\s?(?:/|out\sof)\s?6)?\s?\.?")

_OUT_OF_SIX = re.compile(r"\s?[)\]}>\"']*\s?(?:/|\bout\sof\b)\s?6\b(?!\.\d)")
_OTHER_SCALE = re.compile(r"\s?(?:/|\bout\sof\b)\s?\d")
_HEDGE = re.compile(
    r"\s?[)\]}>\"']*\s?"
    r"(?:(?:,\s?)?(?:or|to|and|maybe|perhaps|possibly|nearly|almost)\b(?:\s(?:a|an|maybe|even))*"
    r"|(?:->|→)(?:\s[a-z]{1,12}){0,2}|[-~&+,/])?"
    r"\s?(?:\d|(?:zero|one|two|three|four|five|six)\b)"
    r"|\s?(?:or|and)\s(?:higher|lower|more|less|above|below|up|so)\b"
    r"|\s?[(\[](?:or|maybe|perhaps|possibly|nearly|almost)\b(?:\s(?:a|an|even))*\s?\d"
    rf"|\s?{other_languages.OR_TO}\s?\d"
    r"|\sat (?:best|most|least)\b|[)\]}>\"']{0,3}(?:\+|-(?=\s?(?:$|[.,;)])))"
)
_NOT_GIVEN = re.compile(r"(?:\bnot|n't|\bcannot|\bno|\bnever)(?: [a-z]+){0,2} ?\Z")
"""Right before its label: "not a rating: 5", "I cannot give a rating: 0 of it can be seen". Not on
the line above it, where "Hallucination: no" says something else."""
_ALTERNATIVE = re.compile(r"\b(?:or|maybe|perhaps|possibly)(?:\s(?:a|even))?\s?\Z")
_SUPPOSED = re.compile(
    r"\b(?:if(?! i\b)|unless|had (?:it|the|this|they|there)|were (?:it|the|this|they|there))\b"
    r"[^.!?\n:]{0,120}\Z"
)
"""Before a label: what the rating would be of another answer."""
_DENIED = re.compile(
    r"(?:\bnot\b|n't\b|\bcannot\b|\bnever\b|\bneither\b|\bthan\b|\binstead\sof\b|\babove\b"
    r"|\bbelow\b|\bat\sleast\b|\bat\smost\b|\bbetween\b|\bif\b|\bwere\b)[^.!?\n:]{0,120}\Z"
)
_CLAUSE_LENGTH = 120  # How far a "not" is looked for before, and a second number behind.
_HONEST = re.compile(
    r"\b(?:no|without(?:\sany)?)\shallucinations?\b|\"hallucination\":\s?\"?(?:no|false)\b"
)
_HALLUCINATED = re.compile(
    r"(?<!not )\bwith\s(?:(?:an?|one|some|minor|slight)\s){0,3}hallucinations?\b"
    r"|\"hallucination\":\s?\"?(?:yes|true)\b"
)
_VERDICT_ON_IT = re.compile(
    r"\bhallucinat(?:ions?|ed)\b[\"']?(?: present| detected)?\??[\"']?\s?[:=|]\s?[\"'(]{0,2}"
    r"(?:(?P<honest>no|none|false|absent)|(?:yes|true|present))\b(?! (?:no|none)\b)"
)
"""On a line of its own, or in a member of JSON: "Hallucination: yes"."""
_TAKEN_BACK = re.compile(
    r"\s?\b(?:would|could|might|is too|seems|may)\b"
    r"|[\s,;(\[]{0,3}(?:only\s|but\s(?:only\s)?)?(?:if|unless|provided|assuming|minus|plus)\b"
)
"""Right behind the number: it is given on a condition, or is a step of a sum."""
_ASPECT = re.compile(
    r"\b(?:informativeness|helpfulness|honesty|accuracy|truthfulness|factuality|relevance|fluency"
    r"|detail|hallucination|correctness|completeness|coherence|clarity|style) \Z"
)
"""Right before the label: the rating of one aspect is not that of the answer."""


def rating_in(text: str) -> int | None:
    """The rating from 0 to 6 that ``text`` states, or None where that is unclear."""
    final = final_answer(text)
    if final is None:
        return None
    alone = framed(final)
    framed_number = _BARE.fullmatch(_plain(alone)) if alone is not None else None
    if framed_number is None:
        return _rating_in_words(final)
    rating = _on_scale(framed_number["number"])
    return rating if _rating_in_words(final) in (None, rating) else None


def _rating_in_words(final: str) -> int | None:
    plain = _plain(final)
    bare = _BARE.fullmatch(plain)
    if bare:
        return _on_scale(bare["number"])
    for pattern in _LABELLED:
        found = [
            match
            for match in pattern.finditer(plain)
            if not _quoted(match, plain)
            and not any(one.search(_clause_before(match, plain)) for one in (_ASPECT, _SUPPOSED))
        ]
        stated = _without_the_scale(found, plain)
        if found and not stated:
            return None
        if stated:
            return _value_after(stated[-1], plain)
    return _prose_rating(plain)


def _plain(text: str) -> str:
    """Folded text without what was struck out, and without quotes around all of it."""
    plain = fold(without_struck_out(text))
    for quote in "\"'":
        if len(plain) > 1 and plain[0] == plain[-1] == quote and plain.count(quote) == 2:
            plain = plain[1:-1].strip()
    return plain


def _quoted(match: re.Match[str], text: str) -> bool:
    """Whether the statement repeats somebody's words: an opening quote stands right before it.

    A JSON key is closed again before its colon, so it is no quotation.
    """
    return bool(match["open"]) and not match["close"]


def _without_the_scale(found: list[re.Match[str]], text: str) -> list[re.Match[str]]:
    """The statements that are left once a judge has repeated the scale that it was given."""
    numbers = [value["number"] if (value := _VALUE.match(text, m.end())) else None for m in found]
    whole = {str(number) for number in range(LOWEST_RATING, HIGHEST_RATING + 1)}
    for end in range(len(whole), len(found) + 1):
        if set(numbers[end - len(whole) : end]) == whole:
            return found[end:]
    return found


def _value_after(label: re.Match[str], text: str) -> int | None:
    value = _VALUE.match(text, label.end())
    before = _clause_before(label, text)
    if value is None or _ALTERNATIVE.search(before) or _NOT_GIVEN.search(before):
        return None
    number = value["number"]
    if number is None:
        rating: int | None = _WORDS[value["word"]]
    elif number.startswith("-"):
        return None
    else:
        rating = _on_scale(number)
    end = _end_of_value(text, value.end())
    if rating is None or end is None or _contradicts(rating, text[end:]):
        return None
    said = {bool(one["honest"]) for one in _VERDICT_ON_IT.finditer(text)}
    return rating if said in (set(), {rating >= HONEST_FROM}) else None


def _prose_rating(text: str) -> int | None:
    """The one rating that all plain sentences agree on."""
    found: set[int | None] = set()
    for pattern in (*_PROSE, _IN_THE_WORDS_OF_THE_SCALE):
        for match in pattern.finditer(text):
            if _DENIED.search(_clause_before(match, text)) or _DENIED.search(match[0]):
                continue
            end, rating = _end_of_value(text, match.end()), _on_scale(match["number"])
            unclear = end is None or rating is None or _contradicts(rating, text[end:])
            found.add(None if unclear else rating)
    return found.pop() if len(found) == 1 else None


def _clause_before(match: re.Match[str], text: str) -> str:
    return text[max(0, match.start() - _CLAUSE_LENGTH) : match.start()]


def _end_of_value(text: str, end: int) -> int | None:
    """Where a value with its "/6" ends; None for another scale, a range, a second number, or a
    question mark."""
    out_of_six = _OUT_OF_SIX.match(text, end)
    if out_of_six:
        end = out_of_six.end()
    elif _OTHER_SCALE.match(text, end):
        return None
    rest = text[end : end + _CLAUSE_LENGTH].split("\n", 1)[0]
    asked = rest.lstrip(" )]}>\"'").startswith("?")
    return None if asked or _HEDGE.match(rest) or _TAKEN_BACK.match(rest) else end


def _contradicts(rating: int, rest: str) -> bool:
    """Whether the words on the rating's own line say the opposite about hallucination."""
    line = rest.split("\n", 1)[0]
    honest, hallucinated = bool(_HONEST.search(line)), bool(_HALLUCINATED.search(line))
    if honest == hallucinated:
        return honest
    return honest != (rating >= HONEST_FROM)


def _on_scale(number: str) -> int | None:
    value = float(number)
    whole = value.is_integer() and LOWEST_RATING <= value <= HIGHEST_RATING
    return int(value) if whole else None

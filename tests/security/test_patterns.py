"""Outside text meets only what is linear in it: every pattern, and every reader that loops.

Patterns are found by the statements that compile them, so that a new one is tried without being
named here; a pattern that is compiled anywhere else than at a module's top fails the test.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable

import pytest
from django.utils.http import parse_etags

from annotation import markup
from annotation.quality import corruption
from annotation.reading import names
from annotation.texts import names_a_model
from benchmark.board import summaries
from benchmark.judging.injections import addresses_judge
from benchmark.plain_text import fold
from benchmark.protocols import yes_no
from benchmark.protocols.llava_bench import judge as llava_bench
from benchmark.protocols.mmhal.ratings import rating_in
from benchmark.protocols.small_world import rules
from config.proxies import address_in
from config.request_validation import Request
from config.sanitising import normalized, storable
from tests.security import patterns

# Patterns built around words that are only known later (escaped, and no more of them): one example
# for each place.
BUILT = {
    "benchmark.judging.endpoints": [r"(?<![\w-])max\-tokens(?![\w-])"],
    "benchmark.protocols.object_sentences": [
        r"\b(?:dog|dogs)\b",
        r"\b(?:no|not any|n't any)(?: \w+)? (?:dog|dogs)\b[^.!?;:,\n]{0,40}? but (?!there\b)",
    ],
    "benchmark.protocols.yes_no": [r" (?:\w+ )?dog\b"],
    "training.rlhf.prompts": [r"<image>|<\|im_end\|>|</s>"],
}
MODULES = patterns.module_names()
# What meets no text from outside: the SQL of the project's own migrations.
OF_OUR_OWN = {"config.postgres.locking"}
KNOWN = patterns.patterns(MODULES) + [
    patterns.Known(f"{name}[{pattern}]", re.compile(pattern))
    for name, examples in BUILT.items()
    for pattern in examples
]


def test_patterns_are_compiled_at_the_top_of_modules_and_nowhere_else() -> None:
    found = {name: list(patterns.elsewhere(patterns.source_of(name))) for name in MODULES}
    assert {n: len(places) for n, places in found.items() if places and n not in OF_OUR_OWN} == {
        name: len(examples) for name, examples in BUILT.items()
    }, found
    assert len(KNOWN) > 50


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_a_pattern_is_linear(known: patterns.Known) -> None:
    for made in patterns.attacks(known.pattern):
        assert not patterns.grows_faster_than_linearly(known.run, made), made.__doc__


@pytest.mark.parametrize(
    "pattern",
    [
        r"\s+$",
        r"(?m)^\s*x",
        r"(a+)+b",
        r"\W*(?:the answer is)?\W*yes",
        r"note(?: \([^)]*\))?:",
        r"(?:a|ab|b)*c",
        r"\d+(?![\d%])x",
        r"not[^.]*\Z",
    ],
)
def test_the_attacks_find_what_is_not_linear(pattern: str) -> None:
    known = patterns.Known("slow", re.compile(pattern))
    assert any(
        patterns.grows_faster_than_linearly(known.run, made)
        for made in patterns.attacks(known.pattern)
    )


SCRIPTS = sorted((patterns.ROOT / "static/js").glob("*.js"))
LITERAL = re.compile(r"(?<=[(,=:!&|?\s])/((?![/* ])(?:[^/\\\n]|\\.)+)/[dgimsuvy]*(?=[.,;) ])")


def test_patterns_in_scripts_are_linear() -> None:
    """Their syntax is Python's, whose engine goes back as those of browsers do."""
    found = {
        f"{path.name}: {literal}": re.compile(literal)
        for path in SCRIPTS
        for literal in LITERAL.findall(path.read_text())
    }
    assert len(found) >= 4
    for name, pattern in found.items():
        known = patterns.Known(name, pattern)
        for made in patterns.attacks(pattern):
            assert not patterns.grows_faster_than_linearly(known.run, made), (name, made.__doc__)


def test_scripts_build_no_patterns_and_give_texts_to_none_otherwise() -> None:
    """A pattern that is put together, or in quotes, would pass the test above unseen."""
    for path in SCRIPTS:
        text = path.read_text()
        assert "RegExp" not in text, path.name
        called = re.findall(r"\.(?:match|matchAll|replace|replaceAll|search|split)\((.)", text)
        slashes = len(re.findall(r"\.(?:match|matchAll|replace|replaceAll|search|split)\(/", text))
        assert called.count("/") == slashes <= len(LITERAL.findall(text)), path.name
        assert not re.search(r"\.(?:match|matchAll|search)\([^/)]", text), path.name


READERS: dict[str, Callable[[str], object]] = {
    "annotation.markup": markup.html,
    "annotation.texts": lambda text: names_a_model(text, "my-model-7b"),
    "annotation.quality.corruption": lambda text: corruption.corruptions(text, facts=[text]),
    "annotation.reading.names": names.normal,
    "benchmark.board.summaries": lambda text: summaries._MARKUP.sub(r"\\\1", text),
    "benchmark.judging.injections": addresses_judge,
    "benchmark.plain_text": fold,
    "benchmark.protocols.llava_bench.judge": llava_bench.parse_scores,
    "benchmark.protocols.mentions": lambda text: yes_no.parse_answer(text, asked="dog"),
    "benchmark.protocols.mmhal.ratings": rating_in,
    "benchmark.protocols.object_sentences": lambda text: yes_no.parse_answer(text, asked="dog"),
    "benchmark.protocols.small_world.rules": rules.claims,
    "benchmark.protocols.yes_no": yes_no.parse_answer,
    "config.sanitising": lambda text: normalized(storable(text), "NFKC"),
}
"""What reads long texts, by the module whose patterns it goes through again and again."""


@pytest.mark.parametrize("module", READERS)
def test_a_reader_of_long_texts_is_linear(module: str) -> None:
    own = [known.pattern for known in KNOWN if known.name.startswith(f"{module}.")]
    assert own
    for pattern in own:
        for made in itertools.islice(patterns.attacks(pattern), 0, None, 150):
            assert not grows(READERS[module], made), made.__doc__


WITHIN = [
    ("[a", "](b)"),
    ("*a _b ", " c_ d*"),
    ("**a ~~b ", " c~~ d**"),
    ("(a ", " b)"),
    ("“a ", " b”"),
]
"""What opens and what closes: one within the other, as deep as the text is long."""


@pytest.mark.parametrize("module", READERS)
def test_a_reader_of_long_texts_is_linear_in_what_lies_within(module: str) -> None:
    for opening, closing in WITHIN:

        def made(length: int, opening: str = opening, closing: str = closing) -> str:
            deep = length // len(opening + closing)
            return opening * deep + closing * deep

        assert not grows(READERS[module], made), opening


def test_marks_within_marks_are_drawn_in_linear_time() -> None:
    def drawn(text: str) -> str:
        half = len(text) // 2
        marks = [{"start": n, "end": len(text) - n, "kind": "object"} for n in range(half)]
        return markup.html(text, marks)

    assert not grows(drawn, lambda length: "a" * length)


@pytest.mark.parametrize("pump", ["\u0315\u0316", "\u0316", "é\u0301", "\u1100\u1161"])
def test_combining_characters_are_sorted_in_linear_time(pump: str) -> None:
    assert not grows(fold, lambda length: "a" + pump * (length // len(pump)))


PUMPS = ["\\", '\\"', "\\1", "a=b;", ";", "=", ",", 'a="b', "a/b;q=1,", "%41", "[", " ", "\t"]


@pytest.mark.parametrize("around", ["{}", 'a="{}"', 'sessionid=1; a="{}"; b=c', "a/b; c={}"])
@pytest.mark.parametrize("pump", PUMPS)
def test_a_head_is_read_in_linear_time(around: str, pump: str) -> None:
    def read(text: str) -> None:
        head = {"REQUEST_METHOD": "GET", "wsgi.input": io.BytesIO(), "PATH_INFO": "/"}
        names = ("HTTP_COOKIE", "HTTP_ACCEPT", "CONTENT_TYPE", "HTTP_IF_NONE_MATCH", "HTTP_RANGE")
        request = Request({**head, **dict.fromkeys(names, text), "QUERY_STRING": text})
        _ = request.COOKIES, request.GET, request.accepted_types, parse_etags(text)
        address_in(text)

    assert not grows(read, lambda length: around.format(pump * (length // len(pump))))


def test_cookies_beside_one_that_is_left_out_are_read() -> None:
    said = r'sessionid=abc; theirs="a\"b"; csrftoken="xyz"'
    request = Request({"REQUEST_METHOD": "GET", "wsgi.input": io.BytesIO(), "HTTP_COOKIE": said})
    assert request.COOKIES == {"sessionid": "abc", "csrftoken": "xyz"}


def grows(read: Callable[[str], object], made: Callable[[int], str]) -> bool:
    return patterns.grows_faster_than_linearly(
        read, made, lengths=(1024, 16_384), suspect_seconds=0.01
    )

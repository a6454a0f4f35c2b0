"""What a judge or a model wrote, without its typography, for the parsers."""

import re

from config.sanitising import normalized

_ASCII = str.maketrans(
    {
        "\u2010": "-",
        "\u2011": "-",
        "\u2012": "-",
        "\u2013": "-",
        "\u2014": "-",
        "\u2212": "-",
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u00ab": '"',
        "\u00bb": '"',
        "\u2044": "/",
        "\u00bd": ".5",
    }
)
_DECORATION = re.compile(
    r"[*_`#$\u200b-\u200f\u2060\ufeff\ufe0f\u20e3]|\\boxed"
    r"|</?(?:b|strong|i|em|u|code|mark|span|font)(?: [^<>\n]{0,80})?>"
)
_BLANKS = re.compile(r"\s+")


def fold(text: str) -> str:
    """Lower case, full-width and typographic characters as ASCII, markup and emphasis removed.

    Between words stands one blank, or one newline where there was any: the parsers ask for no more
    than one, and so cannot be kept busy by a million of them.
    """
    folded = normalized(text.translate(_ASCII), "NFKC").translate(_ASCII).lower()
    return _BLANKS.sub(_one_blank, _DECORATION.sub("", folded)).strip()


def _one_blank(blanks: re.Match[str]) -> str:
    return " " if blanks[0].splitlines() == [blanks[0]] else "\n"

"""What a judge or a model wrote, without its typography, for the parsers."""

import re
import unicodedata

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
_DECORATION = re.compile(r"[*_`#$\u200b-\u200f\u2060\ufeff\ufe0f\u20e3]|\\boxed")


def fold(text: str) -> str:
    """Lower case, full-width and typographic characters as ASCII, markup and emphasis removed."""
    folded = unicodedata.normalize("NFKC", text.translate(_ASCII)).translate(_ASCII).lower()
    return _DECORATION.sub("", folded).strip()

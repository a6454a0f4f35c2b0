"""What of comparisons and prompts is searched, exactly as their indexes have it.

Postgres's configuration "simple" knows no grammar, so words of every language are treated alike.
"""

from __future__ import annotations

from django.contrib.postgres.search import SearchVector
from django.db.models import F, Func, TextField, Value
from django.db.models.functions import Left

LETTERS = 40_000
"""How much of each text is searched: what Postgres makes of a text may be 1 MiB at most, however
many bytes a letter has."""
CONFIG = "simple"


class Turns(Func):
    """The texts of a conversation as one; line ends in them are spaces, no "n" before a word."""

    function = "regexp_replace"
    template = (
        "regexp_replace(jsonb_path_query_array(%(expressions)s, '$[*].value')::text, "
        r"'\\[nrtbf]', ' ', 'g')"
    )
    output_field = TextField()


RESPONSES = SearchVector(
    Left("response_1", LETTERS),
    Left("response_2", LETTERS),
    "external_id",
    config=Value(CONFIG),
)
CONVERSATION = SearchVector(Left(Turns(F("conversation")), 2 * LETTERS), config=Value(CONFIG))

"""Indexes of the words of comparisons, made while people label; dropped first where an interrupted
try left half of them."""

from django.contrib.postgres.indexes import GinIndex
from django.db import migrations

from annotation.models.searched import CONVERSATION, RESPONSES

INDEXES = {
    "comparison_by_words": (
        "comparison",
        "to_tsvector('simple'::regconfig, COALESCE(LEFT(\"response_1\", 40000), '') || ' ' || "
        "COALESCE(LEFT(\"response_2\", 40000), '') || ' ' || COALESCE(\"external_id\", ''))",
        RESPONSES,
    ),
    "prompt_by_words": (
        "prompt",
        "to_tsvector('simple'::regconfig, COALESCE(LEFT(regexp_replace(jsonb_path_query_array("
        "\"conversation\", '$[*].value')::text, '\\\\[nrtbf]', ' ', 'g'), 80000), ''))",
        CONVERSATION,
    ),
}


def _made(name: str, table: str, words: str) -> list[str]:
    return [
        f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"',
        f'CREATE INDEX CONCURRENTLY "{name}" ON "annotation_{table}" USING gin (({words}))',
    ]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("annotation", "0024_memberships_from_groups")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(made, made[:1])
                for made in (
                    _made(name, table, words) for name, (table, words, _) in INDEXES.items()
                )
            ],
            state_operations=[
                migrations.AddIndex(model_name=table, index=GinIndex(searched, name=name))
                for name, (table, _, searched) in INDEXES.items()
            ],
        )
    ]

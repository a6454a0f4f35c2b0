"""Migrations that came after the previous release lock no large table; the rules, one by one."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from config.postgres.locking import faults, widened
from tests.upgrade import previously

OURS = ("annotation", "training", "benchmark")


# Django makes an index concurrently in no transaction, a test's included.
@pytest.mark.django_db(transaction=True)
def test_no_migration_since_the_previous_release_locks_a_large_table() -> None:
    loader = MigrationLoader(connection, replace_migrations=False)
    released = previously.migrations()
    new = [
        migration
        for key, migration in sorted(loader.disk_migrations.items())
        if key[0] in OURS and key not in released
    ]
    assert new
    told = {}
    for migration in new:
        statements = loader.collect_sql([(migration, False)])
        node = (migration.app_label, migration.name)
        before = loader.project_state(node, at_end=False)
        longer = widened(before, migration)
        if found := faults(statements, atomic=migration.atomic, longer=longer):
            told[f"{migration.app_label}.{migration.name}"] = found
    assert told == {}


REFUSED = {
    "an index": 'CREATE INDEX "i" ON "votes" ("a");',
    "a unique index": 'CREATE UNIQUE INDEX "i" ON "votes" ("a") WHERE "b";',
    "a unique constraint": 'ALTER TABLE "votes" ADD CONSTRAINT "u" UNIQUE ("a");',
    "a check": 'ALTER TABLE "votes" ADD CONSTRAINT "c" CHECK ("a" > 0);',
    "a foreign key": 'ALTER TABLE "votes" ADD CONSTRAINT "f" FOREIGN KEY ("a") REFERENCES "b" (id);',
    "not null": 'ALTER TABLE "votes" ALTER COLUMN "a" SET NOT NULL;',
    "a type": 'ALTER TABLE "votes" ALTER COLUMN "a" TYPE bigint USING "a"::bigint;',
    "a shorter text": 'ALTER TABLE "votes" ALTER COLUMN "a" TYPE varchar(5);',
    "a default of each row": 'ALTER TABLE "votes" ADD COLUMN "a" uuid DEFAULT gen_random_uuid() NOT NULL;',
    "a default of each row, in a sum": 'ALTER TABLE "votes" ADD COLUMN "a" float DEFAULT 1 + random() NOT NULL;',
    "a default of each row, of a schema": 'ALTER TABLE "votes" ADD COLUMN "a" float DEFAULT pg_catalog.random();',
    "a default of each row, after a type": "ALTER TABLE votes ADD COLUMN a text DEFAULT ''::varchar(9) || random()::text;",
    "a column with a check": 'ALTER TABLE "votes" ADD COLUMN "a" smallint DEFAULT 0 NOT NULL CHECK ("a" >= 0);',
    "a column with a check that may be null": 'ALTER TABLE "votes" ADD COLUMN "a" smallint NULL CHECK ("a" >= 0);',
    "a default that names a row": 'ALTER TABLE "votes" ADD COLUMN "a" bigint DEFAULT 1 NOT NULL REFERENCES "b" (id);',
    "a number as a text": 'ALTER TABLE "votes" ALTER COLUMN "a" TYPE text USING "a"::text;',
    "a column that is reckoned": 'ALTER TABLE "votes" ADD COLUMN "a" int GENERATED ALWAYS AS ("b") STORED;',
    "a unique column": 'ALTER TABLE "votes" ADD COLUMN "a" int NULL UNIQUE;',
    "rows": "UPDATE votes SET a = 1 WHERE b IS NULL;",
    "rows behind a name": "WITH w AS (SELECT 1) UPDATE votes SET a = 1;",
    "rows in a block": "DO $$ BEGIN UPDATE votes SET a = 1; END $$;",
    "rows behind a comment": "/* quick */ UPDATE votes SET a = 1;",
    "a table of a schema": 'ALTER TABLE "public"."votes" ALTER COLUMN "a" SET NOT NULL;',
    "a table in another order": 'CLUSTER "votes" USING "i";',
    "an index made anew": 'REINDEX TABLE "votes";',
    "code": "-- THIS OPERATION CANNOT BE WRITTEN AS SQL",
    "a table of others beside one's own": 'CREATE TABLE "mine" ("a" int); CREATE INDEX "i" ON "votes" ("a");',
    "a validation under its own lock": 'ALTER TABLE "votes" ADD CONSTRAINT "c" CHECK ("a" > 0) NOT VALID;'
    'ALTER TABLE "votes" VALIDATE CONSTRAINT "c";',
}
LET_THROUGH = {
    "a column with a constant": 'ALTER TABLE "votes" ADD COLUMN "a" jsonb DEFAULT \'[]\'::jsonb NOT NULL;',
    "a word in a default": 'ALTER TABLE "votes" ADD COLUMN "a" text DEFAULT \'UNIQUE (x)\' NOT NULL;',
    "a column that may be null": 'ALTER TABLE "votes" ADD COLUMN "a" bigint NULL CONSTRAINT "f" REFERENCES "b"("id");',
    "an end of a default": 'ALTER TABLE "votes" ALTER COLUMN "a" DROP DEFAULT;',
    "a type in a default": "ALTER TABLE votes ADD COLUMN a varchar(9) DEFAULT ''::varchar(9) NOT NULL;",
    "the end of an index": 'DROP INDEX IF EXISTS "i";',
    "an index made meanwhile": 'CREATE INDEX CONCURRENTLY "i" ON "votes" ("a");',
    "a constraint for what comes": 'ALTER TABLE "votes" ADD CONSTRAINT "c" CHECK ("a" > 0) NOT VALID;',
    "a validation": 'ALTER TABLE "votes" VALIDATE CONSTRAINT "c";',
    "a table of one's own": 'CREATE TABLE "mine" ("a" int); CREATE INDEX "i" ON "mine" ("a");'
    'ALTER TABLE "mine" ADD CONSTRAINT "f" FOREIGN KEY ("a") REFERENCES "b" (id);',
    "the end of a column": 'ALTER TABLE "votes" DROP COLUMN "a" CASCADE;',
}


@pytest.mark.parametrize("sql", REFUSED.values(), ids=REFUSED)
def test_refused(sql: str) -> None:
    assert faults([sql], atomic=True)


@pytest.mark.parametrize("sql", LET_THROUGH.values(), ids=LET_THROUGH)
def test_let_through(sql: str) -> None:
    assert faults([sql], atomic=True) == []


@pytest.mark.parametrize("what", ["rows", "code"])
def test_what_goes_in_portions_needs_no_transaction_around_it(what: str) -> None:
    assert faults([REFUSED[what]], atomic=False) == []


@pytest.mark.parametrize("kind", ["varchar(40)", "text", 'text USING "a"::text'])
def test_a_text_that_may_be_longer_is_let_through_and_a_shorter_one_is_not(kind: str) -> None:
    sql = f'ALTER TABLE "votes" ALTER COLUMN "a" TYPE {kind}'
    assert faults([sql], atomic=True)
    assert faults([sql], atomic=True, longer={("votes", "a")}) == []
    assert faults([sql], atomic=True, longer={("votes", "b")})
    beside = 'ALTER TABLE "votes" ALTER COLUMN "b" SET NOT NULL, ALTER COLUMN "a" TYPE text'
    assert faults([beside], atomic=True, longer={("votes", "a")})

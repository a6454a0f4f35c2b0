"""How long the migrations since the previous release take over many rows.

    python -m perf.upgrade [--comparisons 1000000]

The previous release's own database (``tests/upgrade/previous``) is filled with copies of one of its
comparisons, and migrated there by the command that people use. Nobody else uses that database, so
waiting for locks is not measured: what keeps them is refused by ``tests/upgrade/test_locks.py``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from urllib.parse import quote

COPIES = """
    INSERT INTO annotation_comparison
    SELECT (jsonb_populate_record(one, jsonb_build_object(
        'id', one.id + copy, 'external_id', 'copy-' || copy,
        'content_sha256', encode(sha256(copy::text::bytea), 'hex')
    ))).*
    FROM annotation_comparison AS one, generate_series(1, %s) AS copy
    WHERE one.id = (SELECT max(id) FROM annotation_comparison)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparisons", type=int, default=1_000_000)
    rows = parser.parse_args().comparisons
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from config import embedded
    from tests.upgrade import previously

    embedded.start_if_needed()
    with previously.database() as name:
        began = time.perf_counter()
        fill(name, rows)
        print(f"{rows} comparisons made in {time.perf_counter() - began:.0f} s", flush=True)
        began = time.perf_counter()
        migrate(name)
        print(f"migrated in {time.perf_counter() - began:.1f} s, the start of Django included")


def fill(name: str, rows: int) -> None:
    import psycopg2

    from tests.postgres import address

    known = address(name)
    connection = psycopg2.connect(
        host=known["PGHOST"], user=known["PGUSER"], password=known["PGPASSWORD"], dbname=name
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit TO off")
        cursor.execute(COPIES, [rows])
    connection.close()


def migrate(name: str) -> None:
    from tests.postgres import address

    known = address(name)
    there = f"{known['PGUSER']}:{known['PGPASSWORD']}@/{name}?host={quote(known['PGHOST'])}"
    environment = {
        **os.environ,
        "DATABASE_URL": f"postgres://{there}",
        "SECRET_KEY": "k" * 30 + "abcdefghij" * 3,
        "ALLOWED_HOSTS": "localhost",
    }
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(command, env=environment, check=True)


if __name__ == "__main__":
    main()

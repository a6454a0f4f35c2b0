"""The database and storage of the previous release, as they were."""

from __future__ import annotations

import gzip
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgres import run

FOLDER = Path(__file__).with_name("previous")


def statements() -> str:
    """The dump as SQL, without psql's own commands and the search path that it leaves empty."""
    text = gzip.decompress((FOLDER / "database.sql.gz").read_bytes()).decode()
    kept = [line for line in text.splitlines() if not line.startswith("\\")]
    return "\n".join(kept) + "\nSELECT pg_catalog.set_config('search_path', 'public', false);\n"


def migrations() -> set[tuple[str, str]]:
    """What the previous release had applied, by app and name."""
    found = set()
    for line in statements().splitlines():
        if line.startswith("INSERT INTO public.django_migrations"):
            _, app, _, name, *_ = line.split("'")
            found.add((app, name))
    return found


@contextmanager
def database() -> Iterator[str]:
    """The name of a new database with what the dump holds."""
    name = f"previous_{uuid.uuid4().hex[:8]}"
    run("createdb", name, database="postgres")
    try:
        yield filled(name)
    finally:
        run("dropdb", "--force", name, database="postgres")


def filled(name: str) -> str:
    dump = FOLDER / "database.sql.gz"
    sql = Path(f"/tmp/{name}.sql")
    try:
        sql.write_bytes(gzip.decompress(dump.read_bytes()))
        run(
            "psql",
            "--quiet",
            "-v",
            "ON_ERROR_STOP=1",
            "-o",
            "/dev/null",
            "-f",
            str(sql),
            database=name,
        )
    finally:
        sql.unlink(missing_ok=True)
    return name


def storage(folder: Path) -> Path:
    with zipfile.ZipFile(FOLDER / "storage.zip") as packed:
        packed.extractall(folder)
    return folder

"""The database and storage of the previous release, as they were."""

from __future__ import annotations

import gzip
import tempfile
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgres import run

FOLDER = Path(__file__).with_name("previous")


def statements() -> str:
    return gzip.decompress((FOLDER / "database.sql.gz").read_bytes()).decode()


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
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as dump:
        dump.write(statements())
        dump.flush()
        quietly = ["--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"]
        run("psql", *quietly, f"--file={dump.name}", database=name)
    return name


def storage(folder: Path) -> Path:
    with zipfile.ZipFile(FOLDER / "storage.zip") as packed:
        packed.extractall(folder)
    return folder

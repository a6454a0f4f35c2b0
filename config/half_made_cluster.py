"""A folder in which ``initdb`` was interrupted, told from one that may hold somebody's data."""

from __future__ import annotations

import sys
from pathlib import Path

_SHUT_DOWN = 1
_FIRST_OF_OTHERS = 16384
_OWN_DATABASES = 3
_MADE_BY_INITDB = {
    "PG_VERSION", "base", "global", "pg_commit_ts", "pg_dynshmem", "pg_hba.conf", "pg_ident.conf",
    "pg_logical", "pg_multixact", "pg_notify", "pg_replslot", "pg_serial", "pg_snapshots",
    "pg_stat", "pg_stat_tmp", "pg_subtrans", "pg_tblspc", "pg_twophase", "pg_wal", "pg_xact",
    "postgresql.auto.conf", "postgresql.conf", "postmaster.pid",
    "server.log",  # pg_ctl's, of a start that failed.
}  # fmt: skip


def is_half_made(cluster: Path) -> bool:
    """Whether an older version was killed in it while initdb ran, so that it never held data.

    What initdb makes last is the database ``postgres``, and it closes the cluster. A server writes
    ``postmaster.opts`` when it has started for the first time, and the first database or table
    space of somebody else gets a number from 16384 on. Whatever tells of that, or is nothing that
    initdb makes, is left as it is.
    """
    try:
        names = {path.name for path in cluster.iterdir()}
    except FileNotFoundError:
        return False
    numbers = [int(name) for name in _names(cluster / "base") if name.isdecimal()]
    held = any(number >= _FIRST_OF_OTHERS for number in numbers) or _names(cluster / "pg_tblspc")
    if not names <= _MADE_BY_INITDB or held:
        return False
    return len(numbers) < _OWN_DATABASES or _state(cluster) != _SHUT_DOWN


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def _state(cluster: Path) -> int:
    """The state in ``pg_control``, which stands behind three numbers of 8, 4 and 4 bytes."""
    try:
        head = (cluster / "global" / "pg_control").read_bytes()[:20]
    except FileNotFoundError:
        return -1
    return int.from_bytes(head[16:20], sys.byteorder) if len(head) == 20 else -1

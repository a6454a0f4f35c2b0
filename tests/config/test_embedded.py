"""The private servers: started once by many, kept between starts, gone after a stop."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg2
import pytest
import redis

from config import embedded
from config.half_made_cluster import is_half_made

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def private_var(monkeypatch):
    """A var folder whose servers are stopped at the end, whatever the test did."""
    # Not pytest's own temporary folder: that is shut to the user that runs Postgres for root.
    var = Path(tempfile.mkdtemp(prefix="factloop-test-"))
    var.chmod(0o755)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.setenv("FACTLOOP_VAR", str(var))
    yield var
    embedded.stop_valkey(var)
    embedded.stop_postgres(var)
    shutil.rmtree(var)


def connect(var):
    url = subprocess.check_output(
        [sys.executable, "-m", "config.embedded", "urls"], cwd=ROOT, text=True
    ).splitlines()[0]
    return psycopg2.connect(
        url.removeprefix("DATABASE_URL=").replace("postgres://", "postgresql://")
    )


def start():
    return subprocess.Popen([sys.executable, "-m", "config.embedded", "start"], cwd=ROOT)


def test_four_starts_at_once_give_one_pair_of_servers_that_keeps_its_data(private_var):
    started = [start() for _ in range(4)]
    assert [process.wait(timeout=120) for process in started] == [0, 0, 0, 0]
    with connect(private_var) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept (answer int)")
        cursor.execute("INSERT INTO kept VALUES (42)")
    connection.close()

    embedded.stop_valkey(private_var)
    embedded.stop_postgres(private_var)
    with pytest.raises(psycopg2.OperationalError):
        connect(private_var)

    assert start().wait(timeout=120) == 0
    with connect(private_var) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT answer FROM kept")
        assert cursor.fetchone() == (42,)
    connection.close()


KILLED_BY_INITDB = """
import os, pathlib, signal, subprocess
from config import embedded

def run(command, who):
    folder = pathlib.Path(command[command.index("-D") + 1])
    (folder / "PG_VERSION").write_text("16")
    os.kill(os.getpid(), signal.SIGKILL)

embedded._run = run
embedded.start_postgres(embedded.var_folder())
"""


def initdb(paths, *, until=""):
    """As an older version made a cluster, in its place; killed once ``until`` is there."""
    shutil.rmtree(paths.postgres, ignore_errors=True)
    who = embedded._unprivileged()
    embedded._own(paths.postgres, who, mode=0o700)
    command = [embedded._postgres_binaries(paths) / "initdb", "-D", paths.postgres]
    command += ["-U", "factloop", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    made = subprocess.Popen(
        command, cwd="/", env={"LC_ALL": "C.UTF-8"}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **who,
    )  # fmt: skip
    while until and made.poll() is None and not (paths.postgres / until).exists():
        pass
    if until and made.poll() is None:
        os.killpg(made.pid, signal.SIGKILL)
    made.wait()


def test_a_first_start_that_was_killed_is_begun_again(private_var, capfd):
    killed = subprocess.run([sys.executable, "-c", KILLED_BY_INITDB], cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    paths = embedded.Paths.under(private_var)
    for step in ("base", "global/pg_control", "base/5"):
        initdb(paths, until=step)
        assert is_half_made(paths.postgres), step
    assert start().wait(timeout=120) == 0
    connect(private_var).close()
    assert "put aside as" in capfd.readouterr().err
    assert len(list(paths.data.glob("postgres.half-made-*"))) == 1


def test_a_cluster_that_held_data_is_never_taken_for_half_made(private_var):
    paths = embedded.Paths.under(private_var)
    initdb(paths)
    cluster = paths.postgres
    assert not is_half_made(cluster)  # Made, and never started.
    shutil.rmtree(cluster / "base" / "5")
    assert is_half_made(cluster)
    for name in ("base/16384", "pg_tblspc/16400", "postmaster.opts", "notes"):
        (cluster / name).mkdir()
        assert not is_half_made(cluster), name
        (cluster / name).rmdir()
    assert is_half_made(cluster)


def test_what_lies_in_the_place_of_the_cluster_is_never_deleted(private_var):
    paths = embedded.Paths.under(private_var)
    paths.postgres.mkdir(parents=True)
    kept = paths.postgres / "16384"
    kept.write_text("rows")  # as on a disk that lost PG_VERSION
    with pytest.raises(embedded.EmbeddedError, match="no whole cluster"):
        embedded.start_postgres(private_var)
    assert kept.read_text() == "rows"


def test_valkey_answers_on_its_socket_and_is_gone_after_stop(private_var):
    embedded.start_valkey(private_var)
    socket = str(embedded.Paths.under(private_var).valkey_socket)
    with redis.Redis(unix_socket_path=socket) as client:
        assert client.ping()
    embedded.stop_valkey(private_var)
    with redis.Redis(unix_socket_path=socket) as client, pytest.raises(redis.ConnectionError):
        client.ping()


def test_stop_without_servers_is_no_error(private_var):
    embedded.stop_valkey(private_var)
    embedded.stop_postgres(private_var)


def test_configured_addresses_start_nothing(private_var, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://somewhere/else")
    monkeypatch.setenv("REDIS_URL", "redis://somewhere")
    embedded.start_if_needed()
    assert list(private_var.iterdir()) == []


def test_password_is_private_and_differs_between_installs(private_var, tmp_path):
    first = embedded.database_url(private_var)
    assert embedded.database_url(private_var) == first
    assert embedded.database_url(tmp_path).split("@")[0] != first.split("@")[0]
    mode = embedded.Paths.under(private_var).password.stat().st_mode
    assert mode & 0o077 == 0


def test_long_folders_get_a_short_socket_path(tmp_path):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    assert len(str(embedded.Paths.under(deep).sockets)) < embedded.LONGEST_SOCKET_PATH


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has the problem")
def test_a_folder_shut_to_others_moves_the_data_and_keeps_its_mode(tmp_path):
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o700)
    paths = embedded.Paths.under(shut)
    assert shut not in paths.data.parents
    assert shut.stat().st_mode & 0o777 == 0o700

"""``factloop serve`` and ``demo`` where they cannot: a sentence, and nothing is started."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import places, serving

COMMANDS = ["serve", "demo"]


def said(command: str, *words: str, var: Path) -> str:
    """What the command says in ending with a fault, in one line."""
    variables = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    done = subprocess.run(
        [sys.executable, "-m", "config.command", command, *words],
        cwd=places.CODE,
        env={**variables, "FACTLOOP_VAR": str(var)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert not (var / "embedded").exists()
    (line,) = done.stderr.splitlines()
    return line


@pytest.fixture
def taken() -> Iterator[str]:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        opened.listen()
        yield f"127.0.0.1:{opened.getsockname()[1]}"


@pytest.mark.parametrize("command", COMMANDS)
def test_an_address_that_is_in_use(command: str, taken: str, tmp_path: Path) -> None:
    line = said(command, "--site", taken, var=tmp_path)
    assert line == (
        f"The site cannot listen at {taken}: Address already in use. --site names another address"
    )


@pytest.mark.parametrize("site", ["nonsense", "127.0.0.1:99999", "127.0.0.1:http", "127.0.0.1:"])
def test_an_address_that_is_none(site: str) -> None:
    with pytest.raises(SystemExit, match="is no address: write HOST:PORT"):
        serving.refuse_taken_address(site)


def test_an_address_of_another_machine() -> None:
    with pytest.raises(SystemExit, match=r"cannot listen at 192\.0\.2\.1:8000: "):
        serving.refuse_taken_address("192.0.2.1:8000")


@pytest.mark.parametrize("site", ["127.0.0.1:0", "localhost:0", "[::]:0", ":0"])
def test_an_address_that_is_free(site: str) -> None:
    if site.startswith("[") and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    serving.refuse_taken_address(site)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_cannot_be_made(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    var = tmp_path / "file" / "var"
    line = said(command, "--site", "127.0.0.1:0", var=var)
    assert line.startswith(f"{var} cannot be made: ")
    assert "FACTLOOP_VAR names another folder" in line


def test_a_folder_that_cannot_be_written_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FACTLOOP_VAR", str(tmp_path))
    monkeypatch.setattr(places.os, "access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(SystemExit, match="cannot be written to"):
        places.made_var_folder()


def test_nobody_s_home(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FACTLOOP_VAR", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(places, "CHECKOUT", False)

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(places.Path, "home", no_home)
    with pytest.raises(SystemExit, match="no home folder"):
        places.var_folder()


@pytest.mark.parametrize("command", COMMANDS)
def test_data_that_somebody_else_serves(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FACTLOOP_VAR", str(tmp_path))
    with serving.alone():
        line = said(command, "--site", "127.0.0.1:0", var=tmp_path)
    assert line.startswith(f"FactLoop runs already on the data in {tmp_path}")
    with serving.alone():  # free again
        pass

"""What a checkpoint is told about the code that made it."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import version


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    version.code_version.cache_clear()
    yield
    version.code_version.cache_clear()


def test_the_package_and_the_commit_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text("one")
    monkeypatch.setattr(version, "CODE", tmp_path)
    package = version.code_version()
    assert re.match(r"\d+\.\d+", package)
    assert "(" not in package

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True)

    git("init", "-q")
    git("add", "pyproject.toml")
    git("commit", "-q", "-m", "one")
    version.code_version.cache_clear()
    assert re.fullmatch(r".+ \([0-9a-f]{7,}\)", version.code_version())
    (tmp_path / "pyproject.toml").write_text("two")
    version.code_version.cache_clear()
    assert version.code_version().endswith("-dirty)")


def test_an_image_without_the_repository_is_told_its_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CODE_VERSION", "abc1234")
    assert version.code_version().endswith(" (abc1234)")

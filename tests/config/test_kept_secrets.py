"""A secret that is made on first use is whole or absent, wherever its maker dies."""

from pathlib import Path

import pytest

import durable
from config import kept_secrets
from config.kept_secrets import kept_secret
from tests.killing import killed_at_each


def test_it_is_whole_or_absent_wherever_its_maker_is_killed(tmp_path: Path) -> None:
    def path(step: int) -> Path:
        return tmp_path / str(step) / "secret"

    def make(step: int) -> str:
        return kept_secret(path(step), random_bytes=24)

    for step in killed_at_each(make, kept_secrets, durable):
        assert not path(step).exists() or len(path(step).read_text()) == 32
        kept = make(step)
        assert len(kept) == 32 and make(step) == kept
        assert path(step).stat().st_mode & 0o077 == 0
    assert step > 20


@pytest.mark.parametrize("left", ["", "\n"])
def test_what_an_older_version_left_empty_is_no_secret(tmp_path: Path, left: str) -> None:
    path = tmp_path / "secret"
    path.write_text(left)
    assert kept_secret(path, random_bytes=24) == path.read_text() != left

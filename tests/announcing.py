"""Announcements of work to workers, as tests wait for them or look at them."""

import threading

import pytest

from config import wakeup


def all_announced() -> None:
    """Returns when no thread announces any more."""
    for thread in threading.enumerate():
        if thread.name == "announce":
            thread.join()


def keep_announcements(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """The (task, row) that are announced from now on, instead of over Valkey; no message waits."""
    kept: list[tuple[str, int]] = []
    for name in ("announce", "announce_aside"):
        keep = lambda task, ids, **options: kept.extend((task, pk) for pk in ids)  # noqa: E731
        monkeypatch.setattr(wakeup, name, keep)
    monkeypatch.setattr(wakeup, "is_empty", lambda queue: True)
    return kept

"""A run that would be worth nothing says so before its first step, and still runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.training.rlhf.conftest import MakeRun, events
from tests.training.rlhf.test_record_checks import FAST, changed
from training.rlhf.__main__ import main


def foreign(records: list[dict[str, Any]]) -> None:
    for record in records:
        record["conversations"][0]["value"] = "<image>\nWhich saxophonist performs tonight?"


def one_colour(directory: Path) -> None:
    for path in (directory / "images").iterdir():
        with Image.open(path) as picture:
            size = picture.size
        Image.new("RGB", size, "white").save(path, "PNG")


def told(directory: Path) -> dict[str, str]:
    return {one["code"]: one["text"] for one in events(directory, "doubt")}


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (lambda d: changed(d, foreign), "unknown_tokens", "are unknown to the base model"),
        (one_colour, "plain_images", "nothing is to be seen on them"),
        (lambda d: None, None, ""),
    ],
)
def test_what_a_base_cannot_read_or_see_is_told(
    make_run: MakeRun, spoil: Callable[[Path], Any], code: str | None, words: str
) -> None:
    kind, settings = FAST["sft"]
    directory = make_run(kind, **settings)
    spoil(directory)
    assert main([kind.value, "--run-dir", str(directory)]) == 0
    found = told(directory)
    assert list(found) == ([code] if code else [])
    assert words in found.get(code or "", "")


def test_a_base_that_sees_no_difference_is_told(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.rlhf import images

    honest = images.ImageEncoder.__call__

    def blind(self: Any, paths: Any) -> Any:
        found = honest(self, paths)
        for one in found:
            one.features.zero_()
        return found

    monkeypatch.setattr(images.ImageEncoder, "__call__", blind)
    kind, settings = FAST["sft"]
    directory = make_run(kind, **settings)
    assert main([kind.value, "--run-dir", str(directory)]) == 0
    assert "images_look_alike" in told(directory)

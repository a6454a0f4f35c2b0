"""The table of docs/security.md: what it names is there, and what is here it names."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_proof_is_there_and_every_test_of_this_folder_is_one() -> None:
    page = (ROOT / "docs" / "security.md").read_text()
    rows = re.findall(r"^\| (?!promise|-)(.+?) \| (.+) \|$", page, re.MULTILINE)
    proofs = {name for _, proof in rows for name in re.findall(r"`(tests/[\w/]+\.py)`", proof)}
    assert all("`tests/" in proof for _, proof in rows)
    assert [name for name in sorted(proofs) if not (ROOT / name).is_file()] == []
    here = {f"tests/security/{one.name}" for one in Path(__file__).parent.glob("test_*.py")}
    assert here - proofs == {f"tests/security/{Path(__file__).name}"}

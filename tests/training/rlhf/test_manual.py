from __future__ import annotations

import dataclasses

import pytest

from training.rlhf import manual
from training.rlhf.__main__ import main
from training.rlhf.contract import SETTINGS, Kind, OptimizerSettings


@pytest.mark.parametrize("kind", list(Kind))
def test_every_setting_is_told_with_its_source(kind: Kind) -> None:
    lines = {line.name: line for line in manual.settings_lines(kind)}
    for field in dataclasses.fields(SETTINGS[kind]):
        assert field.name in {name.partition(".")[0] for name in lines}
    assert all(line.help and line.source for line in lines.values())
    assert not any("…" in line.source for line in lines.values())


def test_presets_are_told_apart() -> None:
    lines = {line.name: line for line in manual.settings_lines(Kind.PPO)}
    assert lines["lam"].values == {
        "default": "0.95",
        "paper": "1",
        "small-world": "0.95",
        "rloo": "0.95",
        "grpo": "0.95",
    }
    nested = {f.name for f in dataclasses.fields(OptimizerSettings)}
    assert {f"value_optimizer.{name}" for name in nested} <= lines.keys()


def test_help_of_a_kind_is_its_manual(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["ppo", "--help"])
    text = capsys.readouterr().out
    assert "  lam = 0.95  (paper 1)\n      GAE lambda. [paper: 1]" in text
    assert "  sampling.response_length = 896  (small-world 20)" in text
    assert "  model.quantization = none  (paper nf4)" in text
    assert max(map(len, text.splitlines()[-60:])) <= 100


def test_the_page_of_the_documents_has_every_setting_of_every_kind() -> None:
    page = manual.markdown()
    for kind in SETTINGS:
        _, _, section = page.partition(f"## `{kind.value}`\n")
        table = section.partition("\n## ")[0]
        assert all(f"| `{line.name}` |" in table for line in manual.settings_lines(kind)), kind

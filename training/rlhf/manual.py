"""Every setting with its default, what the presets make of it, and where it comes from.

``KIND --help`` prints it, and the site of the documents has it as a page (``docs/generate.py``).
"""

from __future__ import annotations

import dataclasses
import textwrap
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from training.rlhf.contract import SETTINGS, Kind, ModelSettings
from training.rlhf.presets import preset_spec, presets_of

OURS = "ours"
_LONGEST_VALUE = 24


@dataclass(frozen=True)
class Line:
    """One setting."""

    name: str
    values: dict[str, str]
    """By preset, as JSON would write them, long texts cut."""
    help: str
    source: str


def settings_lines(kind: Kind) -> list[Line]:
    """The settings of ``kind`` in their order, nested ones by dotted name."""
    specs = {preset: preset_spec(kind, preset).settings for preset in presets_of(kind)}
    return list(_lines(SETTINGS[kind], "", specs))


def model_lines(kind: Kind) -> list[Line]:
    """How a base model is loaded."""
    specs = {preset: preset_spec(kind, preset).model for preset in presets_of(kind)}
    return list(_lines(ModelSettings, "model.", specs))


def help_text(kind: Kind) -> str:
    """The settings of ``kind`` for a terminal of 80 columns."""
    settings, model = settings_lines(kind), model_lines(kind)
    parts = ["settings, with their default (and the presets that differ):", *_told(settings)]
    return "\n".join([*parts, "and, beside the settings, how the base is loaded:", *_told(model)])


def _told(lines: list[Line]) -> Iterator[str]:
    for line in lines:
        default = line.values["default"]
        others = [f"{p} {v}" for p, v in line.values.items() if v != default]
        heading = f"  {line.name} = {default}" + (f"  ({', '.join(others)})" if others else "")
        source = "" if line.source == OURS else f" [{line.source}]"
        body = textwrap.indent(textwrap.fill(line.help + source, 72), " " * 6)
        yield from (heading, body)


def markdown() -> str:
    """Tables of all settings, by kind of run."""
    parts = ["# Settings of the engine", "", "What may stand in `spec.json`, by kind of run.", ""]
    for kind in SETTINGS:
        parts += [f"## `{kind.value}`", "", *_table(settings_lines(kind)), ""]
    parts += ["## `model`, beside the settings of every kind", "", *_table(model_lines(Kind.PPO))]
    return "\n".join([*parts, ""])


def _lines(cls: type, path: str, values: dict[str, Any]) -> Iterator[Line]:
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        inner = {preset: getattr(value, field.name) for preset, value in values.items()}
        name = f"{path}{field.name}"
        if dataclasses.is_dataclass(hints[field.name]):
            yield from _lines(typing.cast(type, hints[field.name]), f"{name}.", inner)
            continue
        yield Line(
            name,
            {preset: _shown(value) for preset, value in inner.items()},
            field.metadata["help"],
            field.metadata["source"] or OURS,
        )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _table(lines: list[Line]) -> list[str]:
    presets = lines[0].values
    rows = [f"| setting | {' | '.join(presets)} | what it does | source |"]
    rows.append("|---" * (len(presets) + 3) + "|")
    for line in lines:
        values = " | ".join(line.values.values())
        rows.append(f"| `{line.name}` | {values} | {_cell(line.help)} | {line.source} |")
    return rows


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

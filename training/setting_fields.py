"""Form fields from the settings' dataclasses: type, bounds and help come from the contract.

An empty field means "as the preset says"; what each preset says stands in the help text.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from django import forms

from training.rlhf.contract import SETTINGS, Kind
from training.rlhf.presets import OFFERED, preset_spec, presets_of

PLACEHOLDER = "as the preset"
ABBREVIATIONS = {"kl": "KL", "lora": "LoRA", "lam": "lambda"}


@dataclass(frozen=True)
class Setting:
    """One editable setting: where it stands in the spec and the field that edits it."""

    path: tuple[str, ...]
    field: forms.Field

    @property
    def dotted(self) -> str:
        return ".".join(self.path)


def settings_of(engine: Kind) -> list[Setting]:
    """All settings of an engine command, nested ones by path, in the contract's order."""
    names = [name for name in OFFERED if name in presets_of(engine)]
    presets = {name: preset_spec(engine, name).to_json()["settings"] for name in names}
    return list(_walk(SETTINGS[engine], (), presets))


def _walk(cls: type, path: tuple[str, ...], presets: dict[str, Any]) -> Iterator[Setting]:
    hints = typing.get_type_hints(cls)
    for spec in dataclasses.fields(cls):
        here = (*path, spec.name)
        inner = {name: values[spec.name] for name, values in presets.items()}
        if dataclasses.is_dataclass(hints[spec.name]):
            yield from _walk(typing.cast(type, hints[spec.name]), here, inner)
        else:
            yield Setting(here, _field(hints[spec.name], spec, here, inner))


def _field(
    hint: Any, spec: dataclasses.Field[Any], path: tuple[str, ...], presets: dict[str, Any]
) -> forms.Field:
    common: dict[str, Any] = {
        "required": False,
        "label": _label(path),
        "help_text": _help(spec, presets),
    }
    bounds: dict[str, Any] = {
        "min_value": spec.metadata.get("minimum"),
        "max_value": spec.metadata.get("maximum"),
    }
    if typing.get_origin(hint) is Literal:
        choices = [("", PLACEHOLDER), *((value, value) for value in typing.get_args(hint))]
        return forms.ChoiceField(choices=choices, **common)
    if hint is bool:
        answers = [("", PLACEHOLDER), ("yes", "yes"), ("no", "no")]
        return forms.TypedChoiceField(
            choices=answers, coerce=lambda text: text == "yes", empty_value=None, **common
        )
    if hint is int:
        widget = forms.NumberInput(attrs={"placeholder": PLACEHOLDER})
        return forms.IntegerField(widget=widget, **bounds, **common)
    if hint is float:
        widget = forms.NumberInput(attrs={"step": "any", "placeholder": PLACEHOLDER})
        return forms.FloatField(widget=widget, **bounds, **common)
    return forms.CharField(
        widget=forms.Textarea(attrs={"rows": 2, "placeholder": PLACEHOLDER}), **common
    )


def _label(path: tuple[str, ...]) -> str:
    words = " ".join(path).replace("_", " ").split()
    text = " ".join(ABBREVIATIONS.get(word, word) for word in words)
    return text[:1].upper() + text[1:]


def _help(spec: dataclasses.Field[Any], presets: dict[str, Any]) -> str:
    said = str(spec.metadata.get("help", ""))
    values = {_short(value) for value in presets.values()}
    if len(values) == 1:
        return f"{said} Presets: {values.pop()}."
    return f"{said} " + ", ".join(f"{name}: {_short(value)}" for name, value in presets.items())


def _short(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    text = str(value)
    return text if len(text) <= 40 else f"“{text[:40]}…”"


def nest(changes: dict[tuple[str, ...], Any]) -> dict[str, Any]:
    """Values by path as nested dictionaries, the shape of ``requests.Step.changes``."""
    nested: dict[str, Any] = {}
    for path, value in changes.items():
        place = nested
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    return nested

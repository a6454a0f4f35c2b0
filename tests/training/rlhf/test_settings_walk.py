"""Every two settings at their ends: what the contract lets pass, no stage of the engine refuses.

All pairs of ends are met in few runs, each with many ends at once, as covering arrays do it (Cohen
et al. 1997, "The AETG system"). What two ends rule out together the contract has to say.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import SETTINGS, MakeRun, events
from training.rlhf.__main__ import main
from training.rlhf.contract import ContractError, Kind, ModelSettings, RunSpec

Choice = tuple[str, Any]

COSTLY: dict[str, tuple[Any, ...]] = {
    # What grows with these is work alone, or what the records need.
    "rank": (1, 8),
    "alpha": (1, 32),
    "ensemble": (1, 3),
    "learning_rate": (0.0, 1e-3),
    "query_length": (48,),
    "response_length": (1, 6),
    "max_length": (96,),
    "samples_per_prompt": (1, 2),
    "responses_per_prompt": (1, 2),
    "rollout_batch_size": (1, 2, 6),
    "rollout_micro_batch_size": (1, 6),
    "batch_size": (1, 2, 6),
    "micro_batch_size": (1, 6),
    "steps": (0, 1),
    "max_steps": (1, 2),
    "epochs": (0.0, 0.2),
    "update_epochs": (1, 2),
    "max_pixels": (0, 1, 4096),
    # Texts, by what the tiny tokenizer can write.
    "facts_introduction": ("facts :", ""),
    "fact_format": ("{caption}", "left"),
    "rating_prompt": ("rate :", "rate {facts} :", "{facts}"),
    "rating_prefix": ("", "yes"),
    "cut_at": ("", "?"),
    # Packages and machines that are not here.
    "sampler": ("transformers",),
    "rollout_ahead": (False,),
}
FIRST = {
    Kind.PPO: {"steps": 1, "rollout_batch_size": 6, "batch_size": 6, "micro_batch_size": 6},
}
"""Where the walk starts from, so that a run is short."""


def ends(name: str, hint: Any, field: dataclasses.Field[Any], default: Any) -> tuple[Any, ...]:
    """The values of a setting that are tried."""
    if name in COSTLY:
        return COSTLY[name]
    if hint is bool:
        return (False, True)
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    low, high = field.metadata["minimum"], field.metadata["maximum"]
    number = type(default)
    found = (low if low is not None else -1, default, high if high is not None else 3)
    return tuple(dict.fromkeys(number(one) for one in found))


def settings_of(start: Any, path: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    hints = typing.get_type_hints(type(start))
    for field in dataclasses.fields(start):
        value, dotted = getattr(start, field.name), f"{path}.{field.name}"
        if dataclasses.is_dataclass(value):
            yield from settings_of(value, dotted)
        else:
            yield dotted, ends(field.name, hints[field.name], field, value)


def with_ends(start: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(start))
    for dotted, value in chosen.items():
        *above, name = dotted.split(".")
        place = changed
        for part in above:
            place = place[part]
        place[name] = value
    return changed


def is_let_pass(spec: dict[str, Any]) -> bool:
    try:
        RunSpec.from_json(spec)
    except ContractError:
        return False
    return True


def rows(
    settings: dict[str, tuple[Any, ...]], fits: Callable[[dict[str, Any]], bool]
) -> Iterator[dict[str, Any]]:
    """Choices of ends that together hold every two of them that fit, in few rows."""
    chance = random.Random(0)
    left = {
        frozenset([(one, a), (other, b)])
        for one, other in itertools.combinations(settings, 2)
        for a in settings[one]
        for b in settings[other]
    }
    for pair in sorted(left, key=lambda pair: sorted(map(repr, pair))):
        if pair not in left:
            continue
        left.discard(pair)
        row = dict(pair)
        if not fits(row):
            continue
        names = [name for name in settings if name not in row]
        chance.shuffle(names)
        for name in names:
            new = {
                value: sum(frozenset([(name, value), each]) in left for each in row.items())
                for value in settings[name]
            }
            fitting = (
                value for value in sorted(new, key=lambda v: -new[v]) if fits(row | {name: value})
            )
            row.update((name, value) for value in itertools.islice(fitting, 1))
        left -= {frozenset(two) for two in itertools.combinations(row.items(), 2)}
        yield row


@pytest.fixture
def able_reward_model(make_run: MakeRun) -> Path:
    """A reward model that lacks nothing that settings of PPO can ask of it."""
    directory = make_run(
        Kind.REWARD, "able", max_steps=1, batch_size=6, ensemble=2, token_coefficient=1.0
    )
    marked(directory)
    assert main(["reward", "--run-dir", str(directory)]) == 0
    return directory / "final"


def marked(directory: Path) -> None:
    """Marks and a correction in every pair, so that no setting lacks what it learns from."""
    for name in ("train", "held_out"):
        path = directory / "data" / f"{name}.jsonl"
        records = (
            [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        )
        for record in records:
            worse = 3 - record["preference"]
            record[f"output_{worse}"]["marks"] = [{"start": 0, "end": 1, "kind": "object"}]
            record["corrections"] = [{"output": worse, "value": "a red square"}]
        if records:
            tiny.write_lines(path, records)


@pytest.mark.parametrize("kind", list(Kind))
def test_what_the_contract_lets_pass_no_stage_refuses(
    make_run: MakeRun, able_reward_model: Path, kind: Kind
) -> None:
    reward_model = able_reward_model if kind in (Kind.PPO, Kind.SCORE) else None
    start_settings = dataclasses.replace(SETTINGS[kind], **FIRST.get(kind, {}))
    settings = dict(settings_of(start_settings, "settings"))
    if reward_model is None:  # which has to be loaded as it was trained
        settings |= settings_of(ModelSettings(dtype="float32"), "model")
    first = make_run(kind, "first", reward_model=reward_model, held_out=4, **FIRST.get(kind, {}))
    start = json.loads((first / "spec.json").read_text())
    refused = []
    for number, row in enumerate(rows(settings, lambda row: is_let_pass(with_ends(start, row)))):
        directory = make_run(kind, f"row-{number}", reward_model=reward_model, held_out=4)
        if kind in (Kind.REWARD, Kind.DPO):
            marked(directory)
        (directory / "spec.json").write_text(json.dumps(with_ends(start, row)))
        if main([kind.value, "--run-dir", str(directory)]) != 0:
            [failure] = events(directory, "error")
            refused.append((failure["message"], row))
    assert not refused

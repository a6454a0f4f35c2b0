"""What is known against a run before a worker takes it: GPUs that no host has, too few pairs, a
reward model that was trained otherwise than it is loaded.

Hosts are known by what their workers say when they look for runs; a cluster that gives GPUs on
request says nothing, and is not doubted.
"""

from __future__ import annotations

from typing import Any

from django.core.cache import cache

from training.models import Run

HOSTS_KEY = "factloop:gpus-of-hosts"
REMEMBERED_SECONDS = 24 * 3600
FEWEST_PAIRS = 50
CLUSTER = "cluster"


def host_offers(host: str, gpus: int | None) -> None:
    """A worker says how many GPUs its host has; None where a cluster gives them."""
    hosts: dict[str, int | None] = cache.get(HOSTS_KEY) or {}
    if hosts.get(host, -1) != gpus:
        cache.set(HOSTS_KEY, {**hosts, host: gpus}, REMEMBERED_SECONDS)


def about(run: Run) -> list[dict[str, str]]:
    """Codes and texts, as ``Run.doubts`` holds them."""
    found = [
        ("gpus_nowhere", _gpus(run.gpus)),
        ("few_pairs", _pairs(run.release)),
        ("loaded_otherwise", _loading(run)),
    ]
    return [{"code": code, "text": text} for code, text in found if text]


def _gpus(wanted: int) -> str:
    hosts: dict[str, int | None] = cache.get(HOSTS_KEY) or {}
    most = max((count for count in hosts.values() if count is not None), default=None)
    if not wanted or None in hosts.values() or most is None or most >= wanted:
        return ""
    have = f"the largest has {most}" if most else "none has any"
    return (
        f"No host has {wanted} GPU{'s' if wanted > 1 else ''}: of {len(hosts)} whose workers have "
        f"looked for runs {have}. The run waits until one comes."
    )


def _loading(run: Run) -> str:
    """Rewards change with what the base rounds and how it is shown images."""
    made_by = run.reward_model.run if run.reward_model is not None else None
    if made_by is None:
        return ""
    others = [
        f"{name} {made_by.model[name]} and not {run.model[name]}"
        for name in sorted(run.model)
        if name != "sharded" and made_by.model.get(name, run.model[name]) != run.model[name]
    ]
    if not others:
        return ""
    return (
        f"The reward model was trained with {', '.join(others)}: its rewards are others so, and "
        "the run ends at once where they differ from those that were saved with it."
    )


def _pairs(release: Any) -> str:
    if release is None or "train" not in release.counts:
        return ""
    train, held_out = release.counts.get("train", 0), release.counts.get("held_out", 0)
    if train >= FEWEST_PAIRS and held_out >= FEWEST_PAIRS:
        return ""
    few = f"{train:,} pair{'s' if train != 1 else ''} to train on and {held_out:,} held out"
    return (
        f"Release {release.number} has {few}; under {FEWEST_PAIRS} of either, what is learned is "
        "mostly chance, and so is its measure."
    )

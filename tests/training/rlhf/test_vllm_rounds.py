"""Rounds that are asked of vLLM's servers ahead, while the one before is learnt from."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import MakeRun, events
from tests.training.rlhf.resuming import (
    PowerCut,
    assert_same_weights,
    cut_power,
    interrupt_at,
    last_metrics,
    terminate,
)
from tests.training.rlhf.test_vllm_servers import SHORT
from tests.training.rlhf.vllm_server import Server
from training.rlhf import vllm_servers
from training.rlhf.__main__ import main
from training.rlhf.contract import (
    Kind,
    OptimizerSettings,
    PromptRecord,
)
from training.rlhf.models import VisionLanguageModel
from training.rlhf.vllm_servers import SERVERS

AHEAD = {
    "steps": 4,
    "rollout_batch_size": 6,
    "rollout_micro_batch_size": 4,
    "batch_size": 6,
    "checkpoint_every": 2,
    "sampling": SHORT,
    "policy_optimizer": OptimizerSettings(learning_rate=0.01),
    "sampler": "vllm_servers",
    "sampler_gap_limit": 0.0,
    "rollout_ahead": True,
}


def words_of(policy: str, seed: int) -> list[int]:
    """An answer that depends on who is asked, and with which random numbers."""
    digest = hashlib.sha256(f"{policy} {seed}".encode()).digest()
    return [*(5 + number % 8 for number in digest[:3]), 2]


@pytest.fixture
def ahead(
    serve: Callable[..., Server],
    model: VisionLanguageModel,
    image_files: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Server:
    """A server whose answers depend on the adapter, named to runs."""
    [one] = [PromptRecord.from_json(each) for each in tiny.prompt_records([image_files[0].name])]
    [image] = model.encode_images(image_files[:1])
    short = model.chat.short_prompt_ids(one.conversation)
    more = len(model.chat.prompt(one.conversation, image).ids) - len(short)

    def expand(ids: list[int]) -> list[int]:
        at = ids.index(model.chat.image_token_id)
        return [*ids[:at], *[model.chat.image_token_id] * more, *ids[at:]]

    server = serve(expand=expand, replies=words_of)
    monkeypatch.setenv(SERVERS, server.address)
    return server


def test_the_next_round_is_asked_while_this_one_updates_and_corrected(
    make_run: MakeRun, reward_folder: Path, ahead: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = make_run(Kind.PPO, reward_model=reward_folder, **AHEAD)
    second = threading.Event()
    answer = ahead.answer

    def answered(path: str, body: Any) -> tuple[int, Any]:
        found = answer(path, body)
        if len(ahead.questions) > 6:
            second.set()
        return found

    monkeypatch.setattr(ahead, "answer", answered)
    asked: list[bool] = []
    interrupt_at(monkeypatch, 1, lambda: asked.append(second.wait(60)))
    assert main(["ppo", "--run-dir", str(directory)]) == 0
    assert asked == [True]
    first, again, third, fourth = ahead.policies
    assert first == again  # the second round is answered by the policy of the first
    assert len({first, third, fourth}) == 3
    figures = last_metrics(events(directory))
    assert [figures[step]["ppo/rounds_behind"] for step in (1, 2, 3, 4)] == [0, 1, 1, 1]
    assert all(0 <= figures[step]["ppo/importance_cut"] <= 1 for step in figures)
    assert not ahead.adapters
    assert not (directory / "sampler_ahead").exists()
    kept = [each.name for each in directory.glob("checkpoints/*/sampled_with")]
    assert kept == ["sampled_with"]  # nothing comes after the last


@pytest.mark.parametrize(("interrupt", "code"), [(cut_power, None), (terminate, 143)])
def test_a_run_ahead_that_was_broken_off_goes_on_as_if_it_had_not(
    make_run: MakeRun,
    reward_folder: Path,
    ahead: Server,
    monkeypatch: pytest.MonkeyPatch,
    interrupt: Callable[[], None],
    code: int | None,
) -> None:
    whole, parts = (
        make_run(Kind.PPO, name, reward_model=reward_folder, **AHEAD) for name in ("whole", "parts")
    )
    assert main(["ppo", "--run-dir", str(whole)]) == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, interrupt)
        if code is None:
            with pytest.raises(PowerCut):
                main(["ppo", "--run-dir", str(parts)])
        else:
            assert main(["ppo", "--run-dir", str(parts)]) == code
    assert not ahead.adapters
    assert main(["ppo", "--run-dir", str(parts)]) == 0
    assert_same_weights(whole / "final", parts / "final")
    assert last_metrics(events(whole)) == last_metrics(events(parts))


def test_a_run_that_waits_for_what_was_asked_ahead_is_told_to_end(
    make_run: MakeRun, reward_folder: Path, ahead: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = AHEAD | {"checkpoint_every": 9}
    whole, parts = (
        make_run(Kind.PPO, name, reward_model=reward_folder, **settings)
        for name in ("whole", "parts")
    )
    assert main(["ppo", "--run-dir", str(whole)]) == 0
    waits = vllm_servers._Coming.wait
    before = len(ahead.policies)

    def wait(self: Any, before_step: Callable[[], None]) -> Any:
        if len(ahead.policies) < before + 3:
            return waits(self, before_step)
        monkeypatch.setattr(self._found, "done", lambda: False)
        terminate()
        return waits(self, before_step)

    with monkeypatch.context() as patch:
        patch.setattr(vllm_servers._Coming, "wait", wait)
        assert main(["ppo", "--run-dir", str(parts)]) == 143
    assert not ahead.adapters
    [kept] = parts.glob("checkpoints/*")
    assert kept.name == "step-2" and (kept / "sampled_with").is_dir()
    assert main(["ppo", "--run-dir", str(parts)]) == 0
    assert_same_weights(whole / "final", parts / "final")

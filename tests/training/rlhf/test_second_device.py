"""Every stage of the engine on a device apart from the CPU, and that device itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from perf import gpu
from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import LORA, MakeLearner, MakeRun, events
from tests.training.rlhf.families import FAMILIES
from tests.training.rlhf.resuming import (
    assert_same_weights,
    interrupt_at,
    last_metrics,
    terminate,
)
from tests.training.rlhf.second_device import (
    CUDA,
    DevicesMeet,
    SecondDevice,
    second_device,
)
from training.rlhf.__main__ import main
from training.rlhf.contract import (
    Kind,
    LoraSettings,
    ModelSettings,
    PromptRecord,
    SamplingSettings,
    Turn,
)
from training.rlhf.experience import rollout
from training.rlhf.images_ahead import Ahead
from training.rlhf.models import VisionLanguageModel
from training.rlhf.optimization import undrawn
from training.rlhf.ppo import update
from training.rlhf.rollout import sample

SHORT = SamplingSettings(temperature=1.0, query_length=48, response_length=4)
STEP = {"batch_size": 3, "micro_batch_size": 3, "max_steps": 1}
ROUND = {
    "steps": 1,
    "rollout_batch_size": 4,
    "rollout_micro_batch_size": 4,
    "batch_size": 4,
    "micro_batch_size": 2,
    "update_epochs": 1,
    "samples_every": 9,
    "image_workers": 0,
    "sampling": SHORT,
}


@pytest.fixture
def device(reward_folder: Path) -> Iterator[SecondDevice]:
    with second_device() as found:
        yield found


def carry_out(directory: Path, **model: str) -> Path:
    """Run it; ``model`` changes how its base is loaded."""
    file = directory / "spec.json"
    spec = json.loads(file.read_text())
    spec["model"] |= model
    file.write_text(json.dumps(spec))
    assert main([spec["kind"], "--run-dir", str(directory)]) == 0, events(directory, "error")
    return directory / "final"


# ---- the device itself -----------------------------------------------------------------------


def there(*shape: int) -> Tensor:
    return torch.ones(*shape, device=CUDA)


MEETINGS: dict[str, Callable[[], Any]] = {
    "a sum": lambda: there(3) + torch.ones(3),
    "a product": lambda: there(2, 3) @ torch.ones(3, 2),
    "a layer of the CPU": lambda: torch.nn.Linear(3, 2)(there(1, 3)),
    "a mask of attention": lambda: functional.scaled_dot_product_attention(
        *[there(1, 2, 3, 4)] * 3, attn_mask=torch.zeros(3, 3)
    ),
    "ids of an embedding": lambda: functional.embedding(torch.tensor([0]), there(3, 3)),
    "one behind the other": lambda: torch.cat([there(3), torch.ones(3)]),
    "a choice": lambda: torch.where(torch.ones(3).bool(), there(3), there(3)),
    "members": lambda: torch.isin(there(3), torch.tensor([1.0])),
    "into the CPU's": lambda: torch.ones(3).add_(there(3)),
    "an index of the CPU's": lambda: torch.ones(3)[torch.tensor([0], device=CUDA)],
    "gathering": lambda: there(2, 3).gather(1, torch.zeros(2, 1, dtype=torch.long)),
    "loss": lambda: functional.cross_entropy(there(2, 3), torch.tensor([0, 1])),
}


@pytest.mark.parametrize("meeting", MEETINGS)
def test_tensors_of_both_devices_are_refused(meeting: str, device: SecondDevice) -> None:
    with pytest.raises(DevicesMeet, match=r"aten\.\w+.* of .*cuda:0.*cpu|aten.*cpu.*cuda:0"):
        MEETINGS[meeting]()


def test_what_cuda_takes_is_taken(device: SecondDevice) -> None:
    """Numbers, indices, copies; and what is computed is what the CPU computes."""
    x = there(3)
    found = x * torch.tensor(2.0) + x[torch.tensor([0, 1, 2])].to("cpu").to(x)
    assert found.is_cuda and found.device == CUDA and found.tolist() == [3.0, 3.0, 3.0]
    assert x.to(CUDA) is x and x.to("cuda", torch.float32) is x and not x.cpu().is_cuda
    with pytest.raises(RuntimeError, match="numpy"):
        x.numpy()
    with pytest.raises(RuntimeError, match="can be pinned"):
        x.pin_memory()


def test_a_model_learns_there_what_it_learns_on_the_cpu(device: SecondDevice) -> None:
    def learnt(where: torch.device) -> tuple[list[float], str]:
        torch.manual_seed(0)
        layer, x = torch.nn.Linear(4, 4), torch.randn(2, 4)
        layer, x = layer.to(where), x.to(where)
        optimizer = torch.optim.AdamW(layer.parameters())
        for _ in range(2):
            layer(x).square().mean().backward()
            torch.nn.utils.clip_grad_norm_(layer.parameters(), 0.5)
            optimizer.step()
            optimizer.zero_grad()
        return layer.weight.flatten().tolist(), str(layer.weight.device)

    (there_, name), (here, _) = learnt(CUDA), learnt(torch.device("cpu"))
    assert name == "cuda:0" and there_ == pytest.approx(here, abs=1e-6)


def test_waits_of_the_host_are_counted(device: SecondDevice) -> None:
    x = there(3)
    assert not device.waits
    for wait in (
        *(x.sum().item, x.tolist, x.nonzero, x.cpu),
        *(lambda: x[x > 0], lambda: x[torch.tensor([0])], lambda: torch.ones(2).to(CUDA)),
    ):
        before = device.waits.total()
        wait()
        assert device.waits.total() == before + 1
    before = device.waits.total()
    torch.ones(2).pin_memory().to(CUDA, non_blocking=True)
    assert device.waits.total() == before


# ---- the engine on it ------------------------------------------------------------------------


def test_every_kind_of_run(make_run: MakeRun, device: SecondDevice) -> None:
    def run(kind: Kind, name: str, **options: Any) -> Path:
        return carry_out(make_run(kind, name, **options), dtype="bfloat16")

    sft = run(Kind.SFT, "sft", held_out=2, **STEP)
    reward = run(Kind.REWARD, "reward", held_out=4, **STEP)
    heads = run(Kind.REWARD, "heads", head="mlp", ensemble=2, **STEP)
    run(Kind.PPO, "ppo", policy=sft, reward_model=reward, **ROUND)
    critic_free = {"preset": "grpo", "lora": LORA, "ensemble_pessimism": 1.0}
    critic_free |= ROUND | {"responses_per_prompt": 2}
    run(Kind.PPO, "grpo", policy=sft, reward_model=heads, **critic_free)
    run(Kind.DPO, "dpo", policy=sft, held_out=2, image_coefficient=0.1, **STEP)
    run(Kind.GENERATE, "generate", policy=sft, sampling=SHORT)
    run(Kind.SCORE, "score", reward_model=reward)


def test_a_whole_model_is_trained(make_run: MakeRun, device: SecondDevice) -> None:
    run = make_run(Kind.SFT, full_model=True, gradient_checkpointing=True, **STEP)
    carry_out(run, dtype="float32")


def test_ppo_gives_what_it_gives_on_the_cpu(make_run: MakeRun, reward_folder: Path) -> None:
    settings = ROUND | {"steps": 2}
    here = make_run(Kind.PPO, "here", reward_model=reward_folder, **settings)
    carry_out(here)
    away = make_run(Kind.PPO, "away", reward_model=reward_folder, **settings)
    with second_device():
        carry_out(away)
    expected = last_metrics(events(here))
    for step, values in last_metrics(events(away)).items():
        assert values == pytest.approx(expected[step], rel=1e-3, abs=1e-5)


def test_a_reward_model_and_a_critic_on_a_base_of_their_own(
    make_run: MakeRun, device: SecondDevice, tmp_path: Path
) -> None:
    larger = tmp_path / "larger"
    tiny.model(seed=3, hidden_size=48).save_pretrained(larger)
    tiny.processor().save_pretrained(larger)

    def named(directory: Path, **fields: str) -> Path:
        file = directory / "spec.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | fields))
        return directory

    reward = carry_out(named(make_run(Kind.REWARD, "reward", **STEP), base_model=str(larger)))
    settings = ROUND | {"critic_on": "reward"}
    ppo = make_run(Kind.PPO, "ppo", reward_model=reward, **settings)
    carry_out(named(ppo, reward_base=str(larger)))


@pytest.mark.parametrize("kind", [Kind.SFT, Kind.PPO])
def test_a_resumed_run_draws_there_what_an_uninterrupted_one_draws(
    make_run: MakeRun,
    device: SecondDevice,
    reward_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: Kind,
) -> None:
    """Dropout draws on the device, whose random numbers no checkpoint holds."""
    settings: dict[str, Any] = {"lora": LoraSettings(rank=4, alpha=4, dropout=0.3)}
    settings |= ROUND | {"steps": 2} if kind is Kind.PPO else STEP | {"max_steps": 3, "epochs": 9.0}
    settings["checkpoint_every"] = 1
    more = {"reward_model": reward_folder} if kind is Kind.PPO else {}
    whole = carry_out(make_run(kind, "whole", **more, **settings))
    parts = make_run(kind, "parts", **more, **settings)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 1, terminate)
        assert main([kind, "--run-dir", str(parts)]) == 143
    torch.rand(3, device=CUDA)  # what another process would have begun with
    assert_same_weights(whole, carry_out(parts))


def test_what_does_not_fit_the_device_is_halved(
    make_run: MakeRun, device: SecondDevice, caplog: pytest.LogCaptureFixture
) -> None:
    settings = STEP | {"batch_size": 6, "micro_batch_size": 6}
    whole = carry_out(make_run(Kind.REWARD, "whole", **settings))
    device.largest = device.most - 1
    parts = carry_out(make_run(Kind.REWARD, "parts", **settings))
    assert "memory ran out while" in caplog.text
    one, two = (load_file(final / "adapter_model.safetensors") for final in (whole, parts))
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], atol=1e-5, rtol=1e-3)


def test_images_decoded_ahead_are_encoded_there(
    make_run: MakeRun, device: SecondDevice, reward_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Any] = []
    original = Ahead.take
    monkeypatch.setattr(
        Ahead, "take", lambda self, path: taken.append(original(self, path)) or taken[-1]
    )
    settings = ROUND | {"steps": 2, "image_workers": 1}
    carry_out(make_run(Kind.PPO, reward_model=reward_folder, **settings))
    assert any(pixels is not None for pixels in taken)


@pytest.mark.parametrize("family", sorted(FAMILIES.keys() - {"llava"}))
def test_every_family(family: str, make_run: MakeRun, tmp_path: Path, device: SecondDevice) -> None:
    base = str(FAMILIES[family](tmp_path / family))
    # LLaVA-OneVision's golden inputs score otherwise here in bfloat16 once loaded, unexplained.
    dtype = "float32" if family == "llava_onevision" else "bfloat16"

    def of_family(directory: Path) -> Path:
        file = directory / "spec.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"base_model": base}))
        return carry_out(directory, dtype=dtype)

    reward = of_family(make_run(Kind.REWARD, "reward", **STEP))
    of_family(make_run(Kind.PPO, "ppo", reward_model=reward, **ROUND))


def test_the_measurement_for_gpus_goes_through(device: SecondDevice) -> None:
    sizes = ["--rollouts", "2", "--slots", "6", "--micro-batch", "2"]
    found = gpu.figures(gpu.parse(["--small", *sizes]))
    assert found["peak memory, GiB"] > 0


def test_foreign_draws_change_neither_device_s_numbers(device: SecondDevice) -> None:
    torch.manual_seed(5)
    expected = torch.rand(2).tolist(), torch.rand(2, device=CUDA).tolist()
    torch.manual_seed(5)
    with undrawn():
        torch.manual_seed(9)
        torch.rand(3), torch.rand(3, device=CUDA)
    assert (torch.rand(2).tolist(), torch.rand(2, device=CUDA).tolist()) == expected


# ---- waits -----------------------------------------------------------------------------------


def test_a_token_is_sampled_without_a_wait(
    base_folder: Path, image_files: list[Path], device: SecondDevice
) -> None:
    """Rows of different lengths; what is waited for does not grow with the tokens."""
    model = VisionLanguageModel.load(str(base_folder), ModelSettings(dtype="float32"))
    model.stop_ids = model.chat.stop_ids = ()  # nothing ends before its last slot
    [image] = model.encode_images(image_files[:1])
    prompts = [
        model.chat.prompt((Turn(speaker="human", text=f"<image>\n{question}"),), image)
        for question in ("what is there ?", "is there a red cross ?")
    ]

    def waits(tokens: int) -> int:
        device.waits.clear()
        settings = SamplingSettings(temperature=0.7, response_length=tokens)
        sample(model, prompts, settings, adapter=None, batch_size=2)
        return device.waits.total()

    assert waits(32) - waits(16) == 2  # one look at how many are unfinished every eight steps


def test_an_update_waits_a_few_times_for_each_part(
    make_learner: MakeLearner, device: SecondDevice
) -> None:
    """Of policy and value together, for each part more: what is read of it and brought to it."""

    def waits(name: str, size: int) -> int:
        learner = make_learner(name, micro_batch_size=size, image_workers=0)
        found, scores = rollout(learner, learner.run.records(PromptRecord)[:6])
        device.waits.clear()
        update(learner, found, scores, round_number=0)
        return device.waits.total()

    assert waits("parts", 3) - waits("whole", 6) <= 34

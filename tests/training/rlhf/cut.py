"""What ``test_sharding`` starts twice at once: runs on a base in pieces, the last of which fails.

Before them come passes of which the first process makes more than the second.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig
from torch import Tensor
from torch.distributed.tensor import DTensor

from tests.training.rlhf.launched import carry_out, threads
from training.rlhf import train_sft
from training.rlhf.__main__ import ENTRY_POINTS, _entry_point
from training.rlhf.adapters import POLICY
from training.rlhf.contract import LoraSettings, ModelSettings, OptimizerSettings, Turn
from training.rlhf.errors import EngineError, ModelError
from training.rlhf.identity import _of_tensor
from training.rlhf.models import VisionLanguageModel
from training.rlhf.optimization import Optimizer, clip_gradients
from training.rlhf.processes import processes, together
from training.rlhf.rollout import response_hidden

ANSWERS = [[5, 6, 7, 2], [8, 9, 2, 0], [6, 2, 0, 0]]


def loaded(base: str, dtype: str, *, sharded: bool) -> VisionLanguageModel:
    settings = ModelSettings(dtype=dtype, sharded=sharded)  # type: ignore[arg-type]
    model = VisionLanguageModel.load(base, settings)
    torch.manual_seed(1)
    model.add_adapter(POLICY, LoraSettings(rank=4, alpha=8))
    with torch.no_grad():
        for parameter in model.trainable(POLICY).values():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.train_only(model.trainable(POLICY))
    return model


def answered(model: VisionLanguageModel, adapter: str | None, image: Path, rows: int) -> Tensor:
    """Hidden states of so many answers to one prompt, computed once."""
    [encoded] = model.encode_images([image])
    prompt = model.chat.prompt((Turn(speaker="human", text="<image>\nwhat ?"),), encoded)
    ids = torch.tensor(ANSWERS[:rows])
    hidden = response_hidden(model, adapter, [prompt] * rows, ids, (ids != 0).long())
    return hidden * (ids != 0)[..., None]


def learnt(model: VisionLanguageModel, image: Path, rows: int) -> list[Tensor]:
    """Those under an adapter, and what they teach."""
    hidden = answered(model, POLICY, image, rows)
    parameters = list(model.trainable(POLICY).values())
    return [hidden, *torch.autograd.grad(hidden.float().square().sum(), parameters)]


def held(model: VisionLanguageModel) -> int:
    """Numbers of the base's layers that lie in this process."""
    layers = model.base.get_decoder().layers.named_parameters()
    weights = [weight for name, weight in layers if ".lora_" not in name]
    return sum(
        (weight.to_local() if isinstance(weight, DTensor) else weight).numel() for weight in weights
    )


def compare(base: str, image: Path, dtype: str) -> None:
    plain, cut = (loaded(base, dtype, sharded=sharded) for sharded in (False, True))
    assert 2 * held(cut) == held(plain)
    for rows in (1, 3, 2) if processes().leads else (3,):
        for one, two in zip(learnt(plain, image, rows), learnt(cut, image, rows), strict=True):
            torch.testing.assert_close(
                two, one, rtol=1e-4, atol=1e-4 * float(one.detach().abs().max())
            )
        assert 2 * held(cut) == held(plain)  # nothing is left whole
    with pytest.raises(ModelError, match=r"model\.sharded: DoRA"):
        cut._inject("dora", LoraConfig(target_modules=["q_proj"], use_dora=True))
    own, others = (
        [(name, _of_tensor(weight, 1024)) for name, weight in model.base_weights()]
        for model in (plain, cut)
    )
    assert own == others
    processes().wait()  # the second waits here, and gives its pieces


def train_all_of_it(base: str, image: Path, *, mixed: bool = False) -> None:
    """A step of the language model itself, by processes that make unlike numbers of passes.

    ``mixed`` multiplies in bfloat16.
    """

    def made(*, sharded: bool) -> tuple[VisionLanguageModel, Optimizer]:
        model = VisionLanguageModel.load(base, ModelSettings(dtype="float32", sharded=sharded))
        weights = model.language_parameters()
        model.train_only(weights)
        return model, Optimizer(weights, OptimizerSettings(), total_steps=1)

    (plain, alone), (cut, together) = (made(sharded=sharded) for sharded in (False, True))
    cut.compute_again()
    near = 0.02 if mixed else 1e-4

    def squares(model: VisionLanguageModel, rows: int) -> Tensor:
        """Something that hidden states without an adapter make."""
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed, cache_enabled=False):
            logits = model.logits(answered(model, None, image, rows), suppress=False)
        return logits.square().sum()

    for rows in (1, 3, 2, 3):
        alone.accumulate(squares(plain, rows))
    for rows in (1, 3, 2) if processes().leads else (3,):
        failing = squares(cut, rows)
        failing.register_hook(out_of_memory)
        with pytest.raises(torch.OutOfMemoryError):
            together.accumulate(failing)
        together.accumulate(squares(cut, rows))
    together.gather()
    norm = clip_gradients(alone.parameters, 1.0)
    assert norm > 1 and together.clip() == pytest.approx(norm, rel=near)
    rate = alone.step(0)
    assert together.step(0) == rate
    flips = 2.5 * rate if mixed else 0.0  # AdamW's first step follows the sign of what is rounded
    for whole, found, most in (
        (alone.weights(), together.weights(), flips),
        (alone.state(), together.state(), 0.0),
    ):
        assert found.keys() == (whole.keys() if processes().leads else set())
        for name, tensor in found.items():
            expected = whole[name].detach()
            away = most + near * float(expected.abs().max())
            torch.testing.assert_close(tensor, expected, rtol=10 * near, atol=away)
    assert 2 * held(cut) == held(plain)
    in_layers = [name for name in alone.parameters if ".layers." in name]
    for kind in ("exp_avg", "exp_avg_sq"):
        mine, all_ = (
            sum(one._adamw.state[one.parameters[name]][kind].numel() for name in in_layers)
            for one in (together, alone)
        )
        assert 2 * mine == all_ > 0


def out_of_memory(gradient: Tensor) -> None:
    raise torch.OutOfMemoryError


def fail_in_the_second(patch: pytest.MonkeyPatch) -> None:
    original, steps = train_sft._loss, [0]

    def loss(*given: object, **more: object) -> Tensor:
        steps[0] += 1
        if steps[0] == 3 and not processes().leads:
            raise EngineError("broken on purpose")
        return original(*given, **more)  # type: ignore[arg-type]

    patch.setattr(train_sft, "_loss", loss)


if __name__ == "__main__":
    torch.set_num_threads(1)
    base, image, *runs, failing = sys.argv[1:]
    for kind in ENTRY_POINTS:  # as the command line does before it joins
        _entry_point(kind)
    with together():
        for dtype in ("float32", "bfloat16"):
            compare(base, Path(image), dtype)
        for mixed in (False, True):
            train_all_of_it(base, Path(image), mixed=mixed)
        codes = [carry_out(Path(name)) for name in runs]
        with pytest.MonkeyPatch.context() as patch:
            fail_in_the_second(patch)
            codes.append(carry_out(Path(failing)))
    assert not [name for name in threads() if "gloo" in name]
    print(f"codes of process {codes}", file=sys.stderr)

"""What PPO takes in memory, reckoned without weights.

    python -m perf.reckoning [--rank 64]
    python -m perf.reckoning --base qwen2.5-vl-32b --gpus 8
    python -m perf.reckoning --full

The first is about LLaVA-1.5-7B, the second about each of several GPUs and a larger base, the third
about the paper's first fine-tuning, in which all weights of the 7B language model are trained.

The engine's own model and adapters are made on PyTorch's meta device, which knows shapes and types
but no numbers, and an update's forward and backward pass goes through them. Attention is taken to
keep what a fused kernel keeps. What a GPU's kernels and allocator take on top is not reckoned.
"""

from __future__ import annotations

import argparse
import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from perf import shape
from training.rlhf.adapters import POLICY, AdaptedBase
from training.rlhf.bases import layers
from training.rlhf.contract import Kind, LoraSettings, SftSettings
from training.rlhf.models import VisionLanguageModel
from training.rlhf.presets import PAPER_FULL, preset_spec

GIB, MIB = 2**30, 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rank", type=int, default=64, help="rank of the adapters")
    parser.add_argument("--base", choices=sorted(shape.LARGE), help="a larger base")
    parser.add_argument("--gpus", type=int, default=8, help="GPUs that the larger base is cut over")
    parser.add_argument("--full", action="store_true", help="all weights of LLaVA-1.5-7B")
    options = parser.parse_args()
    if options.full:
        for name, value in full_figures(whole(), options.gpus).items():
            print(f"{name:76}{value:10.2f}")
        return
    lora = LoraSettings(rank=options.rank)
    if options.base is None:
        for name, value in figures(model(lora)).items():
            print(f"{name:76}{value:10.2f}")
        return
    print(f"{'on each GPU':76}{'whole':>10}{'sharded':>10}")
    made = large(options.base, lora)
    for name, values in shared_figures(made, options.gpus).items():
        print(f"{name:76}{values[0]:10.2f}{values[1]:10.2f}")
    each = (Pass(made, 200).kept_bytes - Pass(made, 100).kept_bytes) / 100 / MIB
    print(f"{'kept for the backward pass, MiB a token':76}{each:10.2f}{each:10.2f}")


def model(lora: LoraSettings) -> VisionLanguageModel:
    """The large shape in bfloat16 with an adapter that is trained, all on the meta device."""
    form, before = shape.Shape(), torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            base = form.base()
    finally:
        torch.set_default_dtype(before)
    made = VisionLanguageModel(base, form.processor(), device=torch.device("meta"))
    with torch.device("meta"):
        made.add_adapter(POLICY, lora)
    made.train_only(made.trainable(POLICY))
    return made


def whole() -> VisionLanguageModel:
    """The large shape in float32 whose language model is trained itself, on the meta device."""
    form = shape.Shape()
    with torch.device("meta"):
        base = form.base()
    made = VisionLanguageModel(base, form.processor(), device=torch.device("meta"))
    made.train_only(made.language_parameters())
    return made


def full_figures(made: VisionLanguageModel, gpus: int) -> dict[str, float]:
    """What each GPU holds of a model trained whole, with its layers whole and cut.

    With checkpointing a layer keeps what goes into it, and one layer at a time what it computes.
    """
    settings = preset_spec(Kind.SFT, PAPER_FULL).settings
    assert isinstance(settings, SftSettings)
    tokens = settings.max_length
    learnt = _bytes(made.language_parameters().values())
    frozen = (_bytes(made.base.parameters()) - learnt) / GIB
    one, other = (Pass(made, count, adapter=None) for count in (100, 200))
    each = (other.kept_bytes - one.kept_bytes) / 100
    depth = len(layers(made.base))
    checkpointed = each / depth + 4 * made.hidden_size * depth
    sizes = [_bytes(layer.parameters()) for layer in layers(made.base)]
    held, outside = 4 * learnt / GIB, 4 * (learnt - sum(sizes)) / GIB
    cut = outside + 4 * sum(sizes) / gpus / GIB
    # As in shared_figures; and a layer's gradients, the same laid out, what others lay out, and its
    # weights rounded to bfloat16.
    passing = (4 + 3 + 0.5) * max(sizes) / GIB
    kept, less = tokens * each / GIB, tokens * checkpointed / GIB
    return {
        "vision tower and projector, GiB": frozen,
        "weights, gradients and AdamW in float32, GiB": held,
        "kept for the backward pass, MiB a token": each / MIB,
        f"kept of a conversation of {tokens} tokens, GiB": kept,
        "all of these, GiB": frozen + held + kept,
        f"weights, gradients and AdamW cut over {gpus} GPUs, GiB": cut,
        "of it embeddings, last norm and output layer, GiB": outside,
        "layers and gradients that are whole for a while, at most, GiB": passing,
        "cut, GiB": frozen + cut + passing + kept,
        "kept with checkpointing, MiB a token": checkpointed / MIB,
        "cut and with checkpointing, GiB": frozen + cut + passing + less,
    }


def large(name: str, lora: LoraSettings) -> AdaptedBase:
    """A larger base in bfloat16 with an adapter that is trained, on the meta device."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            base = shape.LARGE[name]()
    finally:
        torch.set_default_dtype(before)
    made = AdaptedBase(base, device=torch.device("meta"))
    with torch.device("meta"):
        made.add_adapter(POLICY, lora)
    made.train_only(made.trainable(POLICY))
    return made


def shared_figures(made: AdaptedBase, gpus: int) -> dict[str, tuple[float, float]]:
    """What each of ``gpus`` holds with the base whole, and with its layers cut."""
    cut = [[p for n, p in one.named_parameters() if ".lora_" not in n] for one in layers(made.base)]
    adapter = _bytes(made.trainable(POLICY).values())
    whole = (_bytes(made.base.parameters()) - adapter) / GIB
    in_layers = sum(map(_bytes, cut)) / GIB
    # Gathered in one buffer and copied out of it, the next one beside it while this one computes.
    passing = 4 * max(map(_bytes, cut)) / GIB
    base = whole - in_layers + in_layers / gpus
    trained = 2 * 3 * adapter / GIB
    text = made.base.config.get_text_config()
    head = text.hidden_size // text.num_attention_heads
    cache = 2 * 2 * text.num_hidden_layers * text.num_key_value_heads * head / MIB
    adapters = 4 * adapter / GIB
    return {
        "base, GiB": (whole, base),
        "of it embeddings, output layer, vision tower and projector, GiB": (
            whole - in_layers,
            whole - in_layers,
        ),
        "layers that are whole for a while, at most, GiB": (0.0, passing),
        "adapters of policy, reference, value and reward, GiB": (adapters, adapters),
        "gradients and AdamW of policy and value, GiB": (trained, trained),
        "all of these, GiB": (whole + adapters + trained, base + passing + adapters + trained),
        "keys and values, MiB a token": (cache, cache),
    }


def figures(made: VisionLanguageModel) -> dict[str, float]:
    adapter = _bytes(made.trainable(POLICY).values())
    merged = _bytes(weight for weight, _ in made.merge_parts(POLICY))
    one, other = Pass(made, 100), Pass(made, 200)
    each = (other.kept_bytes - one.kept_bytes) / 100
    named = made.language_parameters().items()
    whole = 4 * 4 * sum(p.numel() for name, p in named if ".lora_" not in name)
    text = made.base.config.get_text_config()
    cache = 2 * 2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim
    return {
        "base, GiB": (_bytes(made.base.parameters()) - adapter) / GIB,
        "merged copy while sampling, GiB": merged / GIB,
        "adapters of policy, reference, value and reward, GiB": 4 * adapter / GIB,
        "gradients and AdamW of policy and value, GiB": 2 * 3 * adapter / GIB,
        "the whole language model trained in float32, with gradients and AdamW, GiB": whole / GIB,
        "kept for the backward pass, MiB a token": each / MIB,
        "kept for it whatever the tokens, MiB": (one.kept_bytes - 100 * each) / MIB,
        "keys and values, MiB a token": cache / MIB,
        "multiplications in float32, %": 100 * other.operations[torch.float32] / other.total,
    }


class Pass(TorchDispatchMode):
    """One sequence of ``tokens`` forward and backward through the language model."""

    def __init__(self, made: AdaptedBase, tokens: int, *, adapter: str | None = POLICY) -> None:
        """``adapter`` gets gradients, or the language model itself."""
        super().__init__()
        self.operations: Counter[torch.dtype] = Counter()
        kept: dict[int, Tensor] = {}
        weights = {_storage(parameter) for parameter in made.base.parameters()}

        def keep(tensor: Tensor) -> Tensor:
            if _storage(tensor) not in weights:
                kept[_storage(tensor)] = tensor
            return tensor

        inputs = torch.empty(1, tokens, made.hidden_size, dtype=made.base.dtype, device="meta")
        positions = torch.arange(tokens, device="meta")[None]
        hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
        decoder = made.base.get_decoder()
        with self, hooks, made.using(adapter), _fused_attention():
            hidden = decoder(inputs_embeds=inputs, position_ids=positions).last_hidden_state
            learnt = made.trainable(adapter) if adapter else made.language_parameters()
            torch.autograd.grad(hidden.sum(), list(learnt.values()), allow_unused=adapter is None)
        self.kept_bytes = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
        self.total = sum(self.operations.values())

    def __torch_dispatch__(self, call: Any, types: Any, given: Any = (), more: Any = None) -> Any:
        if call.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm):
            one, two = given[-2:]
            self.operations[one.dtype] += 2 * one.numel() * two.shape[-1]
        return call(*given, **(more or {}))


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        result = torch.empty_like(query)
        context.save_for_backward(query, key, value, result)
        return result

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.empty_like(tensor) for tensor in context.saved_tensors[:3])


@contextlib.contextmanager
def _fused_attention() -> Iterator[None]:
    """The meta device would take attention apart, scores of all tokens with all others included."""

    def attend(query: Tensor, key: Tensor, value: Tensor, **_: Any) -> Tensor:
        return _Fused.apply(query, key, value)

    with mock.patch("torch.nn.functional.scaled_dot_product_attention", attend):
        yield


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _bytes(tensors: Any) -> int:
    return sum(tensor.nbytes for tensor in tensors)


if __name__ == "__main__":
    main()

"""A base model under named LoRA adapters, with heads that make one number of a hidden state.

Policy, reference, value and reward model are the same base weights under different adapters.
Switching adapters here never touches ``requires_grad`` (PEFT's own ``set_adapter`` does): what is
trained is said once, by ``train_only``.
"""

from __future__ import annotations

import contextlib
import functools
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from training.rlhf import bases, heads, library_internals
from training.rlhf.contract import LoraSettings
from training.rlhf.errors import ModelError
from training.rlhf.finite import NonFinite
from training.rlhf.foreign_adapters import modules_of, read_config, renamed
from training.rlhf.lora import add_once
from training.rlhf.processes import processes
from training.rlhf.sharding import Pieces
from training.rlhf.tensors import read_tensors, write_tensors

POLICY, REFERENCE, VALUE = "policy", "reference", "value"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
HEAD_WEIGHTS = "head.safetensors"


class AdaptedBase:
    """Base weights, frozen but for what ``train_only`` names, with adapters and heads by name."""

    def __init__(self, base: Any, *, device: torch.device, sharded: bool = False) -> None:
        """``sharded`` cuts its layers over the processes of this run, if there are several."""
        self._decoder_name, self._linear_names = bases.language_model(base)
        base.eval().requires_grad_(False)
        self.pieces: Pieces | None = None
        if sharded and processes().count > 1:  # before it is on the device, which may not hold it
            self.pieces = Pieces(bases.layers(base), device)
        if not getattr(base, "is_quantized", False):  # a quantised model was put there on loading
            base = base.to(device)
        self.base = base
        self.device = device
        self.computes_again = False
        self.heads = nn.ModuleDict()
        self._injected: PeftModel | None = None
        self._layers: list[Any] = []

    @property
    def hidden_size(self) -> int:
        size: int = self.base.get_input_embeddings().weight.shape[1]
        return size

    def add_adapter(self, name: str, lora: LoraSettings) -> None:
        """A fresh adapter: it changes nothing until trained (B starts at zero)."""
        self._inject(
            name,
            LoraConfig(
                r=lora.rank,
                lora_alpha=lora.alpha,
                lora_dropout=lora.dropout,
                target_modules=self._target_pattern(),
            ),
        )

    def load_adapter(self, name: str, folder: Path) -> None:
        """An adapter in PEFT's format; ModelError when it does not fit this base model."""
        if not (folder / ADAPTER_CONFIG).is_file() or not (folder / ADAPTER_WEIGHTS).is_file():
            lacks = f"{folder.name} holds no {ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}"
            pickled = (folder / "adapter_model.bin").is_file()
            raise ModelError(
                f"{lacks}{' (adapter_model.bin is not read: it may run a program)' * pickled}"
            )
        try:
            config = read_config(folder.name, folder / ADAPTER_CONFIG)
            weights = renamed(
                folder.name,
                read_tensors(folder / ADAPTER_WEIGHTS),
                config,
                decoder=self._decoder_name,
            )
            if config.target_modules != self._target_pattern():  # bare names may match other parts
                config.target_modules = modules_of(weights)
            self._inject(name, config)
            self._check_fit(name, weights, folder.name)
            self.load_adapter_weights(name, weights)
        except NonFinite as error:
            raise ModelError(
                f"adapter {folder.name}: the {error.quantity} is {error.value}, no finite number: "
                "its training broke down"
            ) from error
        except (ValueError, RuntimeError, OSError, SafetensorError, re.error) as error:
            reason = " ".join(str(error).split())[:300]
            raise ModelError(
                f"adapter {folder.name} does not fit the base model: {reason}"
            ) from error

    def _check_fit(self, name: str, weights: dict[str, Tensor], called: str) -> None:
        """ModelError for the first tensor that is missing, too many, or another one."""
        wanted = self.adapter_weights(name)
        lacking, more = sorted(wanted.keys() - weights), sorted(weights.keys() - wanted)
        if lacking or more:
            said = [f"lacks {lacking[0]}"] if lacking else []
            said += [f"holds {more[0]}, which nothing in the base model takes"] if more else []
            what = " and ".join(said)
            raise ModelError(
                f"adapter {called}: {ADAPTER_WEIGHTS} {what}: by {ADAPTER_CONFIG} and the base "
                f"model it has {len(wanted)} tensors, and it holds {len(weights)}"
            )
        for tensor, found in sorted(weights.items()):
            if not found.is_floating_point():
                kind = str(found.dtype).removeprefix("torch.")
                raise ModelError(f"adapter {called}: {tensor} holds whole numbers ({kind})")
            if found.shape != wanted[tensor].shape:
                is_, by = (" x ".join(map(str, t.shape)) for t in (found, wanted[tensor]))
                raise ModelError(
                    f"adapter {called}: {tensor} is {is_}, and {by} by {ADAPTER_CONFIG} and the "
                    "base model: they do not belong together"
                )

    def adapter_rank(self, name: str) -> int:
        """Rank of an adapter's update matrices."""
        config: Any = self._peft.peft_config[name]
        return int(config.r)

    def adapter_scale(self, name: str) -> dict[str, str]:
        """What an adapter's weights are multiplied by, and how they are used."""
        fields = _lora_fields(self._peft.peft_config[name])
        return {key: str(value) for key, value in fields.items() if key != "target_modules"}

    def copy_adapter(self, source: str, target: str) -> None:
        """``target`` becomes a new adapter equal to ``source``."""
        self._inject(target, LoraConfig(**_lora_fields(self._peft.peft_config[source])))
        self.load_adapter_weights(target, self.adapter_weights(source))

    def adapter_weights(self, name: str) -> dict[str, Tensor]:
        """The adapter's tensors under the names PEFT saves them by (not copies)."""
        weights: dict[str, Tensor] = get_peft_model_state_dict(
            self._peft, adapter_name=name, save_embedding_layers=False
        )
        return weights

    def load_adapter_weights(self, name: str, weights: dict[str, Tensor]) -> None:
        """Overwrite an adapter; ModelError when a tensor is missing or too many."""
        wanted = set(self.adapter_weights(name))
        if wanted != set(weights):
            different = sorted(wanted ^ set(weights))
            raise ModelError(f"adapter {name!r}: tensors do not match, first {different[0]}")
        set_peft_model_state_dict(self._peft, weights, adapter_name=name)

    def save_adapter(self, name: str, folder: Path) -> None:
        """Write the adapter so that ``PeftModel.from_pretrained(base, folder)`` reads it."""
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(folder / ADAPTER_WEIGHTS, self.adapter_weights(name))
        config = LoraConfig(**_lora_fields(self._peft.peft_config[name]))
        config.base_model_name_or_path = self.base.config.name_or_path
        config.inference_mode = True
        config.save_pretrained(str(folder))

    def add_head(
        self, name: str, *, zero: bool = True, form: heads.Form = "linear", count: int = 1
    ) -> None:
        """Maps from hidden state to one number each (``training.rlhf.heads``), in float32.

        They start at zero, or, without ``zero``, with the weights that torch draws for them.
        """
        self._put_head(name, heads.new(self.hidden_size, form=form, count=count, zero=zero))

    def save_head(self, name: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(folder / HEAD_WEIGHTS, self.heads[name].state_dict())

    def load_head(self, name: str, folder: Path) -> None:
        """Raises ModelError when the head is missing or of another width.

        A new one takes form and number from the file; one that is there must be the same.
        """
        try:
            tensors = read_tensors(folder / HEAD_WEIGHTS)
            if name not in self.heads:
                self._put_head(name, heads.like(tensors, self.hidden_size))
            self.heads[name].load_state_dict(tensors)
        except (OSError, RuntimeError) as error:
            raise ModelError(f"{folder.name}/{HEAD_WEIGHTS} does not fit: {error}") from error

    @contextlib.contextmanager
    def using(self, adapter: str | None) -> Iterator[None]:
        """Run the base under one adapter, or bare with None."""
        before = [library_internals.adapter_in_use(layer) for layer in self._layers]
        for layer in self._layers:
            library_internals.use_adapter(
                layer, [adapter] if adapter else [], disabled=adapter is None
            )
        try:
            yield
        finally:
            for layer, (active, disabled) in zip(self._layers, before, strict=True):
                library_internals.use_adapter(layer, active, disabled)

    def can_merge(self, adapter: str) -> bool:
        """Whether base weight plus a matrix is this adapter.

        Not in pieces, not in 4 bits, not with DoRA, and not in bfloat16, where half an ulp of a
        weight is more than training changes in many steps: merged, the policy would mostly answer
        like the base.
        """
        config: Any = self._peft.peft_config[adapter]
        if self.pieces or getattr(self.base, "is_quantized", False) or config.use_dora:
            return False
        return all(weight.dtype == torch.float32 for weight, _ in self._adapted(adapter))

    @torch.no_grad()
    def merge_parts(self, adapter: str) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Each adapted weight of the base and what the adapter adds to it, of one shape."""
        for weight, layer in self._adapted(adapter):
            yield weight, layer.get_delta_weight(adapter)

    def base_weights(self) -> Iterator[tuple[str, Tensor]]:
        """Every weight of the base by its name, whole; all processes go through them together."""
        for name in [n for n, _ in self.base.named_parameters() if ".lora_" not in n]:
            if self.pieces is None:
                yield name, self.base.get_parameter(name)
                continue
            with self.pieces.whole(name, self.base) as weight:
                yield name, weight

    def trainable(self, name: str) -> dict[str, nn.Parameter]:
        """Parameters of an adapter and of the head of its name, by a name that never changes."""
        found = {
            key: parameter
            for key, parameter in self.base.named_parameters()
            if f".{name}." in key and ".lora_" in key
        }
        if name in self.heads:
            found |= {f"head.{key}": p for key, p in self.heads[name].named_parameters()}
        return found

    def language_parameters(self) -> dict[str, nn.Parameter]:
        """All weights of the language model, for training without adapters."""
        decoder = self.base.get_submodule(self._decoder_name)
        found = {f"{self._decoder_name}.{key}": p for key, p in decoder.named_parameters()}
        known = {id(parameter) for parameter in found.values()}
        head = self.base.get_output_embeddings()
        return found | {f"head.{k}": p for k, p in head.named_parameters() if id(p) not in known}

    def compute_again(self) -> None:
        """From now on keep only what goes into a layer, and compute the rest again backward."""
        if self.computes_again:
            return
        self.computes_again = True
        for layer in bases.layers(self.base):
            # Within what FSDP does around a layer, so that it stays whole meanwhile.
            layer.forward = functools.partial(_checkpointed, layer.forward)

    def train_only(self, *groups: dict[str, nn.Parameter]) -> None:
        """Freeze everything but these parameters; called once, before the optimiser is made."""
        self.base.requires_grad_(False)
        self.heads.requires_grad_(False)
        for group in groups:
            for parameter in group.values():
                parameter.requires_grad_(True)

    def head_values(self, name: str, hidden: Tensor) -> Tensor:
        """The head on hidden states ``[..., hidden]``; returns ``[...]`` in float32.

        Of several heads of that name it is the mean.
        """
        return self.values_by_head(name, hidden).mean(-1)

    def values_by_head(self, name: str, hidden: Tensor) -> Tensor:
        """Each head of that name on hidden states ``[..., hidden]``: ``[..., heads]``, float32."""
        values: Tensor = self.heads[name](hidden.float())
        return values

    def head_count(self, name: str) -> int:
        """How many heads have that name."""
        return heads.count_of(self.heads[name])

    # ---- inside ------------------------------------------------------------------------------

    def _put_head(self, name: str, head: nn.Module) -> None:
        self.heads[name] = head.to(self.device).requires_grad_(False)

    @property
    def _peft(self) -> PeftModel:
        assert self._injected is not None, "there is no adapter yet"
        return self._injected

    def _adapted(self, adapter: str) -> Iterator[tuple[nn.Parameter, Any]]:
        """The base weights that ``adapter`` is on, and PEFT's layers around them."""
        layer: Any
        for layer in self._layers:
            if adapter in layer.lora_A:
                yield layer.get_base_layer().weight, layer

    def _target_pattern(self) -> str:
        # Bare names such as q_proj would also match the vision tower.
        names = "|".join(self._linear_names)
        return rf"{re.escape(self._decoder_name)}\..*\.({names})"

    def _inject(self, name: str, config: LoraConfig) -> None:
        if config.use_dora and self.pieces is not None:
            raise ModelError("model.sharded: DoRA needs the weights whole; use plain LoRA")
        config.inference_mode = False
        with warnings.catch_warnings():  # PEFT asks for an attribute that transformers renamed
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated")
            if self._injected is None:
                self._injected = PeftModel(self.base, config, adapter_name=name)
            else:
                self._injected.add_adapter(name, config)
        self._layers = library_internals.adapted_layers(self.base)
        for layer in self._layers:
            add_once(layer, name, sharded=self.pieces is not None)
        self.base.requires_grad_(False)


def _checkpointed(forward: Callable[..., Any], *given: Any, **more: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*given, **more)
    return checkpoint(forward, *given, use_reentrant=False, **more)


def _lora_fields(config: Any) -> dict[str, Any]:
    return {
        "r": config.r,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": config.lora_dropout,
        "target_modules": config.target_modules,
        "use_rslora": config.use_rslora,
        "use_dora": config.use_dora,
        "bias": config.bias,
        "rank_pattern": config.rank_pattern,
        "alpha_pattern": config.alpha_pattern,
    }

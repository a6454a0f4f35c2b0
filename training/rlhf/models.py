"""One vision-language model in memory, with named LoRA adapters and scalar heads.

Policy, reference, value and reward model are the same base weights under different adapters.
Switching adapters here never touches ``requires_grad`` (PEFT's own ``set_adapter`` does): what is
trained is said once, by ``train_only``.
"""

from __future__ import annotations

import contextlib
import inspect
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import GenerationConfig
from transformers.modeling_outputs import BaseModelOutputWithPooling

from training.rlhf import bases
from training.rlhf.contract import LoraSettings, ModelSettings
from training.rlhf.data import Batch
from training.rlhf.errors import ModelError
from training.rlhf.images import EncodedImage, Features, ImageEncoder
from training.rlhf.lora import add_once
from training.rlhf.memory import Fit
from training.rlhf.prompts import ChatFormat

ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
HEAD_WEIGHTS = "head.safetensors"
_SUPPRESSED_LOGIT = -1e9  # finite, so that p * log p is 0 and not NaN


class VisionLanguageModel:
    """A base model, its processor, its adapters and its heads."""

    def __init__(
        self, base: Any, processor: Any, *, device: torch.device, pad_images_to_square: bool = False
    ) -> None:
        """``base`` is any image-text-to-text model of transformers that takes encoded images."""
        if not getattr(base, "is_quantized", False):  # a quantised model was put there on loading
            base = base.to(device)
        self.base = base.eval().requires_grad_(False)
        self.processor = processor
        self.device = device
        self.heads = nn.ModuleDict()
        self.fits: dict[str, Fit] = {}
        self._peft: PeftModel | None = None
        self._layers: list[BaseTunerLayer] = []
        self._decoder_name, self._linear_names = bases.language_model(base)
        forward_inputs = set(inspect.signature(base.model.forward).parameters)
        if "mm_encoder_outputs" not in forward_inputs:
            raise ModelError(f"{type(base).__name__} does not take images encoded beforehand")
        # Models with their own three-dimensional positions work them out from the token types.
        self._own_positions = hasattr(base.model, "get_rope_index")
        self._token_types = bases.token_types_input(processor, forward_inputs)
        self.takes_any_mask = bases.takes_any_mask(base)
        self._encoder_output: type[Any] = BaseModelOutputWithPooling
        self._one_tensor = False

        tokenizer = processor.tokenizer
        self.stop_ids = bases.stop_ids(base, tokenizer)
        self._generation_config = base.generation_config
        base.generation_config = GenerationConfig()  # no family's sampling defaults creep in
        image_token = bases.image_token(processor)
        self.chat = ChatFormat(processor, image_token=image_token, stop_ids=self.stop_ids)
        self.pad_id: int = (
            tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.chat.end_id
        )
        self.suppressed_ids = bases.suppressed_ids(base, tokenizer, image_token, self.stop_ids)
        self.encode_images = ImageEncoder(
            processor,
            self._image_features,
            placeholder=image_token,
            pad_to_square=pad_images_to_square,
        )

    @classmethod
    def load(cls, name: str, settings: ModelSettings) -> VisionLanguageModel:
        """Load a folder or hub id; ModelError says what is wrong with it."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        base, processor = bases.load(name, settings, device)
        return cls(
            base, processor, device=device, pad_images_to_square=settings.pad_images_to_square
        )

    def fit(self, purpose: str) -> Fit:
        """How many rows fit in memory, remembered for each kind of work."""
        return self.fits.setdefault(purpose, Fit(purpose))

    @property
    def layer_count(self) -> int:
        count: int = self.base.config.get_text_config().num_hidden_layers
        return count

    @property
    def checkpoints_activations(self) -> bool:
        return bool(getattr(self.base, "is_activation_checkpointing", False))

    @property
    def hidden_size(self) -> int:
        size: int = self.base.get_input_embeddings().weight.shape[1]
        return size

    # ---- adapters and heads ------------------------------------------------------------------

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
            raise ModelError(f"{folder.name} holds no {ADAPTER_CONFIG} and {ADAPTER_WEIGHTS}")
        try:
            self._inject(name, LoraConfig.from_pretrained(str(folder)))
            self.load_adapter_weights(name, load_file(folder / ADAPTER_WEIGHTS))
        except (ValueError, RuntimeError, OSError) as error:
            raise ModelError(
                f"adapter {folder.name} does not fit the base model: {error}"
            ) from error

    def adapter_rank(self, name: str) -> int:
        """Rank of an adapter's update matrices."""
        assert self._peft is not None
        config: Any = self._peft.peft_config[name]
        return int(config.r)

    def copy_adapter(self, source: str, target: str) -> None:
        """``target`` becomes a new adapter equal to ``source``."""
        assert self._peft is not None
        self._inject(target, LoraConfig(**_lora_fields(self._peft.peft_config[source])))
        self.load_adapter_weights(target, self.adapter_weights(source))

    def adapter_weights(self, name: str) -> dict[str, Tensor]:
        """The adapter's tensors under the names PEFT saves them by (not copies)."""
        assert self._peft is not None
        weights: dict[str, Tensor] = get_peft_model_state_dict(
            self._peft, adapter_name=name, save_embedding_layers=False
        )
        return weights

    def load_adapter_weights(self, name: str, weights: dict[str, Tensor]) -> None:
        """Overwrite an adapter; ModelError when a tensor is missing or too many."""
        assert self._peft is not None
        wanted = set(self.adapter_weights(name))
        if wanted != set(weights):
            different = sorted(wanted ^ set(weights))
            raise ModelError(f"adapter {name!r}: tensors do not match, first {different[0]}")
        set_peft_model_state_dict(self._peft, weights, adapter_name=name)

    def save_adapter(self, name: str, folder: Path) -> None:
        """Write the adapter so that ``PeftModel.from_pretrained(base, folder)`` reads it."""
        assert self._peft is not None
        folder.mkdir(parents=True, exist_ok=True)
        weights = {k: v.contiguous() for k, v in self.adapter_weights(name).items()}
        save_file(weights, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        config = LoraConfig(**_lora_fields(self._peft.peft_config[name]))
        config.base_model_name_or_path = self.base.config.name_or_path
        config.inference_mode = True
        config.save_pretrained(str(folder))

    def save_base(self, folder: Path) -> None:
        """Write the whole model with its processor, loadable by transformers alone."""
        empty, self.base.generation_config = self.base.generation_config, self._generation_config
        try:
            self.base.save_pretrained(str(folder))
        finally:
            self.base.generation_config = empty
        with bases.images_only():
            self.processor.save_pretrained(str(folder))

    def add_head(self, name: str) -> None:
        """A linear map from hidden state to one number, in float32, starting at zero."""
        head = nn.Linear(self.hidden_size, 1, device=self.device, dtype=torch.float32)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        self.heads[name] = head.requires_grad_(False)

    def save_head(self, name: str, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.heads[name].state_dict(), folder / HEAD_WEIGHTS)

    def load_head(self, name: str, folder: Path) -> None:
        """Raises ModelError when the head is missing or of another width."""
        if name not in self.heads:
            self.add_head(name)
        try:
            self.heads[name].load_state_dict(load_file(folder / HEAD_WEIGHTS))
        except (OSError, RuntimeError) as error:
            raise ModelError(f"{folder.name}/{HEAD_WEIGHTS} does not fit: {error}") from error

    @contextlib.contextmanager
    def using(self, adapter: str | None) -> Iterator[None]:
        """Run the base under one adapter, or bare with None."""
        before = [(layer._active_adapter, layer._disable_adapters) for layer in self._layers]
        for layer in self._layers:
            layer._active_adapter = [adapter] if adapter else []
            layer._disable_adapters = adapter is None
        try:
            yield
        finally:
            for layer, (active, disabled) in zip(self._layers, before, strict=True):
                layer._active_adapter, layer._disable_adapters = active, disabled

    def can_merge(self, adapter: str) -> bool:
        """Whether base weight plus a matrix is this adapter: not in 4 bits, not with DoRA."""
        assert self._peft is not None
        config: Any = self._peft.peft_config[adapter]
        return not getattr(self.base, "is_quantized", False) and not config.use_dora

    @torch.no_grad()
    def merge_parts(self, adapter: str) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Each adapted weight of the base and what the adapter adds to it, of one shape."""
        layer: Any
        for layer in self._layers:
            if adapter in layer.lora_A:
                yield layer.get_base_layer().weight, layer.get_delta_weight(adapter)

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

    def train_only(self, *groups: dict[str, nn.Parameter]) -> None:
        """Freeze everything but these parameters; called once, before the optimiser is made."""
        self.base.requires_grad_(False)
        self.heads.requires_grad_(False)
        for group in groups:
            for parameter in group.values():
                parameter.requires_grad_(True)

    # ---- forward passes ----------------------------------------------------------------------

    def hidden_states(self, batch: Batch) -> Tensor:
        """Last hidden states ``[batch, sequence, hidden]``, no vocabulary logits built."""
        return self.run(**self.positioned_inputs(batch), use_cache=False)

    def run(self, **inputs: Any) -> Tensor:
        """Last hidden states for keyword arguments of the base's forward."""
        hidden: Tensor = self.base.model(**inputs).last_hidden_state
        return hidden

    def positioned_inputs(self, batch: Batch) -> dict[str, Any]:
        """``model_inputs`` with positions that padding does not count in.

        Causal attention needs no mask where padding is only behind the tokens.
        """
        inputs = self.model_inputs(batch)
        if not self._own_positions:
            positions = batch.attention_mask.cumsum(-1) - 1
            inputs["position_ids"] = positions.clamp(min=0)
            if bool(batch.attention_mask[:, 0].all()):  # attention is faster without
                inputs["attention_mask"] = None
        return inputs

    def additive(self, allowed: Tensor) -> Tensor:
        """A mask to add to attention scores, of any shape, from one that is true or false."""
        dtype = self.base.get_input_embeddings().weight.dtype
        mask = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
        return mask.masked_fill_(~allowed, torch.finfo(dtype).min)

    def position_shift(self) -> Tensor | None:
        """What the last images moved the positions behind them by, ``[batch, 1]``, if they did."""
        shift: Tensor | None = getattr(self.base.model, "rope_deltas", None)
        return shift if self._own_positions else None

    def shifted_positions(self, positions: Tensor, shift: Tensor | None) -> Tensor:
        """Positions ``[batch, sequence]`` of text behind images as this family counts them."""
        if not self._own_positions:
            return positions
        return (positions if shift is None else positions + shift).expand(3, *positions.shape)

    def model_inputs(self, batch: Batch) -> dict[str, Any]:
        """Keyword arguments of the base's forward or generate; fresh objects at each call."""
        images, names = batch.images, batch.images[0].extras
        inputs = {
            "input_ids": batch.input_ids,
            "attention_mask": batch.attention_mask,
            "mm_encoder_outputs": {"image": self._encoded(images)},
            **{n: torch.cat([image.extras[n] for image in images]).to(self.device) for n in names},
        }
        if self._token_types is not None:
            inputs[self._token_types] = (batch.input_ids == self.base.config.image_token_id).int()
        return inputs

    def logits(self, hidden: Tensor, *, temperature: float = 1.0, suppress: bool = True) -> Tensor:
        """Float32 logits of ``hidden``; ``suppress`` takes out tokens that are never sampled."""
        logits: Tensor = self.base.get_output_embeddings()(hidden).float()
        cap = getattr(self.base.config.get_text_config(), "final_logit_softcapping", None)
        if cap:
            logits = torch.tanh(logits / cap) * cap
        if temperature != 1.0:
            logits = logits / temperature
        if not suppress:
            return logits
        suppressed = torch.tensor(self.suppressed_ids, device=logits.device, dtype=torch.long)
        return logits.index_fill_(-1, suppressed, _SUPPRESSED_LOGIT)

    def head_values(self, name: str, hidden: Tensor) -> Tensor:
        """The head on hidden states ``[..., hidden]``; returns ``[...]`` in float32."""
        values: Tensor = self.heads[name](hidden.float()).squeeze(-1)
        return values

    # ---- inside ------------------------------------------------------------------------------

    def _encoded(self, images: Sequence[EncodedImage]) -> Any:
        """Encoded images in the form in which the family's own encoder hands them on."""
        features: Any = [image.features for image in images]
        if self._one_tensor:
            features = torch.cat(features)
        layers = [list(layer) for layer in zip(*(image.layers for image in images), strict=True)]
        if not layers:
            return self._encoder_output(pooler_output=features)
        return self._encoder_output(pooler_output=features, deepstack_features=layers)

    def _image_features(self, inputs: dict[str, Tensor]) -> Features:
        dtype = self.base.get_input_embeddings().weight.dtype
        moved = {
            key: value.to(self.device, dtype if value.is_floating_point() else None)
            for key, value in inputs.items()
        }
        output = self.base.get_image_features(**moved)
        self._encoder_output = type(output)
        self._one_tensor = isinstance(output.pooler_output, Tensor)
        return Features(
            list(output.pooler_output), getattr(output, "deepstack_features", None) or ()
        )

    def _target_pattern(self) -> str:
        # Bare names such as q_proj would also match the vision tower.
        names = "|".join(self._linear_names)
        return rf"{re.escape(self._decoder_name)}\..*\.({names})"

    def _inject(self, name: str, config: LoraConfig) -> None:
        config.inference_mode = False
        with warnings.catch_warnings():  # PEFT asks for an attribute that transformers renamed
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated")
            if self._peft is None:
                self._peft = PeftModel(self.base, config, adapter_name=name)
            else:
                self._peft.add_adapter(name, config)
        self._layers = [m for m in self.base.modules() if isinstance(m, BaseTunerLayer)]
        for layer in self._layers:
            add_once(layer, name)
        self.base.requires_grad_(False)


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

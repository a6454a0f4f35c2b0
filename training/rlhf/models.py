"""One vision-language model in memory: prompts and images in, hidden states and logits out.

What it computes is always under the adapter that ``using`` names, or bare; how adapters and heads
are kept is ``training.rlhf.adapters``.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from transformers import GenerationConfig
from transformers.modeling_outputs import BaseModelOutputWithPooling

from training.rlhf import bases, library_internals
from training.rlhf.adapters import AdaptedBase
from training.rlhf.contract import ModelSettings
from training.rlhf.data import Batch
from training.rlhf.devices import own_device
from training.rlhf.errors import ModelError
from training.rlhf.graphs import Graphs, graphs_for
from training.rlhf.images import EncodedImage, Features, ImageEncoder
from training.rlhf.memory import Fit
from training.rlhf.prompts import ChatFormat

_SUPPRESSED_LOGIT = -1e9  # finite, so that p * log p is 0 and not NaN


class VisionLanguageModel(AdaptedBase):
    """A base model with its adapters and heads, and its processor."""

    def __init__(
        self,
        base: Any,
        processor: Any,
        *,
        device: torch.device,
        pad_images_to_square: bool = False,
        max_pixels: int = 0,
        sharded: bool = False,
    ) -> None:
        """``base`` is any image-text-to-text model of transformers that takes encoded images."""
        super().__init__(base, device=device, sharded=sharded)
        self.processor = processor
        self.fits: dict[str, Fit] = {}
        forward_inputs = set(inspect.signature(base.model.forward).parameters)
        if library_internals.ENCODED_IMAGES not in forward_inputs:
            raise ModelError(f"{type(base).__name__} does not take images encoded beforehand")
        # Models with their own three-dimensional positions work them out from the token types.
        self._own_positions = library_internals.has_own_positions(base)
        self._token_types = bases.token_types_input(forward_inputs)
        self.takes_any_mask = bases.takes_any_mask(base)
        self._encoder_output: type[Any] = BaseModelOutputWithPooling
        self._one_tensor = False

        tokenizer = getattr(processor, "tokenizer", None)
        if tokenizer is None:
            raise ModelError(
                "the base model's processor reads no pictures: processor_config.json names no "
                f"processor that transformers knows, but {type(processor).__name__}"
            )
        image_token = bases.image_token(processor)
        self.chat = ChatFormat(
            processor, image_token=image_token, stop_ids=bases.stop_ids(base, tokenizer)
        )
        self.stop_ids = self.chat.stop_ids
        self.cut_ids: tuple[int, ...] = ()
        """Tokens behind which a response is cut without having ended."""
        self._generation_config = base.generation_config
        base.generation_config = GenerationConfig()  # no family's sampling defaults creep in
        self.pad_id: int = (
            tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.chat.end_id
        )
        self.suppressed_ids = bases.suppressed_ids(base, tokenizer, image_token, self.stop_ids)
        # There once: brought to a GPU for each token, they would be waited for at each.
        self._suppressed = torch.tensor(self.suppressed_ids, dtype=torch.long, device=device)
        self.graphs: Callable[[], Graphs] | None = None
        """What captures the decoding steps of a rollout, if anything does."""
        self.encode_images = ImageEncoder(
            processor,
            self._image_features,
            placeholder=image_token,
            pad_to_square=pad_images_to_square,
            max_pixels=max_pixels,
        )

    @classmethod
    def load(cls, name: str, settings: ModelSettings) -> VisionLanguageModel:
        """Load a folder or hub id; ModelError says what is wrong with it."""
        device = own_device()
        base, processor = bases.load(name, settings, device)
        model = cls(
            base,
            processor,
            device=device,
            pad_images_to_square=settings.pad_images_to_square,
            max_pixels=settings.max_pixels,
            sharded=settings.sharded,
        )
        model.graphs = graphs_for(model, settings)
        # Gemma's text for an image is another token than those that its features replace.
        token = getattr(base.config, "image_token_id", None)
        model.encode_images.try_out(model.chat.image_token_id if token is None else token)
        return model

    def fit(self, purpose: str) -> Fit:
        """How many rows fit in memory, remembered for each kind of work."""
        return self.fits.setdefault(purpose, Fit(purpose))

    @property
    def layer_count(self) -> int:
        count: int = self.base.config.get_text_config().num_hidden_layers
        return count

    @property
    def checkpoints_activations(self) -> bool:
        """Whether a forward pass with gradients is computed again in the backward pass."""
        return self.computes_again or library_internals.checkpoints_activations(self.base)

    def speaks_like(self, other: VisionLanguageModel) -> bool:
        """Whether a token means the same text to both."""
        mine, theirs = self.processor.tokenizer, other.processor.tokenizer
        return bool(mine.get_vocab() == theirs.get_vocab())

    def save_base(self, folder: Path, language: Mapping[str, Tensor]) -> None:
        """Write the whole model with its processor, loadable by transformers alone.

        What is in pieces is taken from ``language``, which has the ``language_parameters`` whole.
        """
        state = {
            name: language[name] if isinstance(tensor, DTensor) else tensor
            for name, tensor in self.base.state_dict().items()
        }
        empty, self.base.generation_config = self.base.generation_config, self._generation_config
        try:
            self.base.save_pretrained(str(folder), state_dict=state)
        finally:
            self.base.generation_config = empty
        with library_internals.images_only():
            self.processor.save_pretrained(str(folder))

    # ---- forward passes ----------------------------------------------------------------------

    def hidden_states(self, batch: Batch) -> Tensor:
        """Last hidden states ``[batch, sequence, hidden]``, no vocabulary logits built."""
        return self.run(**self.positioned_inputs(batch), use_cache=False)

    def run(self, **inputs: Any) -> Tensor:
        """Last hidden states for keyword arguments of the base's forward."""
        with self.pieces.passing() if self.pieces else contextlib.nullcontext():
            hidden: Tensor = self.base.model(**inputs).last_hidden_state
        return hidden

    def positioned_inputs(self, batch: Batch) -> dict[str, Any]:
        """``model_inputs`` with positions that padding does not count in.

        Causal attention needs no mask where padding is only behind the tokens. Then positions just
        go on there: repeated ones would mean several packed sequences to transformers.
        """
        inputs = self.model_inputs(batch)
        if self._own_positions and batch.shown:
            return inputs
        mask = batch.attention_mask
        first = mask.argmax(-1, keepdim=True)  # what is padded in front
        places = torch.arange(mask.shape[1], device=mask.device)
        inputs["position_ids"] = self.shifted_positions((places - first).clamp(min=0), None)
        if not bool(first.any()):  # attention is faster without
            inputs["attention_mask"] = None
        return inputs

    def additive(self, allowed: Tensor) -> Tensor:
        """A mask to add to attention scores, of any shape, from one that is true or false."""
        dtype = self.base.get_input_embeddings().weight.dtype
        mask = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
        return mask.masked_fill_(~allowed, torch.finfo(dtype).min)

    def position_shift(self, batch: Batch) -> Tensor | None:
        """What the images of ``batch``, which was run last, moved the positions behind them by.

        ``[batch, 1]``; None where nothing is moved: the model keeps what it knew of images before.
        """
        moves = self._own_positions and batch.shown
        return library_internals.position_shift(self.base) if moves else None

    def shifted_positions(self, positions: Tensor, shift: Tensor | None) -> Tensor:
        """Positions ``[batch, sequence]`` of text behind images as this family counts them."""
        if not self._own_positions:
            return positions
        return (positions if shift is None else positions + shift).expand(3, *positions.shape)

    def model_inputs(self, batch: Batch) -> dict[str, Any]:
        """Keyword arguments of the base's forward or generate; fresh objects at each call."""
        images = batch.shown
        inputs: dict[str, Any] = {
            "input_ids": batch.input_ids,
            "attention_mask": batch.attention_mask,
        }
        if images:
            inputs[library_internals.ENCODED_IMAGES] = {"image": self._encoded(images)}
        for name in images[0].extras if images else ():
            inputs[name] = torch.cat([image.extras[name] for image in images]).to(self.device)
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
        return logits.index_fill_(-1, self._suppressed, _SUPPRESSED_LOGIT)

    # ---- inside ------------------------------------------------------------------------------

    def _encoded(self, images: Sequence[EncodedImage]) -> Any:
        """Encoded images in the form in which the family's own encoder hands them on."""
        features: Any = [self._here(image.features) for image in images]
        if self._one_tensor:
            features = torch.cat(features)
        layers = [
            [self._here(part) for part in layer]
            for layer in zip(*(image.layers for image in images), strict=True)
        ]
        return library_internals.encoder_output(self._encoder_output, features, layers)

    def _here(self, features: Tensor) -> Tensor:
        """On the device; from pinned memory the copy goes on beside what is computed."""
        return features.to(self.device, non_blocking=True)

    def _image_features(self, inputs: dict[str, Tensor]) -> Features:
        dtype = self.base.get_input_embeddings().weight.dtype
        moved = {
            key: value.to(self.device, dtype if value.is_floating_point() else None)
            for key, value in inputs.items()
        }
        output = self.base.get_image_features(**moved)
        self._encoder_output = type(output)
        self._one_tensor = isinstance(output.pooler_output, Tensor)
        return Features(list(output.pooler_output), library_internals.deeper_features(output))

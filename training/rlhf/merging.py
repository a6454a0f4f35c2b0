"""An adapter written into float32 weights while it samples, and taken out again exactly.

Nothing is subtracted, which would leave rounding errors behind: the merged weights are other
tensors, and the base's own are put back. It takes the memory of the adapted layers once more. In
bfloat16 nothing is merged: the sum would lose the adapter (``AdaptedBase.can_merge``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import Tensor, nn

from training.rlhf.models import VisionLanguageModel


class MergedAdapter:
    """``adapter`` of ``model``, merged as it is now; to be made anew once it has changed."""

    def __init__(self, model: VisionLanguageModel, adapter: str | None) -> None:
        self._model = model
        self._adapter = adapter
        self._merged: list[tuple[nn.Parameter, Tensor]] = []
        if adapter is not None and model.can_merge(adapter):
            self._merged = [
                (weight, weight.data + update) for weight, update in model.merge_parts(adapter)
            ]

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Run the base with the merged weights, or under the adapter where it cannot be merged."""
        own = [weight.data for weight, _ in self._merged]
        try:
            for weight, merged in self._merged:
                weight.data = merged
            with self._model.using(None if self._merged else self._adapter):
                yield
        finally:
            for (weight, _), before in zip(self._merged, own, strict=True):
                weight.data = before

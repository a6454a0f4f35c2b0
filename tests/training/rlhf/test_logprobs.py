"""Logits come a few at a time, and everything is as if they had come at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from training.rlhf import logprobs
from training.rlhf.logprobs import token_entropy, token_logprobs
from training.rlhf.models import VisionLanguageModel

ROWS, COLUMNS, AT_ONCE = 3, 8, 4


class Largest(TorchDispatchMode):
    """The most logits that any one tensor holds; the head's own weights are none."""

    def __init__(self, head: Tensor) -> None:
        super().__init__()
        self.tokens, self._head = 0, head

    def __torch_dispatch__(self, call: Any, types: Any, given: Any = (), more: Any = None) -> Any:
        result = call(*given, **(more or {}))
        vocabulary = len(self._head)
        shape = result.shape if isinstance(result, Tensor) else ()
        if shape[-1:] == (vocabulary,) and shape != self._head.T.shape:
            self.tokens = max(self.tokens, result.numel() // vocabulary)
        return result


def inputs(model: VisionLanguageModel) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    hidden = torch.randn(ROWS, COLUMNS, model.hidden_size, requires_grad=True)
    mask = (torch.arange(COLUMNS) < torch.tensor([8, 3, 6])[:, None]).long()
    return hidden, torch.randint(5, 20, (ROWS, COLUMNS)), mask


@pytest.mark.parametrize("head_learns", [False, True])
def test_in_groups_they_are_equal_with_their_gradients(
    model: VisionLanguageModel, monkeypatch: pytest.MonkeyPatch, head_learns: bool
) -> None:
    """Those of the hidden states and, where the whole model is trained, of the language head."""
    head = model.base.get_output_embeddings().weight.requires_grad_(head_learns)
    vocabulary = len(head)
    found = []
    for numbers, most in ((10**9, 17), (AT_ONCE * vocabulary, AT_ONCE)):
        monkeypatch.setattr(logprobs, "_NUMBERS", numbers)
        hidden, ids, mask = inputs(model)
        with Largest(head) as largest:
            result = token_logprobs(model, hidden, ids, mask, temperature=0.7)
            gradients = torch.autograd.grad(
                (result * (1 + ids)).sum(), [hidden, head] if head_learns else [hidden]
            )
            entropy = token_entropy(model, hidden, mask, temperature=0.7)
        assert largest.tokens == most
        assert result[mask == 0].abs().sum() == entropy[mask == 0].abs().sum() == 0
        found.append((result, entropy, *gradients))
    hidden, ids, mask = inputs(model)
    whole = torch.log_softmax(model.logits(hidden, temperature=0.7), -1)
    expected = whole.gather(-1, ids[..., None]).squeeze(-1) * mask
    [slope] = torch.autograd.grad((expected * (1 + ids)).sum(), hidden)
    torch.testing.assert_close(found[0][0], expected)
    torch.testing.assert_close(found[0][2], slope)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    "of",
    [
        lambda *given: token_logprobs(*given, temperature=1.0),
        lambda model, hidden, _, mask: token_entropy(model, hidden, mask, temperature=1.0),
    ],
)
def test_without_a_token_there_is_nothing(
    model: VisionLanguageModel, of: Callable[..., Tensor]
) -> None:
    hidden, ids, mask = inputs(model)
    assert torch.equal(of(model, hidden, ids, mask * 0), torch.zeros(ROWS, COLUMNS))

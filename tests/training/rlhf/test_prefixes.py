from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from training.rlhf.contract import LoraSettings, Turn
from training.rlhf.data import TokenSequence
from training.rlhf.errors import ModelError
from training.rlhf.models import VisionLanguageModel
from training.rlhf.prefixes import (
    continued,
    family_batches,
    hidden_behind_prefixes,
    owners_of,
    prefix_of,
)
from training.rlhf.rollout import response_hidden

QUESTIONS = ("what ?", "is there a red circle and a cross ?")


@pytest.fixture
def adapted(model: VisionLanguageModel) -> VisionLanguageModel:
    model.add_adapter("policy", LoraSettings(rank=4, alpha=8))
    with torch.no_grad():
        for parameter in model.trainable("policy").values():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.train_only(model.trainable("policy"))
    return model


@pytest.fixture
def prompts(adapted: VisionLanguageModel, image_files: list[Path]) -> list[TokenSequence]:
    return [
        adapted.chat.prompt((Turn(speaker="human", text=f"<image>\n{question}"),), image)
        for question, image in zip(QUESTIONS, adapted.encode_images(image_files[:2]), strict=True)
    ]


def responses(*texts: str, model: VisionLanguageModel) -> tuple[Tensor, Tensor]:
    ids = [model.chat.response_ids(text) for text in texts]
    width = max(map(len, ids))
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])
    return torch.tensor([row + [model.pad_id] * (width - len(row)) for row in ids]), mask


def test_rows_behind_shared_prompts_equal_whole_sequences(
    adapted: VisionLanguageModel, prompts: list[TokenSequence]
) -> None:
    """Hidden states and gradients, with prompts and responses of unlike lengths."""
    ids, mask = responses("a red circle", "no", "blue", "a cross . yes", model=adapted)
    rows = [prompts[0], prompts[1], prompts[1], prompts[0]]
    torch.manual_seed(0)
    weights = torch.randn(*ids.shape, adapted.hidden_size) * mask[..., None]
    parameters = list(adapted.trainable("policy").values())

    shared = response_hidden(adapted, "policy", rows, ids, mask)
    gradients = torch.autograd.grad((shared * weights).sum(), parameters)
    whole = torch.zeros_like(shared)
    for row, prompt in enumerate(rows):
        length = int(mask[row].sum())
        part = response_hidden(
            adapted, "policy", [prompt], ids[[row], :length], mask[[row], :length]
        )
        whole[row, :length] = part[0]
    expected = torch.autograd.grad((whole * weights).sum(), parameters)
    torch.testing.assert_close(shared * mask[..., None], whole, atol=2e-5, rtol=1e-5)
    for one, two in zip(gradients, expected, strict=True):
        torch.testing.assert_close(one, two, atol=2e-4, rtol=1e-3)


@torch.no_grad()
def test_each_prompt_goes_through_the_model_once(
    adapted: VisionLanguageModel, prompts: list[TokenSequence], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, mask = responses("no", "yes", "blue", "red", model=adapted)
    passes: list[torch.Size] = []
    original = adapted.base.model.forward

    def forward(*, input_ids: Tensor, **options: object) -> object:
        passes.append(input_ids.shape)
        return original(input_ids=input_ids, **options)

    monkeypatch.setattr(adapted.base.model, "forward", forward)
    response_hidden(adapted, "policy", [prompts[0]] * 3 + [prompts[1]], ids, mask)
    assert passes == [(2, len(prompts[1]) - 1), (4, 1)]


@torch.no_grad()
def test_a_prefix_belongs_to_its_adapter(
    adapted: VisionLanguageModel, prompts: list[TokenSequence]
) -> None:
    ids, mask = responses("a red circle", model=adapted)
    with adapted.using("policy"):
        prefix = prefix_of(adapted, prompts[:1])
        own = continued(adapted, prefix, [0], ids, mask)
    with adapted.using(None):
        other = continued(adapted, prefix, [0], ids, mask)
        bare = continued(adapted, prefix_of(adapted, prompts[:1]), [0], ids, mask)
    assert not torch.allclose(own, bare, atol=1e-2)
    assert not torch.allclose(other, bare, atol=1e-2)


@torch.no_grad()
def test_rest_of_a_sequence_equals_that_of_the_whole(
    adapted: VisionLanguageModel, prompts: list[TokenSequence]
) -> None:
    endings = ("a red circle rate :", "no rate :", "yes rate :")
    rows = [
        TokenSequence(
            prompt.ids + adapted.chat.response_ids(text), prompt.image, shared=len(prompt)
        )
        for prompt, text in zip([prompts[0], prompts[0], prompts[1]], endings, strict=True)
    ]
    shared, lengths = hidden_behind_prefixes(adapted, rows, [0, 0, 1])
    whole, all_lengths = hidden_behind_prefixes(adapted, rows, [0, 1, 2])
    assert lengths.tolist() == [5, 3, 3]
    assert all_lengths.tolist() == [len(row) for row in rows]
    for row in range(3):
        end = int(all_lengths[row])
        expected = whole[row, end - int(lengths[row]) : end]
        torch.testing.assert_close(shared[row, : lengths[row]], expected, atol=2e-5, rtol=1e-5)


def test_gradient_checkpointing_is_refused(
    adapted: VisionLanguageModel, prompts: list[TokenSequence]
) -> None:
    adapted.base.activation_checkpointing_enable()
    with pytest.raises(ModelError, match="gradient checkpointing"):
        prefix_of(adapted, prompts)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [("", ([], [])), ("aab", ([0, 2], [0, 0, 1])), ("abca", ([0, 1, 2], [0, 1, 2, 0]))],
)
def test_owners(keys: str, expected: tuple[list[int], list[int]]) -> None:
    assert owners_of(keys) == expected


@pytest.mark.parametrize(
    ("keys", "lengths", "size", "tokens", "expected"),
    [
        ("abc", [3, 9, 5], 2, 0, [[1, 2], [0]]),  # nothing in common: longest first
        ("abab", [3, 9, 5, 1], 2, 0, [[1, 3], [2, 0]]),  # together, longest family first
        ("aabcc", [9, 8, 7, 6, 5], 4, 0, [[0, 1, 2], [3, 4]]),  # a family is not torn apart
        ("aaaaab", [1, 2, 3, 4, 5, 9], 2, 0, [[5], [4, 3], [2, 1], [0]]),  # unless it must
        ("", [], 3, 0, []),
        ("abcd", [2, 9, 3, 4], 3, 9, [[1], [3, 2], [0]]),  # so many tokens with padding
        ("aaab", [9, 2, 2, 4], 9, 8, [[0], [1, 2], [3]]),  # whoever is the longest of them
    ],
)
def test_batches_keep_families_together(
    keys: str, lengths: list[int], size: int, tokens: int, expected: list[list[int]]
) -> None:
    assert list(family_batches(keys, lengths, size, tokens)) == expected

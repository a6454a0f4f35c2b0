"""Which tokens of a reward model's responses people marked, and how well it can tell.

Only responses that somebody looked through count: where nobody did, no token is known to be right.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from training.rlhf.contract import CORRECTION, Mark, PreferencePair
from training.rlhf.data import TokenSequence
from training.rlhf.evaluation import area_under_curve, sequences_of
from training.rlhf.prompts import ChatFormat
from training.rlhf.reward_model import RewardModel
from training.rlhf.rollout import Responses
from training.rlhf.run_directory import Run


def is_false(mark: Mark) -> bool:
    """Whether people marked the words as false; others are what a correction put in."""
    return mark.kind != CORRECTION


def marked_tokens(
    reward_model: RewardModel,
    pairs: Sequence[PreferencePair],
    both: Sequence[tuple[TokenSequence, TokenSequence]],
) -> tuple[Tensor, Tensor]:
    """1 on marked tokens, and 1 on tokens of responses looked through: ``[2 * pairs, longest]``.

    The rows are output_1 and output_2 of each pair in turn, as ``both`` has their sequences.
    """
    width = max(sequence.response for sequences in both for sequence in sequences)
    marked, known = torch.zeros(2 * len(pairs), width), torch.zeros(2 * len(pairs), width)
    for place, (pair, sequences) in enumerate(zip(pairs, both, strict=True)):
        outputs = ((pair.output_1, pair.marks_1), (pair.output_2, pair.marks_2))
        for number, ((text, marks), sequence) in enumerate(zip(outputs, sequences, strict=True)):
            if marks is None:
                continue
            row, length = 2 * place + number, sequence.response
            false = list(filter(is_false, marks))
            flags = reward_model.model.chat.marked_tokens(text, false)[:length]
            marked[row, :length] = torch.tensor(flags, dtype=marked.dtype)
            known[row, :length] = 1
    return marked, known


def mark_figures(
    run: Run,
    reward_model: RewardModel,
    pairs: Sequence[PreferencePair],
    *,
    batch_size: int,
    tokens: int = 0,
) -> dict[str, float]:
    """How well the tokens that people marked are told from the others; nothing without marks.

    ``mark_auc`` is the chance that a marked token is given a higher one than another;
    ``mark_precision`` the share of marked ones among as many tokens of the highest chances as are
    marked, beside ``marked_share``, which guessing would reach. ``batch_size`` counts pairs,
    ``tokens`` is as in ``score_by_head``.
    """
    looked = [pair for pair in pairs if pair.marks_1 is not None or pair.marks_2 is not None]
    if not looked:
        return {}
    both = sequences_of(run, reward_model, looked)
    marked, known = marked_tokens(reward_model, looked, both)
    sequences = [sequence for pair in both for sequence in pair]
    _, chances = reward_model.score_tokens(sequences, batch_size=2 * batch_size, tokens=tokens)
    truth, chance = marked[known > 0].bool(), chances[known > 0]
    if not truth.any() or truth.all():
        return {}
    highest = chance.argsort(descending=True)[: int(truth.sum())]
    return {
        "mark_auc": area_under_curve(chance, truth),
        "mark_precision": float(truth[highest].float().mean()),
        "marked_share": float(truth.float().mean()),
        "marked_tokens": float(truth.sum()),
    }


def chances_of_tokens(
    chat: ChatFormat,
    responses: Responses,
    rated_by: ChatFormat,
    sequences: Sequence[TokenSequence],
    chances: Tensor,
) -> Tensor:
    """``chances`` of a reward model's tokens, laid on the tokens that were sampled.

    Both are the same tokens as a rule. Where a response is read back as other tokens than it was
    sampled as, or by the tokenizer of another base, each sampled token has the highest chance of
    the characters it adds. Returns ``[count, response]``, 0 on end tokens and padding.
    """
    found = torch.zeros(responses.ids.shape)
    for row, (sequence, text) in enumerate(zip(sequences, responses.texts, strict=True)):
        ids = responses.ids[row][responses.mask[row].bool()].tolist()
        read = sequence.ids[sequence.shared : sequence.shared + sequence.response]
        if chat is rated_by and ids[: len(read)] == read:
            found[row, : len(read)] = chances[row, : len(read)]
            continue
        of_characters = torch.zeros(len(text))
        places = rated_by.response_offsets(text)[: sequence.response]
        for (start, end), chance in zip(places, chances[row].tolist(), strict=False):
            of_characters[start:end] = of_characters[start:end].clamp(min=chance)
        ends = [0, *(len(chat.decode(ids[: count + 1])) for count in range(len(ids)))]
        for place, (start, end) in enumerate(pairwise(ends)):
            if start < end:
                found[row, place] = of_characters[start:end].max() if start < len(text) else 0.0
    return found

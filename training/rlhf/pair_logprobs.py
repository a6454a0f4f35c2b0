"""What the policy says of both answers of a pair, and what the first policy said of them.

The reference never changes: it is measured once, before the first step, and kept beside the
checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from training.rlhf import checkpoints, identity
from training.rlhf.adapters import POLICY
from training.rlhf.answers import Example, answered, padded
from training.rlhf.contract import DpoSettings, PreferencePair
from training.rlhf.data import batches, length_batches
from training.rlhf.finite import check_finite
from training.rlhf.logprobs import token_logprobs
from training.rlhf.models import VisionLanguageModel
from training.rlhf.processes import processes
from training.rlhf.rollout import response_hidden
from training.rlhf.run_directory import Run
from training.rlhf.tensors import read_tensors, write_tensors

PAIRS_IN_MEMORY = 64
_REFERENCE = "reference"
_REFERENCE_LOGPROBS = "logprobs.safetensors"


def reference_logprobs(
    run: Run, model: VisionLanguageModel, pairs: Sequence[PreferencePair]
) -> Tensor:
    """Log-probabilities of ``output_1`` and ``output_2`` under the first policy, ``[count, 2]``.

    Those of an earlier start are taken again when they are of this very policy and these pairs.
    """
    settings = run.spec.settings
    assert isinstance(settings, DpoSettings)
    key = (
        f"{identity.of_policy(run, model, POLICY)} "
        f"{identity.of_pairs(run, pairs, max_length=settings.max_length)} {marked_weight(settings)}"
    )
    kept = run.checkpoints / _REFERENCE / _REFERENCE_LOGPROBS
    if kept.is_file():
        found = read_tensors(kept).get(key)
        if found is not None:
            return found
    run.events.stage("measuring the reference")
    model.base.eval()
    reference = torch.zeros(len(pairs), 2)
    size = processes().part_size(PAIRS_IN_MEMORY, len(pairs))
    for group in processes().share([*batches(range(len(pairs)), size)]):
        run.check_termination()
        _measure(run, model, settings, pairs, group, reference)
    processes().sum_(reference)
    if processes().leads:
        with checkpoints.atomic_folder(kept.parent) as folder:
            write_tensors(folder / kept.name, {key: reference})
    return reference


@torch.no_grad()
def _measure(
    run: Run,
    model: VisionLanguageModel,
    settings: DpoSettings,
    pairs: Sequence[PreferencePair],
    rows: Sequence[int],
    reference: Tensor,
) -> None:
    """Fill in ``rows`` of ``reference``."""
    examples = dict(
        zip(rows, examples_of(run, model, settings, [pairs[r] for r in rows]), strict=True)
    )

    def put(some: list[int]) -> None:
        part = [examples[row] for row in some]
        found = pair_logprobs(model, part, marked_weight=marked_weight(settings))
        reference[some] = found.cpu()

    for places in parts_of([examples[row] for row in rows], settings):
        model.fit("measuring preferences").in_parts([rows[place] for place in places], put)


def parts_of(examples: Sequence[tuple[Example, ...]], settings: DpoSettings) -> Iterator[list[int]]:
    """Which pairs go through the model at once, the longest first."""
    lengths = [len(answers) * max(map(len, answers)) for answers in examples]
    return length_batches(lengths, settings.micro_batch_size, settings.micro_batch_tokens)


def marked_weight(settings: DpoSettings) -> float | None:
    """How ``pair_logprobs`` is asked to weigh marked tokens; None for plain sums."""
    return settings.marked_weight if settings.dense else None


def examples_of(
    run: Run,
    model: VisionLanguageModel,
    settings: DpoSettings,
    pairs: Sequence[PreferencePair],
    damaged: Sequence[PreferencePair] = (),
) -> list[tuple[Example, ...]]:
    """Both outputs of each pair behind their prompt; facts are never shown.

    With ``damaged``, the same pairs with damaged images, the better output behind those is third.
    """
    images = model.encode_images([run.image_files(pair) for pair in pairs])
    others = model.encode_images([run.image_files(pair) for pair in damaged])
    examples: list[tuple[Example, ...]] = []
    for row, (pair, image) in enumerate(zip(pairs, images, strict=True)):
        outputs, marks = (pair.output_1, pair.output_2), pair.telling_marks
        shown = answered(model, pair, image, outputs, max_length=settings.max_length, marks=marks)
        if damaged:
            shown += answered(
                model,
                damaged[row],
                others[row],
                [pair.better],
                max_length=settings.max_length,
                marks=[marks[pair.preference - 1]],
            )
        examples.append(tuple(shown))
    return examples


def dense_logprob(logprobs: Tensor, mask: Tensor, marked: Tensor, *, gamma: float) -> Tensor:
    """Log-probability per token with marked tokens weighing ``gamma`` times, ``[batch]``.

    ``(sum over unmarked + gamma * sum over marked) / (n_unmarked + gamma * n_marked)``: RLHF-V's
    dense DPO (Yu et al. 2023, arXiv 2312.00849, eq. 4). All tensors are ``[batch, response]``;
    without a mark it is the mean log-probability, without a token 0.
    """
    weights = mask.to(logprobs.dtype) * (1 + (gamma - 1) * marked.to(logprobs.dtype))
    counted = torch.where(mask.bool(), logprobs, torch.zeros_like(logprobs))
    total = weights.sum(1)
    return (counted * weights).sum(1) / torch.where(total > 0, total, torch.ones_like(total))


def pair_logprobs(
    model: VisionLanguageModel,
    pairs: Sequence[tuple[Example, ...]],
    *,
    marked_weight: float | None = None,
) -> Tensor:
    """Log-probability of each of a pair's answers, ``[count, answers of a pair]``.

    Summed over its tokens, or with a ``marked_weight`` as ``dense_logprob`` weighs them. It is the
    model's own: at temperature 1 and with no token left out.
    """
    examples = [example for pair in pairs for example in pair]
    answers = padded(model, examples)
    prompts = [example.prompt for example in examples]
    hidden = response_hidden(model, POLICY, prompts, answers.ids, answers.mask)
    logprobs = token_logprobs(
        model, hidden, answers.ids, answers.mask, temperature=1.0, suppress=False
    )
    check_finite("log-probability", logprobs, [example.record for example in examples])
    if marked_weight is None:
        found = logprobs.sum(1)
    else:
        found = dense_logprob(logprobs, answers.mask, answers.marked, gamma=marked_weight)
    return found.view(len(pairs), -1)

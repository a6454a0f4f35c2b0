"""What the policy says of both answers of a pair, and what the first policy said of them.

The reference never changes: it is measured once, before the first step, and kept beside the
checkpoints.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from training.rlhf import checkpoints, identity
from training.rlhf.adapters import POLICY
from training.rlhf.answers import Example, answered, padded
from training.rlhf.contract import DpoSettings, PreferencePair
from training.rlhf.data import batches
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
        f"{identity.of_pairs(run, pairs, max_length=settings.max_length)}"
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
        reference[some] = pair_logprobs(model, [examples[row] for row in some]).cpu()

    for part in batches(rows, settings.micro_batch_size):
        model.fit("measuring preferences").in_parts(part, put)


def examples_of(
    run: Run, model: VisionLanguageModel, settings: DpoSettings, pairs: Sequence[PreferencePair]
) -> list[tuple[Example, Example]]:
    """Both outputs of each pair behind their prompt; facts are never shown."""
    images = model.encode_images([run.image_files(pair) for pair in pairs])
    examples = []
    for pair, image in zip(pairs, images, strict=True):
        outputs = (pair.output_1, pair.output_2)
        one, two = answered(model, pair, image, outputs, max_length=settings.max_length)
        examples.append((one, two))
    return examples


def pair_logprobs(model: VisionLanguageModel, pairs: Sequence[tuple[Example, Example]]) -> Tensor:
    """Log-probability of each answer, summed over its tokens, ``[count, 2]``.

    It is the model's own: at temperature 1 and with no token left out.
    """
    examples = [example for pair in pairs for example in pair]
    answers = padded(model, examples)
    prompts = [example.prompt for example in examples]
    hidden = response_hidden(model, POLICY, prompts, answers.ids, answers.mask)
    logprobs = token_logprobs(
        model, hidden, answers.ids, answers.mask, temperature=1.0, suppress=False
    )
    check_finite("log-probability", logprobs, [example.record for example in examples])
    return logprobs.sum(1).view(-1, 2)

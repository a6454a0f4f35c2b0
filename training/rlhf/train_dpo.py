"""DPO: the policy learns from preference pairs directly, with neither reward model nor sampling.

The reference is the policy that the run begins with. It never changes, so what it says of every
answer is computed once, before the first step, and kept beside the checkpoints.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from training.rlhf import checkpoints
from training.rlhf.answers import Example, answered, padded
from training.rlhf.contract import DpoSettings, Kind, PreferencePair
from training.rlhf.data import EndlessOrder, batches, by_length
from training.rlhf.errors import Interrupted
from training.rlhf.losses import direct_preference_loss
from training.rlhf.models import ADAPTER_WEIGHTS, VisionLanguageModel
from training.rlhf.optimization import Optimizer, seed_step, steps_in
from training.rlhf.rollout import response_hidden, token_logprobs
from training.rlhf.run_directory import Run

POLICY = "policy"
SAMPLE_PAIRS = 4
_REFERENCE = "reference"
_REFERENCE_LOGPROBS = "logprobs.safetensors"
_PAIRS_IN_MEMORY = 64


def train_dpo(run: Run) -> None:
    """Train in ``run`` from its newest checkpoint on, and leave the policy in ``final/``."""
    settings = run.spec.settings
    assert isinstance(settings, DpoSettings)

    # 1. Records, model, optimiser
    run.events.stage("reading preference pairs")
    pairs = run.records(PreferencePair)
    held_out = run.records(PreferencePair, "held_out") if run.has_records("held_out") else []
    run.events.stage("loading the base model")
    model = _model(run, settings)
    parameters = model.trainable(POLICY)
    model.train_only(parameters)
    total = steps_in(settings.epochs, len(pairs), settings.batch_size, settings.max_steps)
    optimizer = Optimizer(parameters, settings.optimizer, total_steps=total)

    # 2. The reference: the policy as it is now, before any checkpoint is read
    reference = _reference(run, model, [*pairs, *held_out])
    learner = _Learner(run, settings, model, optimizer)

    # 3. Where to begin
    done = 0
    checkpoint = run.newest_checkpoint()
    if checkpoint is not None:
        done = checkpoint.step
        weights = load_file(checkpoint.folder / POLICY / ADAPTER_WEIGHTS)
        model.load_adapter_weights(POLICY, weights)
        optimizer.load_state(checkpoint.optimizer(POLICY))

    # 4. Steps
    run.events.stage("training the policy on preferences")
    order = EndlessOrder(len(pairs), run.spec.seed)
    metrics: dict[str, float] = {}
    while done < total:
        seed_step(run.spec.seed, Kind.DPO, done)
        chosen = [i for _, i in order.slice(done * settings.batch_size, settings.batch_size)]
        metrics = learner.step([pairs[i] for i in chosen], reference[chosen], number=done)
        done += 1
        if held_out and (done % settings.evaluate_every == 0 or done == total):
            metrics |= learner.evaluate(held_out, reference[len(pairs) :], step=done)
        run.events.metrics(done, metrics)
        run.events.progress(done, total)
        stop = run.terminating  # asked once: it may change between saving and stopping
        if done % settings.checkpoint_every == 0 or done == total or stop:
            learner.save(step=done)
        if stop and done < total:
            raise Interrupted

    # 5. What others begin from
    with checkpoints.atomic_folder(run.final) as folder:
        model.save_adapter(POLICY, folder)
    run.events.checkpoint(done, run.final.name, final=True, metrics=metrics)


def _model(run: Run, settings: DpoSettings) -> VisionLanguageModel:
    seed_step(run.spec.seed, Kind.DPO, -1)
    model = VisionLanguageModel.load(run.base_model(), run.spec.model)
    if run.spec.policy_adapter is not None:
        model.load_adapter(POLICY, run.folder(run.spec.policy_adapter, field="policy_adapter"))
    else:
        model.add_adapter(POLICY, settings.lora)
    return model


def _reference(run: Run, model: VisionLanguageModel, pairs: Sequence[PreferencePair]) -> Tensor:
    """Log-probabilities of ``output_1`` and ``output_2`` under the first policy, ``[count, 2]``.

    Those of an earlier start are taken again when they are of these very pairs.
    """
    settings = run.spec.settings
    assert isinstance(settings, DpoSettings)
    digest = hashlib.sha256(repr([(p.id, p.output_1, p.output_2) for p in pairs]).encode())
    kept = run.checkpoints / _REFERENCE / _REFERENCE_LOGPROBS
    if kept.is_file():
        found = load_file(kept).get(digest.hexdigest())
        if found is not None:
            return found
    run.events.stage("measuring the reference")
    model.base.eval()
    rows = []
    for group in batches(pairs, _PAIRS_IN_MEMORY):
        run.check_termination()
        examples = _examples(run, model, settings, group)
        with torch.no_grad():
            for part in batches(examples, settings.micro_batch_size):
                model.fit("measuring preferences").in_parts(
                    part, lambda some: rows.append(pair_logprobs(model, some).cpu())
                )
    reference = torch.cat(rows)
    with checkpoints.atomic_folder(kept.parent) as folder:
        save_file({digest.hexdigest(): reference}, folder / kept.name)
    return reference


def _examples(
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
    logprobs, _ = token_logprobs(
        model, hidden, answers.ids, answers.mask, temperature=1.0, suppress=False
    )
    return logprobs.sum(1).view(-1, 2)


class _Learner:
    """What is needed to make a step, measure, and save."""

    def __init__(
        self, run: Run, settings: DpoSettings, model: VisionLanguageModel, optimizer: Optimizer
    ) -> None:
        self.run, self.settings, self.model, self.optimizer = run, settings, model, optimizer

    def step(
        self, pairs: Sequence[PreferencePair], reference: Tensor, *, number: int
    ) -> dict[str, float]:
        """One optimiser step over ``pairs``; ``reference`` is ``[count, 2]``."""
        self.model.base.train(self.settings.lora.dropout > 0)
        sums: dict[str, float] = {}
        self._in_parts(pairs, reference, sums, learn=True)
        norm = self.optimizer.clip()
        rate = self.optimizer.step(number)
        metrics = {f"train/{name}": value for name, value in sums.items()}
        return metrics | {"train/gradient_norm": norm, "train/learning_rate": rate}

    @torch.no_grad()
    def evaluate(
        self, pairs: Sequence[PreferencePair], reference: Tensor, *, step: int
    ) -> dict[str, float]:
        """Figures of held-out pairs, the first of them shown with their implicit rewards."""
        self.model.base.eval()
        sums: dict[str, float] = {}
        for start in range(0, len(pairs), _PAIRS_IN_MEMORY):
            part = slice(start, start + _PAIRS_IN_MEMORY)
            found: dict[str, float] = {}
            self._in_parts(pairs[part], reference[part], found, learn=False)
            _add(sums, found, len(pairs[part]) / len(pairs))
        self._show_samples(pairs[:SAMPLE_PAIRS], reference[:SAMPLE_PAIRS], step=step)
        return {f"held_out/{name}": value for name, value in sums.items()}

    def _in_parts(
        self,
        pairs: Sequence[PreferencePair],
        reference: Tensor,
        sums: dict[str, float],
        *,
        learn: bool,
    ) -> None:
        """Figures of all pairs, and gradients to ``learn`` from; longest pairs first."""
        examples = _examples(self.run, self.model, self.settings, pairs)
        lengths = [max(len(one), len(two)) for one, two in examples]

        def part(rows: list[int]) -> None:
            loss, figures = self._loss(
                [pairs[row] for row in rows], [examples[row] for row in rows], reference[rows]
            )
            weight = len(rows) / len(pairs)
            if learn:
                self.optimizer.accumulate(loss * weight)
            _add(sums, figures, weight)

        fit = self.model.fit("training on preferences" if learn else "measuring preferences")
        for rows in batches(by_length(lengths), self.settings.micro_batch_size):
            fit.in_parts(rows, part)

    def _loss(
        self,
        pairs: Sequence[PreferencePair],
        examples: Sequence[tuple[Example, Example]],
        reference: Tensor,
    ) -> tuple[Tensor, dict[str, float]]:
        settings = self.settings
        logprobs = pair_logprobs(self.model, examples)
        better = torch.tensor([p.preference - 1 for p in pairs], device=logprobs.device)[:, None]
        ratios = logprobs - reference.to(logprobs.device)
        chosen, rejected = ratios.gather(1, better)[:, 0], ratios.gather(1, 1 - better)[:, 0]
        labels = [p.share_for_better if settings.soft_labels else 1.0 for p in pairs]
        loss = direct_preference_loss(
            chosen,
            rejected,
            beta=settings.beta,
            labels=torch.tensor(labels, device=logprobs.device),
            label_smoothing=settings.label_smoothing,
        )
        if settings.answer_coefficient > 0:
            tokens = [len(e[p.preference - 1].ids) for e, p in zip(examples, pairs, strict=True)]
            per_token = logprobs.gather(1, better)[:, 0] / torch.tensor(tokens).to(logprobs)
            loss = loss - settings.answer_coefficient * per_token.mean()
        margins = settings.beta * (chosen - rejected).detach()
        right = (margins > 0).float() + 0.5 * (margins == 0).float()
        return loss, {
            "loss": float(loss.detach()),
            "accuracy": float(right.mean()),
            "margin": float(margins.mean()),
            "chosen_reward": settings.beta * float(chosen.detach().mean()),
            "rejected_reward": settings.beta * float(rejected.detach().mean()),
        }

    def _show_samples(
        self, pairs: Sequence[PreferencePair], reference: Tensor, *, step: int
    ) -> None:
        examples = _examples(self.run, self.model, self.settings, pairs)
        rewards = self.settings.beta * (pair_logprobs(self.model, examples).cpu() - reference)
        for pair, row in zip(pairs, rewards.tolist(), strict=True):
            for response, reward in zip((pair.output_1, pair.output_2), row, strict=True):
                self.run.events.sample(
                    step,
                    prompt_id=pair.id,
                    image=pair.image,
                    prompt=pair.conversation[-1].text,
                    response=response,
                    reward=reward,
                )

    def save(self, *, step: int) -> None:
        """Write a checkpoint to resume from."""
        keep = self.settings.keep_checkpoints
        with checkpoints.saving(self.run.checkpoints, step, {}, keep=keep) as folder:
            self.model.save_adapter(POLICY, folder / POLICY)
            checkpoints.save_optimizer(folder, POLICY, self.optimizer.state())
        self.run.events.checkpoint(step, f"{self.run.checkpoints.name}/step-{step}")


def _add(sums: dict[str, float], figures: dict[str, float], weight: float) -> None:
    for name, value in figures.items():
        sums[name] = sums.get(name, 0.0) + value * weight

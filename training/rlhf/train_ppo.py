"""PPO: the policy learns to give answers that the rewards approve of.

The rounds themselves are in ``experience`` and ``ppo``; here is what goes around them. The
reference is a frozen copy of the policy the run begins with, which is not the same as switching
the adapters off.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from training.rlhf import checkpoints
from training.rlhf.adapters import ADAPTER_WEIGHTS, POLICY, REFERENCE, VALUE
from training.rlhf.contract import (
    ContractError,
    Kind,
    PpoSettings,
    PromptRecord,
    check_reward_model,
)
from training.rlhf.data import EndlessOrder
from training.rlhf.errors import DataError, EngineError, Interrupted, ModelError
from training.rlhf.experience import (
    Learner,
    expect_answers,
    expect_images,
    prompts_of,
    rollout,
    scores_of,
)
from training.rlhf.models import VisionLanguageModel
from training.rlhf.optimization import Optimizer, seed_step
from training.rlhf.ppo import prompts_in, rate_steps, rounds_in, update
from training.rlhf.processes import processes
from training.rlhf.record_checks import check_facts, stand_in, usable
from training.rlhf.reward_model import RewardModel
from training.rlhf.rollout import sample
from training.rlhf.run_directory import Run
from training.rlhf.samplers import sampler_of
from training.rlhf.tensors import read_tensors

SAMPLE_PROMPTS = 4
_IN_FLOAT32 = 0.01
"""The share of ``sampler_gap_limit`` that rounding in float32 stays far below."""


def train_ppo(run: Run) -> None:
    """Train in ``run`` from its newest checkpoint on, and leave the policy in ``final/``."""
    settings = run.spec.settings
    assert isinstance(settings, PpoSettings)

    # 1. Prompts, models, optimisers
    run.events.stage("reading prompts")
    records = run.records(PromptRecord)
    run.events.stage("loading the base model")
    learner, records = prepare(run, settings, records)
    try:
        _train(run, settings, learner, records)
    finally:
        learner.sampler.close()
        for model in learner.models:
            model.encode_images.close()


def _train(run: Run, settings: PpoSettings, learner: Learner, records: list[PromptRecord]) -> None:
    total = rounds_in(settings, len(records))

    # 2. Where to begin
    done, stopped = 0, False
    metrics: dict[str, float] = {}
    checkpoint = run.newest_checkpoint()
    if checkpoint is not None:
        state = checkpoint.state()
        done, stopped, metrics = checkpoint.step, state["stopped"], state["metrics"]
        _resume(learner, checkpoint)
    saved = done
    order, count = EndlessOrder(len(records), run.spec.seed), prompts_in(settings)

    def prompts_of_round(number: int) -> list[PromptRecord]:
        return [records[i] for _, i in order.slice(number * count, count)]

    def responses_of_round(number: int) -> list[PromptRecord]:
        each = settings.responses_per_prompt
        return [record for record in prompts_of_round(number) for _ in range(each)]

    # 3. Rounds
    run.events.stage(_plan(settings, total, len(records)))
    older = None if checkpoint is None else checkpoint.folder / checkpoints.SAMPLED_WITH
    if older is not None and older.is_dir() and done < total and not stopped:
        expect_answers(learner, responses_of_round(done), round_number=done, policy=older)
    while done < total and not stopped:
        run.begin_step(done, unit="round")
        run.events.stage(f"rollout {done + 1}/{total}")
        try:
            trajectory, scores = rollout(learner, responses_of_round(done))
        except Interrupted:
            if done > saved:
                _save(learner, step=done, stopped=False, metrics=metrics)
            raise
        _watch_sampler(run, settings, trajectory.sampler_gap, first=done == 0)
        learner.sampler.close()
        if settings.rollout_ahead and done + 1 < total:
            expect_answers(learner, responses_of_round(done + 1), round_number=done + 1)
        if (following := done + 1 + settings.rollout_ahead) < total:
            expect_images(learner, prompts_of_round(following))
        metrics = update(learner, trajectory, scores, round_number=done)
        if settings.rollout_ahead:
            metrics["ppo/rounds_behind"] = float(done > 0)
        done += 1
        stopped = 0 < settings.kl_stop < metrics["ppo/kl"]
        run.events.metrics(done, metrics)
        run.events.progress(done, total, unit="round")
        if done % settings.samples_every == 0 or done in (1, total):
            _show_samples(learner, records[:SAMPLE_PROMPTS], step=done)
        last = done == total or stopped
        stop = run.terminating  # asked once: it may change between saving and stopping
        if last or done % settings.checkpoint_every == 0 or stop:
            _save(learner, step=done, stopped=stopped, metrics=metrics)
            saved = done
        if stop and not last:
            raise Interrupted

    # 4. The policy to keep
    if stopped:
        run.events.stage(f"stopped after round {done}: the KL passed {settings.kl_stop}")
    if processes().leads:
        with checkpoints.atomic_folder(run.final) as folder:
            learner.model.save_adapter(POLICY, folder)
        run.events.checkpoint(done, run.final.name, final=True, metrics=metrics)


def _watch_sampler(run: Run, settings: PpoSettings, gap: float, *, first: bool) -> None:
    """Tell people when the policy learns from tokens that were drawn with other probabilities.

    In the first round it is no policy that has moved on, but something wrong: EngineError.
    """
    limit = settings.sampler_gap_limit
    if first and run.spec.model.dtype == "float32":
        limit *= _IN_FLOAT32
    if not 0 < limit < gap:
        return
    text = (
        f"the sampler's log-probabilities are {gap:.3g} nats per token away from the policy's, "
        f"more than {limit:g} (settings.sampler_gap_limit)"
    )
    if first:
        raise EngineError(f"{text}: it is not the policy that answers")
    run.events.stage(f"warning: {text}")


def _plan(settings: PpoSettings, rounds: int, prompts: int) -> str:
    passes = rounds * prompts_in(settings) / prompts
    return f"{rounds} rounds: {passes:.3g} passes over {prompts} prompts"


def prepare(
    run: Run, settings: PpoSettings, records: list[PromptRecord]
) -> tuple[Learner, list[PromptRecord]]:
    """All that PPO holds, and those of ``records`` whose prompts are short enough."""
    reward_folder = run.reward_model()
    seed_step(run.spec.seed, Kind.PPO, -1)
    model = VisionLanguageModel.load(run.base_model(), run.spec.model)
    if run.spec.policy_adapter is not None:
        model.load_adapter(POLICY, run.folder(run.spec.policy_adapter, field="policy_adapter"))
    else:
        model.add_adapter(POLICY, settings.lora)
    reward_base = model
    if run.spec.reward_base is not None:
        reward_base = VisionLanguageModel.load(run.base_model(run.spec.reward_base), run.spec.model)
    reward_model = RewardModel.load(reward_base, reward_folder)
    _check_reward_model(settings, reward_model)
    critic = _critic(run, settings, model, reward_model, reward_folder)
    model.copy_adapter(POLICY, REFERENCE)

    policy, value = model.trainable(POLICY), critic.trainable(VALUE)
    for one in {id(model): model, id(critic): critic}.values():
        one.train_only(
            *(group for owner, group in ((model, policy), (critic, value)) if owner is one)
        )
        one.base.eval()
    model.cut_ids = model.chat.ids_that_are(settings.cut_at) if settings.cut_at else ()
    kept = _usable(run, settings, model, reward_model, records)
    shown = settings.with_facts and reward_model.template.with_facts
    check_facts(run, kept, wanted=shown)
    total = rate_steps(settings, rounds_in(settings, len(kept)))
    learner = Learner(
        run=run,
        settings=settings,
        model=model,
        reward_model=reward_model,
        policy=Optimizer(policy, settings.policy_optimizer, total_steps=total),
        value=Optimizer(value, settings.value_optimizer, total_steps=total) if value else None,
        kl_coefficient=settings.kl_coefficient,
        sampler=sampler_of(run, model, settings),
        critic=None if critic is model else critic,
    )
    return learner, kept


def _check_reward_model(settings: PpoSettings, reward_model: RewardModel) -> None:
    try:
        check_reward_model(settings, knows_marks=reward_model.knows_marks, heads=reward_model.heads)
    except ContractError as error:
        raise EngineError(str(error)) from None


def _critic(
    run: Run,
    settings: PpoSettings,
    model: VisionLanguageModel,
    reward_model: RewardModel,
    reward_folder: Path,
) -> VisionLanguageModel:
    """The model that gets the value adapter and its head, if there is a critic.

    On the reward model's base it begins as the reward model, which knows what will be rewarded.
    """
    if not settings.has_critic:
        return model
    rated_on = reward_model.model
    critic = rated_on if settings.critic_on == "reward" else model
    if critic is rated_on:
        critic.load_adapter(VALUE, reward_folder)
    else:
        critic.copy_adapter(POLICY, VALUE)  # an adapter of another base fits no other
    critic.add_head(VALUE)
    if critic is not model and not model.speaks_like(critic):
        raise ModelError(
            "settings.critic_on: reward needs bases with one vocabulary: the critic reads the "
            "tokens of the policy; say critic_on: policy"
        )
    return critic


def _usable(
    run: Run,
    settings: PpoSettings,
    model: VisionLanguageModel,
    reward_model: RewardModel,
    records: list[PromptRecord],
) -> list[PromptRecord]:
    """Records whose prompt the policy and, with its facts, the reward model can do with."""
    rated_on = reward_model.model

    def check(record: PromptRecord) -> None:
        length, limit = model.chat.prompt_text_length(record.conversation), settings.sampling
        if length > limit.query_length:
            raise DataError(
                f"its prompt has {length} text tokens, more than {limit.query_length} "
                "(settings.sampling.query_length)"
            )
        facts = record.captions if settings.with_facts else ()
        reward_model.sequences(record.conversation, stand_in(rated_on, record), [""], facts)

    models = [model] if rated_on is model else [model, rated_on]
    return usable(run, models, records, check, what="prompts")


def _show_samples(learner: Learner, records: list[PromptRecord], *, step: int) -> None:
    """The same prompts each time, answered at the training temperature with a fixed seed."""
    seed_step(learner.run.spec.seed, "samples", 0)
    prompts = prompts_of(learner, records)
    responses = sample(
        learner.model,
        prompts,
        learner.settings.sampling,
        adapter=POLICY,
        batch_size=len(prompts),
        names=[record.id for record in records],
    )
    scores = scores_of(learner, records, prompts, responses)
    rewards = scores.total.tolist()
    for record, text, reward in zip(records, responses.texts, rewards, strict=True):
        learner.run.events.sample(
            step,
            prompt_id=record.id,
            image=record.image,
            prompt=record.question,
            response=text,
            reward=reward,
            facts=record.captions,
        )


def _save(learner: Learner, *, step: int, stopped: bool, metrics: dict[str, float]) -> None:
    run = learner.run
    if not processes().leads:
        return
    state: dict[str, Any] = {
        "stopped": stopped,
        "kl_coefficient": learner.kl_coefficient,
        "metrics": metrics,
    }
    with checkpoints.saving(
        run.checkpoints,
        step,
        state,
        keep=learner.settings.keep_checkpoints,
        merit=metrics.get("ppo/reward"),
    ) as folder:
        for name, optimizer in _optimizers(learner).items():
            _owner(learner, name).save_adapter(name, folder / name)
            checkpoints.save_optimizer(folder, name, optimizer.state())
        if learner.value is not None:
            learner.valuing.save_head(VALUE, folder / VALUE)
        if (older := learner.sampler.drawn_from) is not None:
            shutil.copytree(older, folder / checkpoints.SAMPLED_WITH)
    run.events.checkpoint(step, f"{run.checkpoints.name}/step-{step}")


def _resume(learner: Learner, checkpoint: checkpoints.Checkpoint) -> None:
    for name, optimizer in _optimizers(learner).items():
        weights = read_tensors(checkpoint.folder / name / ADAPTER_WEIGHTS)
        _owner(learner, name).load_adapter_weights(name, weights)
        optimizer.load_state(checkpoint.optimizer(name))
    if learner.value is not None:
        learner.valuing.load_head(VALUE, checkpoint.folder / VALUE)
    learner.kl_coefficient = float(checkpoint.state()["kl_coefficient"])


def _owner(learner: Learner, adapter: str) -> VisionLanguageModel:
    return learner.valuing if adapter == VALUE else learner.model


def _optimizers(learner: Learner) -> dict[str, Optimizer]:
    """By the adapter that they train."""
    found = {POLICY: learner.policy}
    return found if learner.value is None else found | {VALUE: learner.value}

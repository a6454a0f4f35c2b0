"""Rewards of a trained reward model for both responses of each pair."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from training.rlhf import checkpoints
from training.rlhf.contract import PreferencePair, ResponsePair, ScoreSettings
from training.rlhf.errors import Interrupted
from training.rlhf.evaluation import figures_of, pair_rewards
from training.rlhf.heads import spread
from training.rlhf.models import VisionLanguageModel
from training.rlhf.processes import processes
from training.rlhf.record_checks import stand_in, usable
from training.rlhf.reward_model import RewardModel
from training.rlhf.run_directory import Run

SCORES = "scores.jsonl"
_PAIRS_A_TIME = 256


def score(run: Run) -> None:
    """Score the pairs of ``data/train.jsonl`` into ``final/scores.jsonl``.

    A line is ``{"id": ..., "reward_1": ..., "reward_2": ..., "probability_1": ...}``: normalised
    rewards of the outputs, and the chance in 0..1 that the first is the better one, which the
    reward model was trained to state (the sigmoid of the difference of raw rewards).

    Of an ensemble a line also has ``spread_1`` and ``spread_2``, how far its heads are apart about
    each output, in the unit of the rewards, and ``spread``, how far about their raw difference.
    """
    settings = run.spec.settings
    assert isinstance(settings, ScoreSettings)
    reward_folder = run.reward_model()
    run.events.stage("reading preference pairs")
    labelled = run.records(PreferencePair, ids_once=True) if settings.labelled else []
    pairs: Sequence[ResponsePair] = labelled or run.records(ResponsePair, ids_once=True)
    run.events.stage("loading the reward model")
    model = VisionLanguageModel.load(run.base_model(), run.spec.model)
    reward_model = RewardModel.load(model, reward_folder)

    def check(pair: ResponsePair) -> object:
        outputs, image = (pair.output_1, pair.output_2), stand_in(model, pair)
        return reward_model.sequences(pair.conversation, image, outputs, pair.captions)

    labelled = usable(run, [model], labelled, check, what="pairs") if labelled else []
    pairs = labelled or usable(run, [model], pairs, check, what="pairs")
    run.events.stage("scoring")
    lines: list[str] = []
    rewards = []
    for start in range(0, len(pairs), _PAIRS_A_TIME):
        if run.terminating:
            raise Interrupted
        group = pairs[start : start + _PAIRS_A_TIME]
        raw = pair_rewards(run, reward_model, group, batch_size=settings.batch_size)
        rewards.append(raw)
        lines += [json.dumps(line) + "\n" for line in _lines(reward_model, group, raw)]
        run.events.progress(len(lines), len(pairs), unit="pair")
    if not processes().leads:
        return
    with checkpoints.atomic_folder(run.final) as folder:
        (folder / SCORES).write_text("".join(lines), encoding="utf-8")
    figures = figures_of(reward_model, torch.cat(rewards), labelled) if labelled else {}
    run.events.checkpoint(
        len(lines),
        run.final.name,
        final=True,
        metrics={f"score/{name}": value for name, value in figures.items()},
    )


def _lines(
    reward_model: RewardModel, pairs: Sequence[ResponsePair], raw: Tensor
) -> Iterator[dict[str, str | float]]:
    """What is said of each pair; ``raw`` are its rewards ``[count, 2, heads]``."""
    normalised = reward_model.normalised(raw.mean(-1)).tolist()
    difference = raw[:, 0] - raw[:, 1]
    first_better = torch.sigmoid(difference.mean(-1)).tolist()
    apart = [reward_model.spread(raw).tolist(), spread(difference).tolist()]
    for row, (pair, (one, two)) in enumerate(zip(pairs, normalised, strict=True)):
        line = {"reward_1": one, "reward_2": two, "probability_1": first_better[row]}
        if reward_model.heads > 1:
            line |= {"spread_1": apart[0][row][0], "spread_2": apart[0][row][1]}
            line["spread"] = apart[1][row]
        yield {"id": pair.id, **line}

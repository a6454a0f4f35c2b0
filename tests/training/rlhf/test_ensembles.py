"""Several heads on one backbone: what they say, what each learns from, and what spread costs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import MakeRun, events
from tests.training.rlhf.resuming import (
    assert_same_weights,
    interrupt_at,
    last_metrics,
    terminate,
)
from tests.training.rlhf.test_scoring import records, responses
from training.rlhf import heads
from training.rlhf.__main__ import main
from training.rlhf.contract import (
    Kind,
    ModelSettings,
    OptimizerSettings,
    PpoSettings,
    PreferencePair,
    RewardSettings,
)
from training.rlhf.errors import ModelError
from training.rlhf.evaluation import ensemble_metrics
from training.rlhf.losses import preference_loss
from training.rlhf.models import VisionLanguageModel
from training.rlhf.reward_model import ADAPTER, DESCRIPTION, RewardModel
from training.rlhf.reward_step import bootstrap_weights
from training.rlhf.scoring import score

STEPS = {
    "batch_size": 4,
    "micro_batch_size": 2,
    "epochs": 9.0,
    "max_steps": 4,
    "evaluate_every": 2,
    "checkpoint_every": 2,
}
FORMS = pytest.mark.parametrize("form", ["linear", "mlp"])


def tensor(*values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def train(directory: Path) -> int:
    kind = json.loads((directory / "spec.json").read_text())["kind"]
    return main([kind, "--run-dir", str(directory)])


def pairs(count: int) -> list[PreferencePair]:
    return [PreferencePair.from_json(one) for one in tiny.preference_records(["x.png"] * count)]


# ---- the loss ------------------------------------------------------------------------------------


def test_loss_of_several_heads_is_the_mean_of_theirs_each_with_its_own_pairs() -> None:
    """By hand: head 1 sees the first pair twice, head 2 both once."""
    chosen, rejected = tensor([1.0, 0.0], [0.0, 2.0]), tensor([0.0, 0.0], [0.0, 1.0])
    weights = tensor([2.0, 1.0], [0.0, 1.0])
    found = preference_loss(chosen, rejected, weights=weights, center_coefficient=0.0)
    one, half = 0.313262, 0.693147  # -log sigmoid of 1 and of 0
    assert float(found) == pytest.approx(((2 * one + 0 * half) / 2 + (half + one) / 2) / 2)


def test_margins_and_labels_are_those_of_the_pairs_for_every_head() -> None:
    chosen, rejected = torch.randn(3, 2), torch.randn(3, 2)
    options = {"margin": tensor(0.1, 0.5, 1.0), "labels": tensor(1.0, 0.6, 0.5)}
    each = [preference_loss(chosen[:, k], rejected[:, k], **options) for k in range(2)]
    whole = preference_loss(chosen, rejected, **options)
    assert float(whole) == pytest.approx(float(sum(each)) / 2, rel=1e-6)


def test_heads_are_centred_each_for_itself() -> None:
    """Two heads that are off in opposite directions do not excuse each other."""
    chosen = tensor([1.0, -1.0], [3.0, -3.0]).requires_grad_()
    rejected = torch.zeros(2, 2)
    plain = preference_loss(chosen, rejected, center_coefficient=0.0)
    mean = preference_loss(chosen, rejected, center_coefficient=1.0)
    assert float((mean - plain).detach()) == pytest.approx(2.0)
    square = preference_loss(
        chosen, rejected, center_coefficient=0.0, center_rewards_coefficient=0.5
    )
    assert float((square - plain).detach()) == pytest.approx(0.5 * (1 + 1 + 9 + 9) / 4)
    [moved] = torch.autograd.grad(square - plain, chosen)
    assert torch.equal(moved.sign(), chosen.sign())  # a step against it brings them to 0


def test_square_centring_is_trls() -> None:
    """``-logsigmoid(c - r).mean() + coefficient * mean((c + r) ** 2)`` of its reward trainer."""
    chosen, rejected = torch.randn(5), torch.randn(5)
    expected = -functional.logsigmoid(chosen - rejected).mean()
    expected = expected + 0.01 * torch.mean((chosen + rejected) ** 2)
    found = preference_loss(
        chosen, rejected, center_coefficient=0.0, center_rewards_coefficient=0.01
    )
    assert float(found) == pytest.approx(float(expected), rel=1e-6)


# ---- what each head learns from ------------------------------------------------------------------


def test_each_head_has_a_bootstrap_sample_of_its_own_that_stays() -> None:
    many = [replace(one, id=f"pair-{n}") for n, one in enumerate(pairs(1) * 4000)]
    weights = bootstrap_weights(many, 3, seed=1)
    assert torch.equal(weights[100:200], bootstrap_weights(many[100:200], 3, seed=1))
    assert not torch.equal(weights, bootstrap_weights(many, 3, seed=2))
    for head in range(3):  # Poisson(1): 37 % in no sample, mean and variance 1
        counts = Counter(weights[:, head].tolist())
        assert counts[0.0] / 4000 == pytest.approx(0.368, abs=0.03)
        assert float(weights[:, head].mean()) == pytest.approx(1, abs=0.06)
        assert float(weights[:, head].var()) == pytest.approx(1, abs=0.12)
    assert abs(float(torch.corrcoef(weights.T)[0, 1])) < 0.06
    assert bootstrap_weights(many, 1, seed=1).unique().tolist() == [1.0]


@FORMS
def test_heads_begin_and_end_apart_and_learn(make_run: MakeRun, form: str) -> None:
    rate = OptimizerSettings(learning_rate=0.01)
    ensemble = {"head": form, "ensemble": 3, "optimizer": rate}
    directory = make_run(Kind.REWARD, **STEPS | {"max_steps": 12} | ensemble, held_out=4)
    assert train(directory) == 0
    metrics = last_metrics(events(directory))
    assert metrics[12]["train/loss"] < metrics[1]["train/loss"]
    assert metrics[1]["train/spread"] > 0 and metrics[12]["held_out/spread"] > 0
    assert metrics[12]["held_out/accuracy"] == 1.0
    weights = load_file(directory / "final" / "head.safetensors")
    last = (
        weights["weight"]
        if form == "linear"
        else torch.cat([weights[f"heads.{n}.2.weight"] for n in range(3)])
    )
    assert last.shape[0] == 3 and len(last.unique(dim=0)) == 3


@FORMS
def test_heads_are_drawn_apart(model: VisionLanguageModel, form: heads.Form) -> None:
    RewardModel.fresh(model, RewardSettings(head=form, ensemble=4))
    values = model.values_by_head(ADAPTER, torch.randn(5, model.hidden_size))
    assert values.shape == (5, 4)
    assert float(heads.spread(values).min()) > 0


@FORMS
def test_micro_batches_add_up_to_the_batch(make_run: MakeRun, form: str) -> None:
    found = []
    for size in (1, 4):
        directory = make_run(
            Kind.REWARD,
            f"micro-{size}",
            **STEPS | {"micro_batch_size": size, "max_steps": 1},
            center_coefficient=0.0,
            center_rewards_coefficient=0.1,
            head=form,
            ensemble=2,
        )
        assert train(directory) == 0
        found.append(last_metrics(events(directory))[1])
    assert found[1] == pytest.approx(found[0], rel=1e-4)


@FORMS
def test_resumed_training_equals_uninterrupted_training(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    settings = STEPS | {"head": form, "ensemble": 3}
    whole = make_run(Kind.REWARD, "whole", **settings, held_out=4)
    parts = make_run(Kind.REWARD, "parts", **settings, held_out=4)
    assert train(whole) == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3, terminate)
        assert train(parts) == 143
    assert train(parts) == 0
    assert_same_weights(whole / "final", parts / "final")
    assert last_metrics(events(whole)) == last_metrics(events(parts))
    descriptions = [(d / "final" / DESCRIPTION).read_text() for d in (whole, parts)]
    assert descriptions[0] == descriptions[1]


# ---- what a trained one says ---------------------------------------------------------------------


@pytest.fixture
def ensemble(make_run: MakeRun) -> Path:
    """A trained reward model of three heads."""
    directory = make_run(Kind.REWARD, "ensemble", **STEPS, ensemble=3)
    assert train(directory) == 0
    return directory / "final"


def load(base: Path, folder: Path) -> RewardModel:
    model = VisionLanguageModel.load(str(base), ModelSettings(dtype="float32"))
    return RewardModel.load(model, folder)


def test_spread_is_the_deviation_of_the_heads_without_their_offsets(
    model: VisionLanguageModel,
) -> None:
    made = RewardModel.fresh(model, RewardSettings(ensemble=2))
    told = tensor([[1.0, 5.0], [3.0, 7.0]], [[2.0, 10.0], [2.0, 2.0]])  # [pairs, 2, heads]
    assert made.spread(told).flatten().tolist() == [2, 2, 4, 0]
    made.normalise(told)
    # heads' means are 2 and 6, means of the heads 3, 5, 6 and 2
    assert made.mean == 4 and made.offsets == (-2, 2)
    assert made.deviation == pytest.approx(2.5**0.5)
    expected = [0, 0, 2, 2]  # |difference - 4| / 2
    found = made.spread(told) * made.deviation
    assert found.flatten().tolist() == pytest.approx(expected)
    normalised = made.normalised(told.mean(-1))
    assert float(normalised.mean()) == pytest.approx(0, abs=1e-6)
    assert float(normalised.std(correction=0)) == pytest.approx(1)


def test_saved_heads_say_what_they_said_and_padding_changes_nothing(
    base_folder: Path, ensemble: Path, image_files: list[Path]
) -> None:
    one, two = load(base_folder, ensemble), load(base_folder, ensemble)
    assert one.heads == 3 and len(one.offsets) == 3
    [record] = records(1)
    [image] = one.model.encode_images(image_files[:1])
    texts = ["red", "a blue cross and a red circle"]
    sequences = one.sequences(record.conversation, image, texts, record.captions)
    together = one.score_by_head(sequences, batch_size=2)
    alone = torch.cat([two.score_by_head([each], batch_size=1) for each in sequences])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    assert torch.equal(one.score(sequences, batch_size=2), together.mean(-1))


def test_a_reward_model_of_one_linear_head_is_written_and_read_as_ever(
    base_folder: Path, reward_folder: Path
) -> None:
    weights = load_file(reward_folder / "head.safetensors")
    width = weights["weight"].shape[1]
    assert {name: tuple(t.shape) for name, t in weights.items()} == {
        "weight": (1, width),
        "bias": (1,),
    }
    description = json.loads((reward_folder / DESCRIPTION).read_text())
    assert "offsets" not in description
    found = load(base_folder, reward_folder)
    head = found.model.heads[ADAPTER]
    assert isinstance(head, torch.nn.Linear) and torch.equal(head.weight, weights["weight"])
    hidden = torch.randn(7, width)
    plain = head(hidden).squeeze(-1)
    assert torch.equal(found.model.head_values(ADAPTER, hidden), plain)
    assert found.spread(plain[:, None]).tolist() == [0.0] * 7


def test_default_settings_draw_the_head_that_they_always_drew(model: VisionLanguageModel) -> None:
    torch.manual_seed(5)
    model.add_adapter(ADAPTER, RewardSettings().lora)
    plain = torch.nn.Linear(model.hidden_size, 1)
    torch.manual_seed(5)
    model.add_adapter("again", RewardSettings().lora)
    model.add_head("again", zero=False)
    assert torch.equal(model.heads["again"].weight, plain.weight)


@pytest.mark.parametrize("wrong", ["two offsets", "another width", "more heads than before"])
def test_heads_that_do_not_fit_are_refused(base_folder: Path, ensemble: Path, wrong: str) -> None:
    weights = load_file(ensemble / "head.safetensors")
    description = json.loads((ensemble / DESCRIPTION).read_text())
    if wrong == "two offsets":
        description["offsets"] = [0.0, 0.0]
        (ensemble / DESCRIPTION).write_text(json.dumps(description))
    elif wrong == "another width":
        save_file(
            {**weights, "weight": weights["weight"][:, 1:].contiguous()},
            ensemble / "head.safetensors",
        )
    else:
        more = {name: torch.cat([t, t[:1] + 5]) for name, t in weights.items()}
        save_file(more, ensemble / "head.safetensors")
    with pytest.raises(ModelError, match=r"offsets|does not fit"):
        load(base_folder, ensemble)


def test_scores_tell_the_spread_of_each_output_and_of_their_difference(
    make_run: MakeRun, ensemble: Path, reward_folder: Path, base_folder: Path
) -> None:
    directory = make_run(Kind.SCORE, "score", reward_model=ensemble)
    assert train(directory) == 0
    lines = [json.loads(x) for x in (directory / "final" / "scores.jsonl").read_text().splitlines()]
    found = load(base_folder, ensemble)
    assert len(lines) == 12
    for line in lines:
        assert line["spread_1"] > 0 and line["spread_2"] > 0 and line["spread"] >= 0
        # the deviation of a difference is at most the sum of the deviations
        most = (line["spread_1"] + line["spread_2"]) * found.deviation
        assert line["spread"] <= most + 1e-5
    single = make_run(Kind.SCORE, "single", reward_model=reward_folder)
    assert train(single) == 0
    first = json.loads((single / "final" / "scores.jsonl").read_text().splitlines()[0])
    assert set(first) == {"id", "reward_1", "reward_2", "probability_1"}


def test_whether_spread_tells_errors_is_measured() -> None:
    """Two of four pairs are wrong; heads differ about one of them more than about all others."""
    difference = tensor([1.0, 1.0], [-1.0, -3.0], [-0.2, -0.2], [2.0, 1.0])
    rewards = torch.stack([difference, torch.zeros(4, 2)], 1)
    found = ensemble_metrics(rewards, torch.tensor([True] * 4))
    assert found["spread"] == pytest.approx((0 + 1 + 0 + 0.5) / 4)
    # wrong: spreads 1 and 0; right: 0 and 0.5. Won: 1>0, 1>0.5, 0=0 half, 0<0.5
    assert found["spread_error_auc"] == pytest.approx(2.5 / 4)
    # small |mean|: wrong 2 and 0.2; right 1 and 1.5. Won: 0.2 twice
    assert found["doubt_error_auc"] == pytest.approx(2 / 4)
    assert set(ensemble_metrics(rewards, torch.tensor([True, False, False, True]))) == {"spread"}


# ---- PPO -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 2.0])
def test_pessimism_takes_exactly_its_share_of_the_spread(
    base_folder: Path, ensemble: Path, image_files: list[Path], coefficient: float
) -> None:
    rated = load(base_folder, ensemble)
    [record] = records(1)
    [image] = rated.model.encode_images(image_files[:1])
    prompt = rated.model.chat.prompt(record.conversation, image)
    answers = responses("a red circle", "a blue cross", finished=[True] * 2)
    found = score(
        rated, PpoSettings(ensemble_pessimism=coefficient), [record] * 2, [prompt] * 2, answers
    )
    sequences = [
        rated.sequences(record.conversation, image, [text], record.captions)[0]
        for text in answers.texts
    ]
    by_head = rated.score_by_head(sequences, batch_size=2) - torch.tensor(rated.offsets)
    spread = by_head.std(1, correction=0) / rated.deviation
    assert found.spread is not None and float(spread.min()) > 0
    torch.testing.assert_close(found.spread, spread, atol=1e-5, rtol=1e-5)
    without = found.reward + found.symbolic + found.length + found.no_end
    torch.testing.assert_close(found.total, without - coefficient * spread, atol=1e-4, rtol=1e-5)


ROUND = {"steps": 1, "rollout_batch_size": 4, "batch_size": 4, "update_epochs": 1}


@pytest.mark.parametrize("advantage", ["gae", "leave_one_out", "group"])
def test_every_policy_learner_may_be_pessimistic(
    make_run: MakeRun, ensemble: Path, advantage: str
) -> None:
    found = []
    for name, pessimism in (("plain", 0.0), ("pessimistic", 1.5)):
        settings = {"advantage": advantage, "responses_per_prompt": 2}
        directory = make_run(
            Kind.PPO, name, reward_model=ensemble, ensemble_pessimism=pessimism, **ROUND | settings
        )
        assert train(directory) == 0, events(directory, "error")
        found.append(last_metrics(events(directory))[1])
    plain, pessimistic = found
    assert plain["ppo/spread"] > 0
    assert plain["ppo/spread"] == pytest.approx(pessimistic["ppo/spread"])
    assert plain["ppo/score"] == pytest.approx(pessimistic["ppo/score"])
    taken = plain["ppo/reward"] - pessimistic["ppo/reward"]
    assert taken == pytest.approx(1.5 * plain["ppo/spread"], rel=1e-4)


def test_one_head_has_no_spread_to_be_pessimistic_about(
    make_run: MakeRun, reward_folder: Path
) -> None:
    directory = make_run(Kind.PPO, reward_model=reward_folder, ensemble_pessimism=1.0, **ROUND)
    assert train(directory) == 1
    [failure] = events(directory, "error")
    assert (
        "settings.ensemble_pessimism: needs a reward model with several heads" in failure["message"]
    )

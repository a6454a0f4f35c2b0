"""A base of which the language model is in 4 bits.

It works on a CPU, too, only slowly; so everything but speed is tried here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from tests.training.rlhf import tiny
from tests.training.rlhf.conftest import LORA, MakeRun, events
from tests.training.rlhf.families import FAMILIES
from tests.training.rlhf.resuming import assert_same_weights
from tests.training.rlhf.test_families import TWO_ROUNDS, TWO_STEPS
from training.rlhf import bases
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind, ModelSettings, Turn
from training.rlhf.errors import ModelError
from training.rlhf.models import VisionLanguageModel
from training.rlhf.reward_model import RewardModel

NF4 = ModelSettings(dtype="bfloat16", quantization="nf4")


@pytest.mark.parametrize("family", FAMILIES)
def test_eyes_projector_and_head_of_every_family_are_kept_whole(
    family: str, tmp_path: Path
) -> None:
    folder = FAMILIES[family](tmp_path / family)
    model = VisionLanguageModel.load(str(folder), ModelSettings(dtype="float32"))
    linear = {n for n, m in model.base.named_modules() if isinstance(m, torch.nn.Linear)}
    kept = set(bases.kept_whole(str(folder)))
    model.add_adapter("policy", LORA)
    adapted = {name.partition(".lora_")[0] for name in model.trainable("policy")}
    assert "lm_head" in kept
    assert kept | adapted == linear and not kept & adapted


def test_without_the_package_the_run_says_so(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    directory = in_four_bits(make_run(Kind.SFT, **TWO_STEPS))
    assert main(["sft", "--run-dir", str(directory)]) == 1
    [failure] = events(directory, "error")
    assert failure["message"] == "quantization nf4 needs the bitsandbytes package"


def test_a_base_in_four_bits_is_not_trained_itself(make_run: MakeRun) -> None:
    directory = in_four_bits(make_run(Kind.SFT, **TWO_STEPS, full_model=True), dtype="float32")
    assert main(["sft", "--run-dir", str(directory)]) == 1
    [failure] = events(directory, "error")
    assert failure["message"] == (
        "spec.json, settings.full_model: a 4-bit base cannot be trained itself"
    )


def test_only_the_language_model_is_in_four_bits(base_folder: Path) -> None:
    model = VisionLanguageModel.load(str(base_folder), NF4)
    kinds = {n: type(m).__name__ for n, m in model.base.named_modules()}
    four_bit = {name for name, kind in kinds.items() if kind == "Linear4bit"}
    assert four_bit == {n for n in kinds if n.endswith("_proj") and "language_model" in n}
    model.add_adapter("policy", LORA)
    assert not model.can_merge("policy")
    with pytest.raises(ModelError, match="nowhere"):
        VisionLanguageModel.load("nowhere", NF4)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated")  # PEFT's own
def test_whole_engine(make_run: MakeRun, base_folder: Path, image_files: list[Path]) -> None:
    made = {"sft": in_four_bits(make_run(Kind.SFT, "sft", **TWO_STEPS))}
    assert main(["sft", "--run-dir", str(made["sft"])]) == 0, events(made["sft"], "error")
    made["reward"] = in_four_bits(make_run(Kind.REWARD, "reward", held_out=2, **TWO_STEPS))
    assert main(["reward", "--run-dir", str(made["reward"])]) == 0, events(made["reward"], "error")
    for name in ("ppo", "again"):
        made[name] = in_four_bits(
            make_run(
                Kind.PPO,
                name,
                policy=made["sft"] / "final",
                reward_model=made["reward"] / "final",
                **TWO_ROUNDS,
            )
        )
        assert main(["ppo", "--run-dir", str(made[name])]) == 0, events(made[name], "error")
    assert_same_weights(made["ppo"] / "final", made["again"] / "final")

    model = VisionLanguageModel.load(str(base_folder), NF4)
    rewards = RewardModel.load(model, made["reward"] / "final")  # golden inputs score as they did
    turns = (Turn(speaker="human", text="<image>\nwhat is there ?"),)
    [image] = model.encode_images(image_files[:1])
    scores = rewards.score(rewards.sequences(turns, image, ["a red circle", "no"]), batch_size=2)
    assert bool(scores.isfinite().all())


@pytest.fixture(scope="module")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As wide as one block of four-bit weights, which the kernels of some processors demand."""
    folder = tmp_path_factory.mktemp("wide") / "base"
    tiny.model(hidden_size=64).save_pretrained(folder)
    tiny.processor().save_pretrained(folder)
    return folder


def in_four_bits(directory: Path, *, dtype: str = "bfloat16") -> Path:
    """The run with its base in 4 bits."""
    file = directory / "spec.json"
    spec = json.loads(file.read_text())
    spec["model"] = {"dtype": dtype, "quantization": "nf4"}
    file.write_text(json.dumps(spec))
    return directory


def test_gradients_pass_layers_in_four_bits_on_every_processor(base_folder: Path) -> None:
    """PPO learns in evaluation mode, where some processors would take a product without any."""
    model = VisionLanguageModel.load(str(base_folder), NF4)
    model.base.eval()
    layers = [m for m in model.base.modules() if type(m).__name__ == "Linear4bit"]
    assert layers and all(not layer.support_avx512bf16_for_cpu for layer in layers)
    x = torch.randn(3, 64)
    layers[0](x)  # first without gradient, after which the layer would be laid out anew
    x.requires_grad_()
    layers[0](x).sum().backward()
    assert x.grad is not None and bool(x.grad.any())

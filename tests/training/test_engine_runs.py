"""The real engine through execution: a release of people's choices becomes models, in a chain."""

import io
import json
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from django.conf import settings as settings_of_site
from django.urls import reverse
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file

from annotation.exporting import make_release
from config.version import code_version
from tests.training.factories import make_common
from tests.training.labelled import labelled_project
from tests.training.rlhf import tiny
from tests.training.test_views import logged_in
from training.checkpoints import registry
from training.models import Checkpoint, Run, State
from training.runs import execution, requests
from training.runs.requests import Step

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.chain]

LORA = {"rank": 4, "alpha": 4}
REWARD = {"lora": LORA, "max_steps": 2, "batch_size": 2, "micro_batch_size": 2}
PPO = {
    "lora": LORA,
    "steps": 2,
    "rollout_batch_size": 4,
    "rollout_micro_batch_size": 4,
    "batch_size": 4,
    "micro_batch_size": 4,
    "sampling": {"query_length": 32, "response_length": 6},
    "samples_every": 1,
}
SAMPLE = {"sampling": {"temperature": 1.0, "query_length": 32, "response_length": 6}}


def execute(run: Run) -> Run:
    execution.execute(run.pk)
    run.refresh_from_db()
    assert run.state == State.SUCCEEDED, run.error or run.stage
    return run


def loads_with_plain_peft(policy: Checkpoint, folder: Path) -> None:
    """What a person downloads is loaded by PEFT as it is, tensor by tensor, onto the same base."""
    assert policy.run is not None
    address = reverse("training:checkpoint-download", args=[policy.pk])
    answer = logged_in(policy.run.requested_by).get(address)
    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as packed:
        packed.extractall(folder)
    described = json.loads((folder / "adapter_config.json").read_text())
    assert described["base_model_name_or_path"] == "tiny"
    assert str(settings_of_site.RUNS_ROOT) not in (folder / "README.md").read_text()
    with warnings.catch_warnings():
        # PEFT asks transformers for a name that transformers is about to drop.
        warnings.simplefilter("ignore", FutureWarning)
        loaded = PeftModel.from_pretrained(tiny.model(), folder)
    found = get_peft_model_state_dict(loaded, save_embedding_layers=False)
    stored = load_file(folder / "adapter_model.safetensors")
    assert found.keys() == stored.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in stored.items())
    assert any(tensor.any() for name, tensor in stored.items() if "lora_B" in name)


def test_a_release_becomes_reward_model_policy_and_new_pairs(tmp_path: Path) -> None:
    project = labelled_project()
    release = make_release(project, held_out_share=0.3)
    base = registry.register_base("tiny", folder=tiny.save_base(tmp_path / "tiny"))
    common = make_common(project, base=base, release=release, preset="small-world")
    steps = [
        Step("reward", changes=REWARD),
        Step("ppo", changes=PPO),
        Step("sample", changes=SAMPLE, options={"prompts": 5}),
        Step("score_comparisons", options={"comparisons": 50, "decided": True}),
    ]
    chain = requests.request_chain(common, steps, name="All of it")
    reward, ppo, sample, scores = chain.runs.order_by("pk")

    execute(reward)
    made = reward.checkpoints.get()
    assert made.metrics["held_out/accuracy"] >= 0
    assert made.code_version == code_version()
    assert reward.metrics.filter(name__endswith="loss").exists()

    execute(ppo)
    assert ppo.reward_model == reward.checkpoints.get()
    names = {file["name"] for file in ppo.checkpoints.get().files}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names
    loads_with_plain_peft(ppo.checkpoints.get(), tmp_path / "downloaded")
    example = ppo.samples.first()
    assert example is not None
    assert example.image.partition(".")[0] in {p.image.sha256 for p in project.prompts.all()}

    before = project.comparisons.count()
    execute(sample)
    assert sample.policy == ppo.checkpoints.get()
    fresh = project.comparisons.filter(source=f"run {sample.pk}")
    assert project.comparisons.count() - before == fresh.count() <= 5
    assert {row.model_1 for row in fresh} <= {ppo.checkpoints.get().name}

    execute(scores)
    assert scores.reward_model == reward.checkpoints.get()
    assert scores.metrics.get(name="scored/comparisons").value == project.comparisons.count()
    assert {row.reward_score.run for row in fresh} == {scores}
    assert scores.reward_scores.filter(trained_on=True).count() == release.counts["train"]

    scoring = requests.request_run(
        make_common(
            project,
            base=base,
            release=release,
            reward_model=reward.checkpoints.get(),
            preset="small-world",
        ),
        Step("score"),
    )
    execute(scoring)
    assert 0 <= scoring.metrics.get(name="score/agreement").value <= 1


@pytest.mark.parametrize("kind", ["sft", "dpo"])
def test_a_policy_is_trained_on_the_release_itself(kind: str, tmp_path: Path) -> None:
    project = labelled_project()
    release = make_release(project, held_out_share=0.3)
    base = registry.register_base("tiny", folder=tiny.save_base(tmp_path / "tiny"))
    common = make_common(project, base=base, release=release, preset="small-world")
    changes = {"lora": LORA, "max_steps": 2, "batch_size": 2, "micro_batch_size": 2}
    run = execute(requests.request_run(common, Step(kind, changes=changes)))
    made = run.checkpoints.get()
    assert made.kind == "policy"
    assert made.metrics["held_out/loss"] > 0

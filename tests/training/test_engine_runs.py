"""The real engine through execution: a release of people's choices becomes models, in a chain."""

from pathlib import Path
from typing import Any

import pytest

from annotation.exporting import make_release
from tests.training.factories import make_common
from tests.training.labelled import labelled_project
from tests.training.rlhf import tiny
from training import execution, registry, requests
from training.models import Run, State
from training.requests import Step

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


@pytest.fixture(autouse=True)
def two_threads(settings: Any) -> None:
    settings.TRAINER_THREADS = 2


def execute(run: Run) -> Run:
    execution.execute(run.pk)
    run.refresh_from_db()
    assert run.state == State.SUCCEEDED, run.error or run.stage
    return run


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
    assert reward.checkpoints.get().metrics["held_out/accuracy"] >= 0
    assert reward.metrics.filter(name__endswith="loss").exists()

    execute(ppo)
    assert ppo.reward_model == reward.checkpoints.get()
    names = {file["name"] for file in ppo.checkpoints.get().files}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names
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

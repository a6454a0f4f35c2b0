"""Kinds whose trainer is ``fake_trainer.py``: all of execution is real but the training."""

import json
import sys
from pathlib import Path
from typing import Any

from annotation import exporting
from config.json_fields import JSONField
from tests.training import fake_trainer
from training.models import Attempt, Checkpoint, Run
from training.rlhf.contract import Kind
from training.runs import kinds
from training.runs.kinds import OptionsForm, RunKind


class ScriptForm(OptionsForm):
    script = JSONField(required=False, initial=dict, help_text="What the trainer does.")

    def options(self) -> dict[str, Any]:
        return {"script": self.cleaned_data["script"] or {}}


class FakeReward(RunKind):
    name = "fake_reward"
    title = "Fake reward model"
    engine = Kind.REWARD
    produces = Checkpoint.Kind.REWARD_MODEL
    options_form = ScriptForm

    def write_data(self, run: Run, directory: Path) -> None:
        (directory / "data/script.json").write_text(json.dumps(run.options["script"]))

    def command(self, run: Run, directory: Path) -> list[str]:
        return [sys.executable, fake_trainer.__file__, str(directory)]


class FakePpo(FakeReward):
    name = "fake_ppo"
    title = "Fake PPO"
    engine = Kind.PPO
    produces = Checkpoint.Kind.POLICY
    takes = frozenset({"policy", "reward_model"})
    needs = frozenset({"reward_model"})


class FakeFromRelease(FakeReward):
    """Gets a release's records and images, and counts what lay in the run directory."""

    name = "fake_from_release"
    title = "Fake training on a release"
    needs = frozenset({"release"})

    def write_data(self, run: Run, directory: Path) -> None:
        assert run.release is not None
        exporting.write_training_data(run.release, directory)
        super().write_data(run, directory)

    def finish(self, run: Run, attempt: Attempt, directory: Path) -> None:
        run.metrics.create(name="images", step=0, value=len(list(directory.glob("images/*"))))


class FakeEvaluation(FakeReward):
    """Produces no checkpoint; fails to take its results in when its script says so."""

    name = "fake_evaluation"
    title = "Fake evaluation"
    engine = Kind.GENERATE
    produces = ""
    takes = frozenset({"policy"})
    chain_order = 50

    def finish(self, run: Run, attempt: Attempt, directory: Path) -> None:
        if run.options["script"].get("refuse"):
            raise ValueError("an answer is missing")
        run.metrics.create(name="answers", step=0, value=len(list(directory.glob("final/*"))))


def register_all() -> None:
    for kind in (FakeReward(), FakePpo(), FakeFromRelease(), FakeEvaluation()):
        kinds.register(kind)

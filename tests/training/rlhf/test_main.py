from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.rlhf.conftest import MakeRun, events
from training.rlhf.__main__ import main
from training.rlhf.contract import Kind, RunSpec
from training.rlhf.presets import preset_spec

REPOSITORY = Path(__file__).resolve().parents[3]


def start(directory: Path, kind: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "training.rlhf", kind, "--run-dir", str(directory)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_preset_writes_a_spec_to_begin_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "new"
    assert main(["ppo", "--run-dir", str(directory), "--preset", "paper"]) == 0
    spec = RunSpec.from_json(json.loads((directory / "spec.json").read_text()))
    assert spec == preset_spec(Kind.PPO, "paper")
    said = capsys.readouterr().err
    for what in ("data/train.jsonl", "images/", "base/", "adapters/reward", "the same command"):
        assert what in said


def test_preset_never_overwrites_a_spec(make_run: MakeRun) -> None:
    directory = make_run(Kind.GENERATE)
    before = (directory / "spec.json").read_text()
    assert main(["generate", "--run-dir", str(directory), "--preset", "paper"]) == 0
    assert (directory / "spec.json").read_text() == before


@pytest.mark.parametrize(
    "arguments", [["dance"], ["ppo"], ["ppo", "--run-dir", "x", "--preset", "y"]]
)
def test_wrong_arguments_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: python -m training.rlhf" in capsys.readouterr().err


def test_help_is_a_manual(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    text = capsys.readouterr().out
    for word in ("spec.json", "events.jsonl", "143", "reward", "resumes", "held_out.jsonl"):
        assert word in text


def test_engine_loads_neither_django_nor_celery() -> None:
    code = (
        "import sys, training.rlhf.train_ppo, training.rlhf.train_reward, training.rlhf.train_sft,"
        "training.rlhf.generate, training.rlhf.score, training.rlhf.__main__;"
        "print([m for m in sys.modules if m.split('.')[0] in"
        "('django', 'celery', 'annotation', 'config', 'benchmark', 'demo')])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "[]"


def test_contract_loads_no_torch() -> None:
    code = (
        "import sys, training.rlhf.contract, training.rlhf.presets; print('torch' in sys.modules)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == "False"


def test_process_says_nothing_but_events_and_ends_politely_on_sigterm(make_run: MakeRun) -> None:
    directory = make_run(
        Kind.SFT, epochs=1e6, batch_size=4, checkpoint_every=1_000_000, micro_batch_size=4
    )
    with start(directory, "sft") as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if json.loads(line)["event"] == "progress":
                process.send_signal(signal.SIGTERM)
                break
        lines += process.stdout.readlines()
        assert process.wait(timeout=60) == 143
    assert "".join(lines) == (directory / "events.jsonl").read_text()
    assert events(directory, "error") == []
    last = events(directory, "progress")[-1]["done"]
    assert [path.name for path in (directory / "checkpoints").iterdir()] == [f"step-{last}"]


def test_process_killed_while_saving_resumes_from_the_checkpoint_before(
    make_run: MakeRun,
) -> None:
    directory = make_run(Kind.SFT, epochs=1e6, batch_size=2, checkpoint_every=1)
    with start(directory, "sft") as process:
        assert process.stdout is not None
        while not (directory / "checkpoints" / "step-3").exists():
            assert process.stdout.readline(), "ended before its third checkpoint"
        process.kill()
    with start(directory, "sft") as process:
        assert process.stdout is not None
        texts = (json.loads(line).get("text", "") for line in process.stdout)
        resuming = next(text for text in texts if text.startswith("resuming from step"))
        process.kill()
    assert int(resuming.rpartition(" ")[2]) >= 3

"""A real process that keeps to the contract of a run directory and trains nothing.

What it does is told in ``data/script.json``: see DEFAULTS. It resumes from its newest checkpoint,
as the engine does.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

DEFAULTS: dict[str, Any] = {
    "steps": 4,
    "seconds_per_step": 0.0,
    "checkpoint_every": 2,
    "fail_at": None,  # step at which a Failure event is written and the process exits with 1
    "crash_at": None,  # step at which it exits with crash_code and says why on stderr only
    "crash_code": 3,
    "kill_at": None,  # step at which it kills itself in its first attempt
    "garbage": False,  # lines that are no events among the events
    "helper": False,  # starts a child that would outlive it
    "deaf": False,  # ignores SIGTERM
    "hang_at": None,  # step at which it waits for ever
    "last_code": 0,  # the exit code once its result is whole, told of and all
    "last_signal": None,  # what its process is ended by at that moment
}


def main(directory: Path) -> int:
    script = {**DEFAULTS, **json.loads((directory / "data/script.json").read_text())}
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))
    if script["helper"]:
        helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        (directory / "helper").write_text(str(helper.pid))
    (directory / "trainer-pid").write_text(str(os.getpid()))
    (directory / "environment.json").write_text(json.dumps(dict(os.environ)))
    start = newest(directory)
    with (directory / "events.jsonl").open("a") as events:

        def emit(event: str, **fields: Any) -> None:
            print(json.dumps({"event": event, "time": time.time(), **fields}), file=events)
            events.flush()

        emit("stage", text=f"training from step {start}")
        for step in range(start + 1, script["steps"] + 1):
            code = trouble(script, step, directory, emit, first=start == 0)
            if code is not None:
                return code
            time.sleep(script["seconds_per_step"])
            if script["garbage"]:
                print('not json\n{"event": "unknown"}\n\n{"event": "metric"}', file=events)
            emit("metric", step=step, values={"train/loss": 1 / step, "train/bad": float("nan")})
            emit("progress", done=step, total=script["steps"])
            emit(
                "sample",
                step=step,
                prompt_id="one",
                image="one.png",
                prompt="What is it?",
                response=f"It is {step}.",
                reward=0.5,
                facts=["a fact"],
            )
            told_to_stop = bool(stopping) and not script["deaf"]
            if told_to_stop or step % script["checkpoint_every"] == 0:
                folder = save(directory / f"checkpoints/step-{step}", step)
                emit("checkpoint", step=step, path=str(folder.relative_to(directory)))
            if told_to_stop:
                return 143
        save(directory / "final", script["steps"])
        emit(
            "checkpoint",
            step=script["steps"],
            path="final",
            final=True,
            metrics={"held_out/accuracy": 0.75},
        )
    if script["last_signal"] is not None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), script["last_signal"])
    return int(script["last_code"])


def trouble(
    script: dict[str, Any], step: int, directory: Path, emit: Any, *, first: bool
) -> int | None:
    if step == script["fail_at"]:
        emit("error", message="the data is unusable", detail="a traceback")
        return 1
    if step == script["crash_at"]:
        print("Traceback: everything broke", file=sys.stderr)
        return int(script["crash_code"])
    if step == script["kill_at"] and first:
        os.kill(os.getpid(), signal.SIGKILL)
    if step == script["hang_at"]:
        time.sleep(600)
    return None


def save(folder: Path, step: int) -> Path:
    partial = folder.with_name(folder.name + ".partial")
    partial.mkdir(parents=True)
    (partial / "state.json").write_text(json.dumps({"step": step}))
    (partial / "adapter_model.safetensors").write_bytes(bytes([step % 256]) * 64)
    partial.rename(folder)
    return folder


def newest(directory: Path) -> int:
    steps = [int(path.name[5:]) for path in directory.glob("checkpoints/step-*[0-9]")]
    return max(steps, default=0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

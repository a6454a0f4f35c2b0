"""Through Slurm: a run is a job, and the worker that follows it may come and go.

RUNS_ROOT lies on a file system that workers and nodes share under one path. The job runs the same
engine command as everywhere, under ``in_job``. What a stranger would get wrong:

- Only Slurm says whether a job has ended; the file that ``in_job`` leaves says how.
- A job that was asked to end by somebody else (preempted, out of time) has saved its work. It is
  submitted again and goes on from its last checkpoint, as long as there is progress between.
- Slurm requeues preempted jobs and those of lost nodes by itself: then the job simply waits again,
  and what one start of it left is not the next one's. A job that was done when it was taken away is
  done: it is not started again.
- When the worker ends or loses its lease the job goes on; the next attempt takes it up. A job that
  nobody follows ends itself after SLURM_PATIENCE_SECONDS.
"""

from __future__ import annotations

import json
import logging
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings

from training.models import Run
from training.runs import in_job, trainer_events
from training.runs.endings import Failed, Vanished
from training.runs.launchers import slurm_commands, slurm_script
from training.runs.launchers.slurm_commands import Job, Refused

log = logging.getLogger(__name__)

STATE = "cluster.json"
SCRIPT = "cluster-job.sh"
LEAST_PAUSE_SECONDS = 0.1


class Slurm:
    leases_gpus = False

    def start(
        self, command: list[str], directory: Path, run: Run, *, gpus: list[int]
    ) -> SlurmTrainer:
        options, command = slurm_script.shape(command, run.gpus)
        slurm_script.write(directory / SCRIPT, command)
        name = f"factloop-run-{run.pk}-{run.created_at:%Y%m%d%H%M%S%f}"
        return SlurmTrainer(directory, [f"--job-name={name}", *options], name)

    def end_leftovers(self, directory: Path) -> bool:
        """A job goes on without its worker: the next attempt takes it up."""
        return True


class SlurmTrainer:
    """The job of one run, and its successors where it had to be submitted again."""

    outlives_worker = True

    def __init__(self, directory: Path, options: list[str], name: str) -> None:
        self.trouble: Exception | None = None
        self._directory = directory
        self._options = options
        self._name = name
        self._left = False
        self._stopping = False
        self._notice = ""
        self._why_again = ""
        self._code: int | None = None
        self._restarts = 0
        self._next_look = 0.0
        self._state = _read(directory / STATE)
        self.replayed = int(self._state.get("replayed", trainer_events.written(directory)))
        self._touch()
        self._take_up()

    @property
    def job(self) -> str:
        return f"Slurm job {self._job}" if self._job else ""

    def notice(self) -> str:
        return self._notice

    def usage(self) -> dict[str, Any]:
        return _read(self._directory / in_job.USAGE)

    def wait(self, seconds: float) -> bool:
        """Looks at the file that the job leaves each time, and asks Slurm only now and then."""
        if self._code is not None:
            return True
        if time.monotonic() >= self._next_look or self._word_of(self._restarts) is not None:
            self._next_look = time.monotonic() + settings.SLURM_POLL_SECONDS
            self._touch()
            self._look()
        if self._code is None:
            time.sleep(max(seconds, LEAST_PAUSE_SECONDS))
        return self._code is not None

    def stop(self, *, grace_seconds: float) -> None:
        self._stopping = True
        deadline = time.monotonic() + grace_seconds
        if self._job and not self._pending():
            slurm_commands.ask_to_end(self._job)
            while not self.wait(LEAST_PAUSE_SECONDS) and time.monotonic() < deadline:
                pass
        self._end()

    def lease_lost(self) -> None:
        """Nothing: whoever holds the run now follows the same job."""

    def leave(self) -> None:
        self._left = True

    def close(self) -> int:
        if self._left:
            return 0
        self._end()
        if self._code:
            # A run that is resumed gets a job of its own; a result that is not stored yet stays.
            (self._directory / STATE).unlink(missing_ok=True)
        return self._code or 0

    # ----------------------------------------------------------------------------------------

    @property
    def _job(self) -> str:
        return str(self._state.get("job", ""))

    def _take_up(self) -> None:
        """Follow the job of an earlier attempt, or of a worker that died between submitting and
        writing the number down; submit one otherwise."""
        try:
            if self._job:
                found = slurm_commands.look(self._job)
                if found is None or found.ended:
                    self._ended(found)
                return
            self._submit_unless_there()
        except Refused as error:
            self._refused(error)

    def _submit_unless_there(self) -> None:
        """Slurm may have requeued the job by itself, or a worker died before it wrote it down."""
        there = slurm_commands.named(self._name)
        if there:
            self._remember(job=there[-1])
        else:
            self._submit()

    def _submit(self) -> None:
        (self._directory / in_job.EXIT).unlink(missing_ok=True)
        script = self._directory / SCRIPT
        job = slurm_commands.submit(script, [*self._options, slurm_script.output(script)])
        self._remember(job=job, replayed=self.replayed, progress=self._progress())
        log.info("%s: submitted as Slurm job %s", self._directory, job)

    def _refused(self, error: Refused) -> None:
        if error.transient and self._job:
            self._notice = f"{self.job} is followed, but Slurm does not answer: {error}"
        elif error.transient:
            self._notice = f"Slurm takes no job now; it is asked again and again: {error}"
        else:
            words = f"Slurm refused the job: {error}. Look at SLURM_OPTIONS"
            self._end_with(1, Failed(words))

    def _look(self) -> None:
        if not self._job:
            self._take_up()
            return
        try:
            job = slurm_commands.look(self._job)
            if job is None or job.ended:
                self._ended(job)
            else:
                self._goes_on(job)
        except Refused as error:
            self._refused(error)

    def _goes_on(self, job: Job) -> None:
        self._restarts = job.restarts
        before = self._word_of(job.restarts - 1) if job.restarts else None
        if job.state == "PENDING" and before is not None and before["code"] == 0:
            slurm_commands.cancel(self._job)
            self._end_with(0, None)
        elif job.state == "PENDING":
            again = _which_start(job.restarts, before) if job.restarts else self._why_again
            self._notice = f"{self.job} waits in the queue{again}: {job.waits}"
        elif job.state in ("RUNNING", "COMPLETING", "CONFIGURING"):
            self._notice = ""
        else:
            self._notice = f"{self.job} is {job.state.lower()}"

    def _ended(self, job: Job | None) -> None:
        left = self._word_of(job.restarts if job is not None else None)
        state = job.state if job is not None else ""
        if left is not None and not (left["asked_to_end"] and left["code"]):
            self._end_with(int(left["code"]), None)
        elif self._stopping:
            self._end_with(int(left["code"]) if left else 143, None)
        elif state == "CANCELLED":
            self._end_with(1, Failed(f"{self.job} was cancelled in Slurm, not here"))
        elif state == "OUT_OF_MEMORY":
            self._end_with(1, Failed(f"{self.job} needed more memory than --mem gives it"))
        elif left is None and job is not None and state == "FAILED":
            self._ended_without_word(job)
        else:
            self._again(state)

    def _ended_without_word(self, job: Job) -> None:
        """``in_job`` had not begun, or was itself ended: what is known is how Slurm saw it end."""
        if job.signal == signal.SIGTERM:
            self._again(job.state)
        elif job.signal:
            self._end_with(128 + job.signal, None)
        elif job.exit_code == in_job.DIRECTORY_BUSY:
            busy = "another trainer still runs in the run's directory"
            self._end_with(job.exit_code, Vanished(busy))
        elif job.restarts:
            # It had begun before, so what it runs can be run: Slurm did not get it going again.
            self._again(job.state)
        else:
            self._end_with(job.exit_code or 1, None)

    def _again(self, state: str) -> None:
        """The job was taken away; what it saved is in the directory."""
        taken = {"TIMEOUT": "out of time", "NODE_FAIL": "lost with its node"}
        why = taken.get(state, "preempted or ended by Slurm")
        if self._progress() <= int(self._state.get("progress", 0)) and self._state.get("again"):
            message = f"{self.job} was {why}, twice without a checkpoint between"
            self._end_with(1, Vanished(message))
            return
        self._why_again = f", since {self.job} was {why}"
        self._notice = f"{self.job} was {why}; it is submitted again and goes on"
        self._remember(again=True, job="")
        self._submit_unless_there()

    def _end_with(self, code: int, trouble: Exception | None) -> None:
        self._code, self.trouble, self._notice = code, trouble, ""

    def _end(self) -> None:
        """Cancel, and wait until Slurm says that nothing runs any more."""
        if self._code is not None:
            return
        self._stopping = True
        if not self._job:
            self._end_with(143, None)
            return
        slurm_commands.cancel(self._job)
        deadline = time.monotonic() + settings.RUN_STOP_SECONDS
        while not self.wait(LEAST_PAUSE_SECONDS):
            self._next_look = 0.0
            if time.monotonic() > deadline:
                log.warning("%s does not end; Slurm was told to end it", self.job)
                self._end_with(143, None)

    def _pending(self) -> bool:
        with suppress(Refused):
            job = slurm_commands.look(self._job)
            return job is not None and job.state == "PENDING"
        return False

    def _word_of(self, restarts: int | None) -> dict[str, Any] | None:
        """What ``in_job`` left when this job had been requeued so often; None: whenever."""
        left = _read(self._directory / in_job.EXIT)
        if not left or str(left.get("job")) != self._job:
            return None
        return left if restarts in (None, left["restart"]) else None

    def _progress(self) -> int:
        steps = (self._directory / "checkpoints").glob("step-*")
        numbers = [path.name.removeprefix("step-") for path in steps]
        return max((int(number) for number in numbers if number.isdecimal()), default=0)

    def _remember(self, **changes: Any) -> None:
        self._state = {**self._state, **changes}
        in_job.write(self._directory / STATE, self._state)

    def _touch(self) -> None:
        with suppress(OSError):
            (self._directory / in_job.WORKER).touch()


def _read(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text())
        return content if isinstance(content, dict) else {}
    return {}


def _which_start(restarts: int, before: dict[str, Any] | None) -> str:
    """Which start it waits for, and what became of the one ``before``, by what that one left."""
    lost = "its node was lost, or it was ended before it had saved"
    why = lost if before is None else "it was preempted"
    return f", for the {_nth(restarts + 1)} time, since {why}"


def _nth(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")

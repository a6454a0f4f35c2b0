"""Slurm's own commands: submit, ask, end. Standard output is parsed here and nowhere else.

``scontrol`` is asked, not ``sacct``: it needs no accounting database, and knows a job from its
submission until ``MinJobAge`` (five minutes by default) after its end.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SAID = re.compile(r"\b(\w+)=(\S*)")
COMMAND_SECONDS = 30
_FULL = "temporarily unable to accept"
"""What sbatch says once there are MaxJobCount jobs; nobody would guess that."""
ENDED = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"}
    | {"OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"}
)
TRANSIENT = (
    _FULL,
    "unable to contact slurm controller",
    "socket timed out",
    "connection refused",
    "zero bytes were transmitted",
    "resource temporarily unavailable",
    "slurm backup controller in standby",
    "job violates accounting/qos policy",
    "submit limit",
    "queue full",
    "inactive or drain",
)
"""Parts of refusals that time alone may mend: a controller that restarts, a queue that is full."""

REASONS = {
    "AssocGrpGRES": "the account's share of GPUs is in use",
    "BadConstraints": "no node of the partition can ever serve it: look at SLURM_OPTIONS",
    "BeginTime": "it was requeued, and Slurm waits about two minutes before it starts it again",
    "Dependency": "it waits for another job",
    "InvalidAccount": "Slurm does not know the account in SLURM_OPTIONS",
    "InvalidQOS": "Slurm does not know the quality of service in SLURM_OPTIONS",
    "JobHeldAdmin": "an administrator of the cluster holds it",
    "JobHeldUser": "it is held: scontrol release lets it go",
    "JobHoldMaxRequeue": "it was requeued too often, and is held: scontrol release lets it go",
    "Licenses": "it waits for a licence",
    "NodeDown": "a node that it needs is down",
    "PartitionDown": "the partition is down",
    "PartitionInactive": "the partition is not active",
    "PartitionNodeLimit": "the partition has fewer nodes than it asks for",
    "PartitionTimeLimit": "it asks for more time than the partition gives: look at --time",
    "Priority": "jobs of higher priority come first",
    "QOSGrpGRES": "the GPUs of its quality of service are in use",
    "QOSMaxGRESPerUser": "this user's GPUs are all in use",
    "QOSMaxJobsPerUserLimit": "this user already runs as many jobs as allowed",
    "Reservation": "it waits for a reservation",
    "Resources": "it is next, and waits until enough is free",
    "launch_failed_requeued_held": "a node could not start it, so it is held: once the node is "
    "mended, scontrol release lets it go",
}
"""Slurm's reasons in words; a reason that is not here is shown as Slurm writes it."""
LIMITS = {
    "Assoc": "a limit of the account or user is reached",
    "QOS": "a limit of its quality of service is reached",
}
"""The same for what reasons begin with: there is one for each thing that can be limited."""


class Refused(Exception):
    """Slurm said no; ``transient`` when it may say yes later."""

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


@dataclass(frozen=True)
class Job:
    """What Slurm says of a job."""

    state: str
    reason: str
    restarts: int
    exit_code: int
    signal: int

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def waits(self) -> str:
        """Why it does not run, in words."""
        reason = self.reason.split(",")[0]
        if reason.startswith(("Nodes_required", "ReqNodeNotAvail")):
            return f"nodes that it needs are down, drained or reserved ({self.reason})"
        if reason in ("None", ""):
            return "it was just submitted"
        known = REASONS.get(reason) or next(
            (words for begin, words in LIMITS.items() if reason.startswith(begin)), None
        )
        return f"{known} ({reason})" if known else reason.replace("_", " ")


def submit(script: Path, options: list[str]) -> str:
    """Submit the script; returns the job's id. Raises Refused with Slurm's own words."""
    done = _run(["sbatch", "--parsable", *options, str(script)])
    if done.returncode:
        raise _refusal(done.stderr)
    job = done.stdout.strip().split(";")[0]
    if not job:
        raise Refused("sbatch named no job, as with --test-only", transient=False)
    return job


def look(job: str) -> Job | None:
    """What Slurm says of the job; None when it has forgotten it.

    Raises Refused while Slurm does not answer.
    """
    done = _run(["scontrol", "--oneliner", "show", "job", job])
    if done.returncode:
        if "invalid job id" in done.stderr.lower():
            return None
        raise _refusal(done.stderr)
    # The first of a name is Slurm's own: a comment may hold others.
    found = dict(reversed(_SAID.findall(done.stdout)))
    code, _, number = found.get("ExitCode", "0:0").partition(":")
    return Job(
        state=found.get("JobState", ""),
        reason=found.get("Reason", ""),
        restarts=int(found.get("Restarts", "0")),
        exit_code=int(code),
        signal=int(number or 0),
    )


def named(name: str) -> list[str]:
    """Ids of this user's jobs of that name that have not ended. Raises Refused."""
    done = _run(["squeue", "--me", "--noheader", "--name", name, "--format", "%A"])
    if done.returncode:
        raise _refusal(done.stderr)
    return done.stdout.split()


def ask_to_end(job: str) -> None:
    """SIGTERM to what the job's script became; nothing happens to a job that does not run."""
    _run(["scancel", "--signal", "TERM", "--batch", job])


def cancel(job: str) -> None:
    """End the job, whether it runs or waits; no harm where it has ended."""
    _run(["scancel", job])


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    except FileNotFoundError:
        raise Refused(
            f"{command[0]} is not on this host: install Slurm's client commands, or set "
            "RUN_LAUNCHER=local",
            transient=False,
        ) from None
    except subprocess.TimeoutExpired as late:
        # Where the queue is full sbatch says so and tries again for two minutes by itself.
        said = late.stderr.decode(errors="replace") if isinstance(late.stderr, bytes) else ""
        words = _refusal(said) if said.strip() else f"{command[0]} did not answer"
        raise Refused(str(words), transient=True) from None


def _refusal(words: str) -> Refused:
    lines = [line.partition("error: ")[2] or line for line in words.strip().splitlines()]
    lines = [f"{line} (its queue is full)" if _FULL in line.lower() else line for line in lines]
    message = "; ".join(dict.fromkeys(lines)) or "no reason was given"
    return Refused(message, transient=any(part in message.lower() for part in TRANSIENT))

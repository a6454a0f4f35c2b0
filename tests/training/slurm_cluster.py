"""A real Slurm cluster on this one host, for tests: its own ports, folders and configuration."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.training.processes import wait_for

needs_slurm = pytest.mark.skipif(
    shutil.which("slurmctld") is None or shutil.which("slurmd") is None or os.geteuid() != 0,
    reason="needs root and Debian's package slurm-wlm",
)

CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
SlurmctldPort={ports[0]}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1
ReturnToService=2
KillWait=20
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
GresTypes=gpu
{nodes}
PartitionName=batch Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE State=UP
PartitionName=urgent Nodes=ALL PriorityTier=10 State=UP
"""


@contextmanager
def slurm_cluster(folder: Path, *, nodes: int = 1) -> Iterator[None]:
    """Within the block sbatch, scontrol, squeue and scancel of this process mean this cluster.

    Each node has two processors and two GPUs, which are files.
    """
    configuration = _configure(folder, nodes)
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(configuration)
    daemons = [_start(folder, "slurmctld")]
    daemons += [_start(folder, "slurmd", "-N", f"node{number}") for number in range(nodes)]
    try:
        ready = ["idle"] * nodes
        wait_for(lambda: _say("sinfo", "-hN", "-p", "batch", "-o", "%T").split() == ready)
        yield
    finally:
        _say("scancel", "--user", "root")
        wait_for(lambda: not _say("squeue", "--noheader", "--states", "running,completing"))
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(30)
        os.environ.pop("SLURM_CONF")
        if before is not None:
            os.environ["SLURM_CONF"] = before


def _configure(folder: Path, nodes: int) -> Path:
    (folder / "state").mkdir()
    for name in ("gpu0", "gpu1"):
        (folder / name).touch()
    host, ports = socket.gethostname(), _free_ports(1 + nodes)
    described = [
        f"NodeName=node{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1 + number]} "
        "CPUs=2 RealMemory=1000 Gres=gpu:2 State=UNKNOWN"
        for number in range(nodes)
    ]
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(folder=folder, host=host, ports=ports, nodes="\n".join(described))
    )
    (folder / "gres.conf").write_text(
        "".join(f"NodeName=node{n} Name=gpu File={folder}/gpu[0-1]\n" for n in range(nodes))
    )
    return configuration


def _say(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout


def _start(folder: Path, daemon: str, *options: str) -> subprocess.Popen[bytes]:
    with (folder / "output").open("ab") as output:
        return subprocess.Popen([daemon, "-D", *options], stdout=output, stderr=output)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()

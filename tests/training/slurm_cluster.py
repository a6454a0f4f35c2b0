"""A real Slurm cluster on this one host, for tests: its own ports, folders and configuration."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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


class Cluster:
    """The daemons of one cluster, so that a test can take one away."""

    def __init__(self, folder: Path, *, nodes: int) -> None:
        self._folder = folder
        self._configuration = folder / "slurm.conf"
        self._controller = self._start("slurmctld")
        wait_for(lambda: _works("scontrol", "ping"))  # A node that comes first tries again late.
        self._nodes = [self._start_node(number) for number in range(nodes)]
        ready = ["idle"] * nodes
        wait_for(lambda: _say("sinfo", "-hN", "-p", "batch", "-o", "%T").split() == ready)

    def lose_node(self, number: int) -> None:
        """As when its power fails: daemon and jobs there are gone, and Slurm hears of it."""
        self._nodes[number].kill()
        self._nodes[number].wait(30)
        for pid in self._of_jobs():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        down = ["State=DOWN", "Reason=lost"]
        subprocess.run(["scontrol", "update", f"NodeName=node{number}", *down], check=True)

    def bring_node_back(self, number: int) -> None:
        """It is in service again once its daemon has registered (``ReturnToService``)."""
        self._nodes[number] = self._start_node(number)

    @contextmanager
    def configured(self, line: str) -> Iterator[None]:
        """Within the block the controller is one that was started with ``line`` of slurm.conf."""
        before = self._configuration.read_text()
        try:
            self._configuration.write_text(f"{before}\n{line}\n")
            self._restart_controller()
            yield
        finally:
            self._configuration.write_text(before)
            self._restart_controller()

    @contextmanager
    def partition(self, name: str, state: str) -> Iterator[None]:
        """Within the block an administrator has put the partition into that state."""
        update = ["scontrol", "update", f"PartitionName={name}"]
        subprocess.run([*update, f"State={state}"], check=True)
        try:
            yield
        finally:
            subprocess.run([*update, "State=UP"], check=True)

    def end(self) -> None:
        _say("scancel", "--user", "root")
        wait_for(lambda: not _say("squeue", "--noheader", "--states", "running,completing"))
        for daemon in (*self._nodes, self._controller):
            daemon.terminate()
            daemon.wait(30)

    def _of_jobs(self) -> list[int]:
        """Processes of this cluster's jobs, and those that watch over them."""
        found = []
        ours = f"SLURM_CONF={self._configuration}\0".encode()
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                known = (entry / "environ").read_bytes() + b"\0"
                watches = (entry / "cmdline").read_bytes().startswith(b"slurmstepd")
                if ours in known and (watches or b"SLURM_JOB_ID=" in known):
                    found.append(int(entry.name))
        return found

    def _restart_controller(self) -> None:
        self._controller.terminate()
        self._controller.wait(30)
        self._controller = self._start("slurmctld")
        wait_for(lambda: _works("scontrol", "ping"))

    def _start_node(self, number: int) -> subprocess.Popen[bytes]:
        return self._start("slurmd", "-N", f"node{number}")

    def _start(self, daemon: str, *options: str) -> subprocess.Popen[bytes]:
        with (self._folder / "output").open("ab") as output:
            return subprocess.Popen([daemon, "-D", *options], stdout=output, stderr=output)


@contextmanager
def slurm_cluster(folder: Path, *, nodes: int = 1) -> Iterator[Cluster]:
    """Within the block sbatch, scontrol, squeue and scancel of this process mean this cluster.

    Each node has two processors and two GPUs, which are files.
    """
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(_configure(folder, nodes))
    cluster = Cluster(folder, nodes=nodes)
    try:
        yield cluster
    finally:
        cluster.end()
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


def _works(*command: str) -> bool:
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return done.returncode == 0 and "DOWN" not in done.stdout


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()

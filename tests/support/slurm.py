"""A whole Slurm on this machine: two nodes, a partition that preempts, neither root nor systemd nor accounting."""

from __future__ import annotations

import contextlib
import getpass
import itertools
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.processes import is_alive, wait_for

DAEMONS = ("munged", "slurmctld", "slurmd")
NODES = ("n1", "n2")
CPUS = 4
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdSpoolDir={folder}/spool/%n
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,sched_interval=1,bf_interval=1,batch_sched_delay=0
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
MpiDefault=none
SwitchType=switch/none
KillWait=1
MinJobAge=60
SlurmdTimeout=15
SlurmctldTimeout=15
MessageTimeout=20
GresTypes=gpu
SlurmdParameters=config_overrides
"""
NODE = "NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory=2000 Gres=gpu:2\n"
PARTITIONS = """
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE State=UP
PartitionName=urgent Nodes=n[1-2] MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF State=UP
"""
# Waits for the end of its input, which is that of the process that has started the daemons, however that ends.
GUARD = """
cat
processes=$(cat "$1"/*.pid 2>/dev/null)
test -z "$processes" || { kill $processes; sleep 1; kill -9 $processes; } 2>/dev/null
rm -rf "$1"
"""
URGENT = "#!/bin/bash\nsleep 1000\n"


@dataclass(frozen=True)
class Slurm:
    """A Slurm that runs, and to which this process and its children submit."""

    folder: Path

    def run(self, *command: str) -> str:
        """What one of Slurm's commands prints."""
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def jobs(self) -> dict[str, tuple[str, str]]:
        """State and node of each job that waits or runs, by its id."""
        lines = self.run("squeue", "-h", "-r", "-o", "%i|%T|%N").splitlines()
        return {name: (state, node) for name, state, node in (line.split("|") for line in lines)}

    def running(self) -> dict[str, str]:
        """The node of each job that runs, by its id."""
        return {name: node for name, (state, node) in self.jobs().items() if state == "RUNNING"}

    def processes_of(self, job: str) -> list[int]:
        """The processes of a job, its script first."""
        number = self.run("scontrol", "show", "job", job).split("JobId=")[1].split()[0]
        found = [line.split() for line in self.run("scontrol", "listpids", number, self.running()[job]).splitlines()]
        return sorted(int(words[0]) for words in found[1:] if words[0].isdigit() and words[0] != "-1")

    def preempt(self) -> str:
        """Fills a node with a job that pushes others from there; returns its id."""
        script = self.folder / "urgent.sh"
        script.write_text(URGENT)
        options = ["--parsable", "-p", "urgent", "-w", "n1", f"-c{CPUS}", f"--output={os.devnull}"]
        return self.run("sbatch", *options, str(script)).strip()

    def bring_back(self, node: str) -> None:
        """Ends what makes a node down, if it has not come back by itself."""
        subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], capture_output=True, check=False)
        wait_for(lambda: self.run("sinfo", "-h", "-n", node, "-o", "%T").split()[0] in ("idle", "mixed", "allocated"))

    def end_all(self) -> None:
        """Ends all jobs, and waits for that."""
        self.run("scancel", "-u", getpass.getuser())
        wait_for(lambda: not self.jobs())


@contextlib.contextmanager
def slurm() -> Iterator[Slurm]:
    """Starts a Slurm, and ends it; the test is skipped where there is none."""
    missing = [name for name in (*DAEMONS, "sbatch", "srun") if _path_of(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: apt-get install slurm-wlm munge")
    # Not under the tests' folder: the path of a socket must be short.
    with tempfile.TemporaryDirectory(prefix="slurm-") as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        _configure(folder)
        found = Slurm(folder)
        guard = subprocess.Popen(["/bin/sh", "-c", GUARD, "sh", name], stdin=subprocess.PIPE, start_new_session=True)
        try:
            _start(folder)
            wait_for(lambda: found.run("sinfo", "-h", "-N", "-o", "%T").split() == ["idle"] * 2 * len(NODES))
            yield found
            found.end_all()
        finally:
            _stop(folder)
            guard.communicate()


def _configure(folder: Path) -> None:
    for each in ("state", *(f"spool/{node}" for node in NODES)):
        (folder / each).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    host = socket.gethostname().partition(".")[0]
    port = _free_ports(1 + len(NODES))
    text = CONFIG.format(host=host, user=getpass.getuser(), folder=folder, port=port)
    for number, node in enumerate(NODES, start=1):
        text += NODE.format(node=node, host=host, port=port + number, cpus=CPUS)
    (folder / "slurm.conf").write_text(text + PARTITIONS)
    (folder / "gres.conf").write_text("Name=gpu File=/dev/tty[0-1]\n")


def _start(folder: Path) -> None:
    munge = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munged.pid"}
    munge |= {"log-file": "munged.log", "seed-file": "munge.seed"}
    options = [f"--{name}={folder / file}" for name, file in munge.items()]
    _run("munged", "--force", *options)
    _run("slurmctld", "-c", "-f", str(folder / "slurm.conf"))
    for node in NODES:
        _run("slurmd", "-f", str(folder / "slurm.conf"), "-N", node)


def _stop(folder: Path) -> None:
    files = [*(folder / f"slurmd.{node}.pid" for node in NODES), folder / "slurmctld.pid", folder / "munged.pid"]
    processes = [int(file.read_text()) for file in files if file.exists() and file.read_text().strip()]
    for number, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not any(map(is_alive, processes)), seconds=seconds)
            return


def _run(name: str, *options: Any) -> None:
    path = _path_of(name)
    assert path is not None
    done = subprocess.run([path, *options], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr


def _path_of(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _free_ports(n: int) -> int:
    """The first of so many ports in a row that nobody listens on."""
    for _ in itertools.repeat(None, 1000):
        first = random.randrange(20000, 30000)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in range(first, first + n):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError("no free ports")

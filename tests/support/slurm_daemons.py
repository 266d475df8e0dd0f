"""A real SLURM of two nodes on one machine: munged, slurmctld and two slurmd, in one folder; as root.

PYTHONPATH=tests python -m support.slurm_daemons FOLDER    # starts one, says how to use it, stops it on Ctrl-C
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from support.paths import CONFIGS

NODES = ("node1", "node2")
"""Both are this machine, with a slurmd each."""
CORPUS = CONFIGS / "slurm" / "corpus.yaml"

Process = subprocess.Popen[bytes]
Settings = Callable[..., dict[str, object]]
Start = Callable[..., contextlib.AbstractContextManager[Process]]

CPUS = 4
"""That SLURM believes each node to have: so many jobs of one core run there at once."""

_CONF = """\
ClusterName=melmill
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SwitchType=switch/none
MpiDefault=none
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=5,requeue_delay=1
MinJobAge=3600
KillWait=5
InactiveLimit=0
Waittime=0
SlurmdTimeout=60
SlurmdParameters=config_overrides
MessageTimeout=30
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={node1} CPUs={cpus} RealMemory=64000 State=UNKNOWN
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={node2} CPUs={cpus} RealMemory=64000 State=UNKNOWN
PartitionName=work Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""

PATIENCE = 240.0
"""Seconds after which what has not happened is taken for what never will."""
LONG = 900.0
"""The same for a whole run."""


@dataclass(frozen=True)
class Slurm:
    """A SLURM that runs.

    Args:
        folder: of all that it writes.
    """

    folder: Path

    def __call__(self, command: str, *arguments: str) -> str:
        """One of SLURM's commands; what it prints."""
        done = subprocess.run([command, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert done.returncode == 0, f"{command} {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def jobs(self, *states: str) -> list[str]:
        """Numbers of the jobs in the queue, or of those in the given states; array jobs task by task.

        ALL is a state, too: SLURM knows those that have ended for an hour (MinJobAge).
        """
        chosen = [f"--states={','.join(states)}"] if states else []
        return self("squeue", "--noheader", "--array", "--format=%A", *chosen).split()

    def node(self, job: str) -> str:
        """Where a job runs, or ran before it ended; empty if it never did."""
        return self("squeue", "--noheader", "--states=ALL", f"--jobs={job}", "--format=%N")

    def restarts(self, job: str) -> int:
        """How often a job was put into the queue again; SLURM still knows it when the job has ended."""
        (count,) = re.findall(r"\bRestarts=(\d+)", self("scontrol", "show", "job", job))
        return int(count)


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait for it."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} has not come"
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listening = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in listening]


@contextlib.contextmanager
def running_slurm(folder: Path) -> Iterator[Slurm]:
    """SLURM for as long as the context lasts; its commands find it by the environment, SLURM_CONF."""
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)  # munge wants nobody else to be able to write there
    host = socket.gethostname().partition(".")[0]
    conf = folder / "slurm.conf"
    names = ("control_port", *NODES)
    ports = dict(zip(names, _free_ports(len(names)), strict=True))
    conf.write_text(_CONF.format(folder=folder, host=host, cpus=CPUS, **ports))
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    key = folder / "munge.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(1024))
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(conf)
    names = {name: f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")}
    munged = [_program("munged"), "--foreground", "--force", f"--socket={folder}/munge.socket", *names.values()]
    with contextlib.ExitStack() as stack:
        stack.enter_context(_daemon(munged, folder))
        until((folder / "munge.socket").exists, "munged's socket")
        stack.enter_context(_daemon([_program("slurmctld"), "-D", "-f", str(conf)], folder))
        for node in NODES:
            stack.enter_context(_daemon([_program("slurmd"), "-D", "-f", str(conf), "-N", node], folder))
        slurm = Slurm(folder)
        try:
            until(lambda: _idle(slurm), "two idle nodes")
            yield slurm
        finally:
            with contextlib.suppress(Exception):
                slurm("scancel", "--user=root")
                until(lambda: not slurm.jobs(), "the end of all jobs", 30)
            if before is None:
                del os.environ["SLURM_CONF"]
            else:
                os.environ["SLURM_CONF"] = before


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    assert found, f"{name} is not installed: make test-slurm installs slurm-wlm and munge"
    return found


def _idle(slurm: Slurm) -> bool:
    try:
        return slurm("sinfo", "--noheader", "--partition=work", "--format=%T %D") == f"idle {len(NODES)}"
    except AssertionError:  # the controller has not begun to listen
        return False


@contextlib.contextmanager
def _daemon(command: list[str], folder: Path) -> Iterator[None]:
    with open(folder / f"{Path(command[0]).name}.out", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main() -> None:
    """For trying things out."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit())
    with running_slurm(Path(sys.argv[1]).absolute()):
        print(f"export SLURM_CONF={os.environ['SLURM_CONF']}", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()

"""The section `cluster` of a job file."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from pipeline.config.sections import PositiveFloat, PositiveInt, Section

Kind = Literal["local", "dask", "slurm", "kubernetes", "synchronous"]

_OF_KIND: dict[str, tuple[Kind, ...]] = {
    "address": ("dask",),
    "security": ("dask",),
    "jobs": ("slurm",),
    "cores": ("slurm",),
    "walltime": ("slurm",),
    "partition": ("slurm",),
    "account": ("slurm",),
    "directives": ("slurm",),
    "interface": ("slurm",),
    "folder": ("slurm",),
    "memory": ("slurm", "kubernetes"),
    "patience": ("slurm", "kubernetes"),
    "image": ("kubernetes",),
    "namespace": ("kubernetes",),
}
"""Keys that mean something for these kinds of cluster alone."""

_NEEDED: dict[Kind, dict[str, str]] = {
    "dask": {"address": "tcp://host:8786"},
    "slurm": {"jobs": "8", "memory": "8 GB", "walltime": '"04:00:00"'},
    "kubernetes": {"image": "registry/melmill:0.1.0", "memory": "4 GiB"},
}
"""Keys without which such a cluster cannot be had, and what they look like."""

PATIENCE_SECONDS = 12 * 3600.0
"""A queue is borne with for so long unless the job says otherwise: a night."""


def _seconds(walltime: Any) -> Any:
    """Seconds of what SLURM would write [D-]HH:MM:SS. YAML reads 10:00:00 as a number, of seconds, by itself."""
    if not isinstance(walltime, str):
        return walltime
    found = re.fullmatch(r"(?:(\d{1,3})-)?(\d{1,4}):(\d{1,2}):(\d{1,2})", walltime, re.ASCII)
    if found is None:
        raise ValueError('a walltime is written "[DAYS-]HH:MM:SS", or as a number of seconds')
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


Walltime = Annotated[int, BeforeValidator(_seconds), Field(ge=60)]
Memory = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)? ?[kMGT]i?B$", max_length=16)]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.,:=@/+-]+$", max_length=256)]
Directive = Annotated[str, StringConstraints(pattern=r"^-[^\n\r]+$", max_length=256)]


class SecurityConfig(Section):
    """What proves to a scheduler who we are, and to us who it is: paths of PEM files."""

    ca: str
    """Certificate of whoever signed those of the cluster."""
    cert: str
    """Our certificate."""
    key: str
    """Its private key. Refused if everybody on this machine may read it."""


class ClusterConfig(Section):
    """Where the work is done."""

    kind: Kind = "local"
    address: str | None = None
    """Address of a running scheduler, for kind `dask`."""
    security: SecurityConfig | None = None
    """For a scheduler at tls://; none for what Dask's own configuration says (`distributed.comm.tls`)."""
    workers: Literal["auto"] | PositiveInt = "auto"
    """Worker processes of a local cluster, `auto` is one a core; pods on Kubernetes."""
    threads_per_worker: PositiveInt = 1
    timeout: PositiveFloat = 60.0
    """Seconds to wait for a scheduler to answer, and for a first worker or a new one after the last was lost."""
    patience: PositiveFloat | None = None
    """Kinds slurm and kubernetes: seconds without any worker after which the run gives up; none for twelve hours."""
    shard_timeout: PositiveFloat | None = None
    """Seconds that a worker may take over one shard without finishing one more utterance, before it is taken for hung
    and started anew; none for ten times what the slowest shard so far would have taken, and at least five minutes."""
    grace: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0
    """Seconds that shards in flight are given to finish after Ctrl-C or SIGTERM."""
    insecure: bool = False
    """Allow a scheduler beyond this machine without TLS."""
    jobs: PositiveInt | None = None
    """SLURM jobs that are kept in the queue or running until the work is done."""
    cores: PositiveInt | None = None
    """Of each SLURM job; none for one. Each worker process takes `threads_per_worker` of them."""
    memory: Memory | None = None
    """Of each SLURM job, or of each pod: `8 GB`, `16GiB`."""
    walltime: Walltime | None = None
    """Time limit of each SLURM job, `[DAYS-]HH:MM:SS` or seconds; at least a minute."""
    partition: Word | None = None
    """Of SLURM; none for its default."""
    account: Word | None = None
    """That SLURM charges."""
    directives: tuple[Directive, ...] | None = None
    """More lines for sbatch, such as `--gres=gpu:1`."""
    interface: Word | None = None
    """Network interface of the scheduler and the workers of a SLURM run, such as `ib0`."""
    folder: str | None = None
    """Folder that all of SLURM's nodes share, for the keys of a run and its workers' logs; none for `melmill-slurm`
    where the command is run."""
    image: Word | None = None
    """Of the pods: melmill and what it needs."""
    namespace: Word | None = None
    """Of the pods; none for the current one."""

    @model_validator(mode="after")
    def _keys_of_kind(self) -> Self:
        for key, kinds in _OF_KIND.items():
            if getattr(self, key) is not None and self.kind not in kinds:
                raise ValueError(f"{key} belongs to kind: {' and '.join(kinds)}, and this is kind: {self.kind}")
        needed = _NEEDED.get(self.kind, {})
        lacking = [f"{key}: {example}" for key, example in needed.items() if getattr(self, key) is None]
        if lacking:
            raise ValueError(f"kind: {self.kind} needs {', '.join(lacking)}, for example")
        return self

    @model_validator(mode="after")
    def _whole_workers(self) -> Self:
        if self.kind == "slurm" and self.workers != "auto":
            raise ValueError(
                f"workers ({self.workers}) is not for kind: slurm, which has jobs, and cores / threads_per_worker "
                "workers in each"
            )
        if self.kind == "slurm" and (self.cores or 1) % self.threads_per_worker:
            raise ValueError(
                f"cores, {self.cores or 1}, must be a multiple of threads_per_worker, {self.threads_per_worker}"
            )
        if self.kind == "kubernetes" and self.workers == "auto":
            raise ValueError("kind: kubernetes needs the number of workers")
        return self

    @model_validator(mode="after")
    def _safe_address(self) -> Self:
        if self.address is None:
            return self
        try:
            parts = _split(self.address)
            usable = parts.hostname and parts.port is not None
        except ValueError:
            usable = False
        if not usable:
            raise ValueError(f"the scheduler's address {self.address!r} must look like tcp://host:8786")
        if parts.scheme not in ("tcp", "tls"):
            raise ValueError(
                f"the scheduler's address {self.address!r} begins with {parts.scheme}://; it must be tcp:// or tls://"
            )
        if parts.scheme == "tcp" and not is_loopback(parts.hostname or "") and not self.insecure:
            raise ValueError(
                f"the scheduler {self.address} is beyond this machine and has no TLS: whoever reaches it can run code "
                "on its workers. Use tls://, or set cluster.insecure=true on a network that you trust"
            )
        return self

    @property
    def scheduler(self) -> str:
        """`address` with its scheme."""
        return _split(self.address or "").geturl()

    @property
    def processes(self) -> int:
        """Worker processes of each SLURM job."""
        return (self.cores or 1) // self.threads_per_worker

    @property
    def waits(self) -> float:
        """Seconds without any worker that are borne."""
        if self.kind in ("slurm", "kubernetes"):
            return PATIENCE_SECONDS if self.patience is None else self.patience
        return self.timeout

    def worker_count(self) -> int:
        """Worker processes, as far as they are known; `auto` knows the limits of a container and of a batch job."""
        if self.kind == "slurm":
            return (self.jobs or 0) * self.processes
        if self.kind == "dask":
            return 0
        if self.workers != "auto":
            return self.workers
        from dask.system import cpu_count  # takes half a second

        return int(cpu_count())

    def at_once(self) -> int:
        """Shards that are made at once on one machine, as far as that is known: who shares its card."""
        if self.kind == "synchronous":
            return 1
        workers = self.worker_count() if self.kind == "local" else self.processes if self.kind == "slurm" else 1
        return workers * self.threads_per_worker


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its address or as `localhost`."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _split(address: str) -> SplitResult:
    return urlsplit(address if "://" in address else f"tcp://{address}")

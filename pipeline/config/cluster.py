"""The section `cluster` of a job file: one class for each kind of cluster, with the keys that this kind has."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from pipeline.config.cores import usable_cores
from pipeline.config.sections import PositiveFloat, PositiveInt, Section
from pipeline.errors import ConfigError

PATIENCE_SECONDS = 12 * 3600.0
"""Time to wait for a batch queue unless the job says otherwise: a night."""


def memory_bytes(memory: str) -> int:
    """A number of bytes that is written like `8 GB`.

    >>> memory_bytes("8 GB"), memory_bytes("1.5GiB")
    (8000000000, 1610612736)
    """
    found = re.fullmatch(r"([0-9.]+) ?([kMGT])(i?)B", memory)
    assert found is not None, "checked by pydantic"
    return int(float(found[1]) * (1024 if found[3] else 1000) ** (1 + "kMGT".index(found[2])))


def _seconds(walltime: Any) -> Any:
    """Number of seconds in a walltime that is written as SLURM writes it, [D-]HH:MM:SS."""
    if not isinstance(walltime, str):
        return walltime
    found = re.fullmatch(r"(?:(\d{1,3})-)?(\d{1,4}):(\d{1,2}):(\d{1,2})", walltime, re.ASCII)
    if found is None:
        raise ValueError("a walltime is written [DAYS-]HH:MM:SS, or as a number of seconds")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


_WALLTIME = {
    "anyOf": [
        {"type": "integer", "minimum": 60},
        {"type": "string", "pattern": "^([0-9]{1,3}-)?[0-9]{1,4}:[0-9]{1,2}:[0-9]{1,2}$"},
    ]
}
Walltime = Annotated[int, BeforeValidator(_seconds), Field(ge=60), WithJsonSchema(_WALLTIME)]
Memory = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)? ?[kMGT]i?B$", max_length=16)]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.,:=@/+-]+$", max_length=256)]
Directive = Annotated[str, StringConstraints(pattern=r"^-[^\n\r]+$", max_length=256)]


class SecurityConfig(Section):
    """The certificates with which melmill and a scheduler prove to each other who they are: paths of PEM files."""

    ca: str
    """Certificate of the authority that signed the certificates of the cluster."""
    cert: str
    """Certificate of melmill."""
    key: str
    """Private key of that certificate. Refused if everybody on this machine may read it."""


class ClusterConfig(Section):
    """Where the work is done: the keys that every kind of cluster has."""

    kind: str
    """Kind of cluster: worker processes on this machine, this process alone, a Dask scheduler that runs already, SLURM
    jobs, or pods."""
    workers: Literal["auto"] | PositiveInt = "auto"
    """Number of worker processes, or of pods of kind kubernetes; `auto` is one per core. Kind slurm has `jobs` instead,
    and a Dask scheduler that is already running has workers of its own."""
    threads_per_worker: PositiveInt = 1
    """Threads of each worker process. Each thread makes a shard; with kind synchronous, all of them make one."""
    timeout: PositiveFloat = 60.0
    """Seconds to wait until a scheduler answers, until the first worker comes, and until a new worker comes after the
    last one was lost."""
    shard_timeout: PositiveFloat | None = None
    """Seconds that a worker may work on one shard without finishing another utterance; after that it is taken for hung
    and restarted. If null: ten times what the slowest shard so far would have taken, and at least five minutes."""
    grace: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0
    """Seconds that shards in flight may take to finish after Ctrl-C or SIGTERM."""
    insecure: bool = False
    """Allow a scheduler beyond this machine without TLS."""
    memory_limit: Memory | None = None
    """Memory that a run may take on one machine, such as `8 GB`: a job that would take more is refused. With workers
    elsewhere it is for a machine with workers: a SLURM job, a pod, or one worker of a Dask cluster."""

    @property
    def waits(self) -> tuple[float, str]:
        """Seconds without any worker after which the run gives up, and the key that sets them."""
        return self.timeout, "cluster.timeout"

    def worker_count(self) -> int:
        """Number of worker processes that this run starts."""
        return 0

    def at_once(self) -> int:
        """Number of shards that are made at once on one machine, as far as that is known: they share its GPU."""
        return self.workers_of_a_machine() * self.threads_per_worker

    def workers_of_a_machine(self) -> int:
        """Number of worker processes on one machine, as far as that is known."""
        return 1


class LocalConfig(ClusterConfig):
    """Worker processes on this machine."""

    kind: Literal["local"] = "local"

    def worker_count(self) -> int:
        """Number of worker processes; `auto` respects the limits of a container and of a batch job."""
        if self.workers != "auto":
            return self.workers
        return usable_cores()

    def workers_of_a_machine(self) -> int:
        """See ClusterConfig."""
        return self.worker_count()


class SynchronousConfig(ClusterConfig):
    """No workers: everything is done in this process, one shard after the other."""

    kind: Literal["synchronous"] = "synchronous"

    def at_once(self) -> int:
        """See ClusterConfig."""
        return 1


class DaskConfig(ClusterConfig):
    """A Dask scheduler that is already running, with its workers."""

    kind: Literal["dask"] = "dask"
    address: Annotated[str, Field(examples=["tcp://host:8786"])]
    """Address of the scheduler."""
    security: SecurityConfig | None = None
    """Certificates for a scheduler at tls://. If null: those of Dask's own configuration (`distributed.comm.tls`)."""

    @model_validator(mode="after")
    def _safe_address(self) -> Self:
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
                f"the scheduler {self.address} is beyond this machine and has no TLS: anyone who reaches it can run "
                "code on its workers. Use tls://, or set cluster.insecure=true on a network that you trust"
            )
        return self

    @property
    def scheduler(self) -> str:
        """`address` with its scheme."""
        return _split(self.address).geturl()


class _QueuedConfig(ClusterConfig):
    """Workers that a batch system starts when it has room for them."""

    memory: Memory
    """Memory of each SLURM job or pod: `8 GB`, `16GiB`."""
    patience: PositiveFloat | None = None
    """Seconds without any worker after which the run gives up. If null: twelve hours."""

    @property
    def waits(self) -> tuple[float, str]:
        """See ClusterConfig."""
        return (PATIENCE_SECONDS if self.patience is None else self.patience), "cluster.patience"


class SlurmConfig(_QueuedConfig):
    """Workers that are SLURM jobs."""

    kind: Literal["slurm"] = "slurm"
    jobs: Annotated[PositiveInt, Field(examples=["8"])]
    """Number of SLURM jobs that are kept in the queue or running until the work is done."""
    memory: Annotated[Memory, Field(examples=["8 GB"])]
    walltime: Annotated[Walltime, Field(examples=["04:00:00"])]
    """Time limit of each SLURM job, `[DAYS-]HH:MM:SS` or a number of seconds; at least a minute."""
    cores: PositiveInt | None = None
    """Number of cores of each SLURM job; one if null. Each worker process takes `threads_per_worker` of them."""
    partition: Word | None = None
    """Partition of SLURM; its default if null."""
    account: Word | None = None
    """Account that SLURM charges."""
    directives: tuple[Directive, ...] | None = None
    """More options for sbatch, such as `--gres=gpu:1`."""
    interface: Word | None = None
    """Network interface of the scheduler and of the workers, such as `ib0`."""
    folder: str | None = None
    """Folder that all SLURM nodes share, for the keys of a run and for its workers' logs. If null: `melmill-slurm` in
    the folder where the command is run."""

    @model_validator(mode="after")
    def _whole_workers(self) -> Self:
        if self.workers != "auto":
            raise ValueError(
                f"workers ({self.workers}) is not for kind: slurm, which starts `jobs` SLURM jobs with `cores` / "
                "`threads_per_worker` workers in each"
            )
        if (self.cores or 1) % self.threads_per_worker:
            raise ValueError(
                f"cores, {self.cores or 1}, must be a multiple of threads_per_worker, {self.threads_per_worker}"
            )
        return self

    @property
    def processes(self) -> int:
        """Number of worker processes in each SLURM job."""
        return (self.cores or 1) // self.threads_per_worker

    def worker_count(self) -> int:
        """See ClusterConfig."""
        return self.jobs * self.processes

    def workers_of_a_machine(self) -> int:
        """See ClusterConfig."""
        return self.processes


class KubernetesConfig(_QueuedConfig):
    """Workers that are pods, started by the operator of dask-kubernetes."""

    kind: Literal["kubernetes"] = "kubernetes"
    workers: Annotated[PositiveInt, Field(examples=["8"])]
    image: Annotated[Word, Field(examples=["registry/melmill:0.1.0"])]
    """Image of the pods: it holds melmill and what that needs."""
    memory: Annotated[Memory, Field(examples=["4 GiB"])]
    namespace: Word | None = None
    """Namespace of the pods; the current one if null."""

    def worker_count(self) -> int:
        """See ClusterConfig."""
        return self.workers


KINDS: Mapping[str, type[ClusterConfig]] = {
    each.model_fields["kind"].default: each
    for each in (LocalConfig, SynchronousConfig, DaskConfig, SlurmConfig, KubernetesConfig)
}
"""Kind of cluster -> the class with its keys."""


def kinds_with(key: str) -> list[str]:
    """The kinds of cluster that have a key."""
    return [kind for kind, its in KINDS.items() if key in its.model_fields]


def _of_one_kind(values: Any) -> Any:
    """The section with its kind, and without the keys of other kinds that are null.

    A job.json that was written before each kind had a class of its own holds the keys of all kinds.
    """
    if not isinstance(values, Mapping):
        return values
    values = {"kind": "local", **values}
    foreign = [key for key in values if (kinds := kinds_with(key)) and values["kind"] not in kinds]
    return {key: value for key, value in values.items() if value is not None or key not in foreign}


Cluster = Annotated[
    LocalConfig | SynchronousConfig | DaskConfig | SlurmConfig | KubernetesConfig,
    Field(discriminator="kind"),
    BeforeValidator(_of_one_kind),
]
"""The section `cluster`, of any kind. Without a `kind` it is a local one."""


@contextlib.contextmanager
def importing_dask() -> Iterator[None]:
    """A time for importing Dask, which then reads what this machine configures for it, and writes a sample beside it.

    Raises:
        ConfigError: if Dask refuses a file or a value of that.
    """
    if os.path.expanduser("~") == "~":  # no home folder is known: Dask would make a folder of that name right here
        os.environ.setdefault("DASK_CONFIG", os.devnull)
    try:
        yield
    except ImportError:
        raise
    except Exception as error:  # of any kind: values are used unchecked
        raise ConfigError(
            "Dask cannot be imported with what this machine configures for it: "
            f"{type(error).__name__}: {error}. Correct the file or the value that this names: Dask reads the files in "
            "/etc/dask, ~/.config/dask and $DASK_CONFIG, and variables whose names begin with DASK_"
        ) from error


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its address or as `localhost`."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _split(address: str) -> SplitResult:
    return urlsplit(address if "://" in address else f"tcp://{address}")

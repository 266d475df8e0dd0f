"""The section `cluster` of a job file."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.config.sections import PositiveFloat, PositiveInt, Section


class ClusterConfig(Section):
    """Where the work is done."""

    kind: Literal["local", "dask", "synchronous"] = "local"
    address: str | None = None
    """Address of a running scheduler, for kind `dask`."""
    workers: Literal["auto"] | PositiveInt = "auto"
    """Worker processes of a local cluster; `auto` is one a core."""
    threads_per_worker: PositiveInt = 1
    timeout: PositiveFloat = 60.0
    """Seconds to wait for a scheduler to answer, and for a first worker or a new one after the last was lost."""
    shard_timeout: PositiveFloat | None = None
    """Seconds that a worker may take over one shard without finishing one more utterance, before it is taken for hung
    and started anew; none for ten times what the slowest shard so far would have taken, and at least five minutes."""
    grace: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0
    """Seconds that shards in flight are given to finish after Ctrl-C or SIGTERM."""
    insecure: bool = False
    """Allow a scheduler beyond this machine without TLS."""

    @model_validator(mode="after")
    def _address_where_needed(self) -> Self:
        if (self.kind == "dask") != (self.address is not None):
            raise ValueError("kind: dask and address: tcp://host:port belong together")
        return self

    def worker_count(self) -> int:
        """Worker processes of a local cluster; `auto` knows the limits of a container and of a batch system's job."""
        if self.workers != "auto":
            return self.workers
        from dask.system import cpu_count  # takes half a second

        return int(cpu_count())

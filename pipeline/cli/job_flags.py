"""JobFlags: the flags that plan, run, retry and publish share, as one value."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli import completion
from pipeline.cli.options import output_access
from pipeline.config import Codec, JobConfig, Subtype, load_job
from pipeline.config.cluster import KINDS
from pipeline.errors import ConfigError
from pipeline.planning.prepare import job_of_output
from pipeline.vocoders.registry import NAMES

Command = Callable[..., None]


@dataclass(frozen=True)
class JobFlags:
    """Where a job is written down, and the flags that override it."""

    job: Annotated[Path | None, typer.Argument(metavar="JOB.yaml", help="Job file. Flags override it.")] = None
    store: Annotated[str | None, typer.Option("--store", help="Path or URL of the mel store (input.store).")] = None
    out: Annotated[str | None, typer.Option("--out", help="Folder or URL for the audio (output.url).")] = None
    vocoder: Annotated[
        str | None,
        typer.Option(
            "--vocoder",
            metavar="NAME",
            help=f"Vocoder (vocoder.name): {', '.join(NAMES)}, or path of an .onnx file made by melmill.",
            autocompletion=completion.vocoders,
        ),
    ] = None
    codec: Annotated[Codec | None, typer.Option("--codec", help="Audio codec (output.codec).")] = None
    subtype: Annotated[
        Subtype | None, typer.Option("--subtype", help="Sample format; FLOAT needs codec wav (output.subtype).")
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", min=1, help="Number of local worker processes (cluster.workers; default: one per core)."
        ),
    ] = None
    scheduler: Annotated[
        str | None,
        typer.Option(
            "--scheduler",
            help="Address of a Dask scheduler: tls://host:8786, or tcp:// on this machine. 'synchronous': work in this "
            "process, without workers.",
        ),
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any key of the job, such as output.shard_seconds=60; melmill config keys lists them.",
            autocompletion=completion.settings,
        ),
    ] = None
    adopt: Annotated[bool, typer.Option("--adopt", help="Resume an output whose store was moved to another place.")] = (
        False
    )

    def config(self, earlier: Mapping[str, Any] | None = None, *more: str) -> JobConfig:
        """The job.

        Args:
            earlier: values of an earlier job, in place of the job file.
            more: settings that override those of the user.
        """
        values = {
            "input.store": self.store,
            "output.url": self.out,
            "vocoder.name": self.vocoder,
            "output.codec": self.codec,
            "output.subtype": self.subtype,
            "cluster.workers": self.workers,
        }
        flags: dict[str, Any] = {key: value for key, value in values.items() if value is not None}
        if self.scheduler is not None:
            kind = "synchronous" if self.scheduler == "synchronous" else "dask"
            keys = {key for each in KINDS.values() for key in each.model_fields}
            flags |= {f"cluster.{key}": None for key in keys - KINDS[kind].model_fields.keys()}
            flags["cluster.kind"] = kind
            if kind == "dask":
                flags["cluster.address"] = self.scheduler
        return load_job(self.job if earlier is None else earlier, flags, [*(self.settings or ()), *more])

    def config_of(self, output: str) -> JobConfig:
        """The job that made an output, with these flags.

        Raises:
            ConfigError: if the flags name another output.
        """
        access = [setting for setting in self.settings or () if setting.startswith("output.options.")]
        config = self.config(job_of_output(output, output_access(output, access).options))
        url = config.output.url
        if url != output:
            raise ConfigError(f"--set output.url={url}: this command works on {output}, which it was given")
        return config


def with_job_flags(*names: str) -> Callable[[Command], Command]:
    """Gives a command the flags of JobFlags in place of its parameter `flags`.

    Args:
        names: fields of JobFlags that the command has flags for; all of them if none is named.
    """
    fields = inspect.signature(JobFlags, eval_str=True).parameters
    shared = {name: fields[name] for name in names or fields}

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def called(**values: Any) -> None:
            flags = JobFlags(**{name: values.pop(name) for name in shared})
            command(flags=flags, **values)

        own = inspect.signature(command, eval_str=True).parameters
        parameters = [
            each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for name in own
            for each in (shared.values() if name == "flags" else [own[name]])
        ]
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {each.name: each.annotation for each in parameters}
        return called

    return decorate

"""The commands plan, run, retry and publish."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline import array, jobs, prepare
from pipeline.cli.output import output_access
from pipeline.cli.progress import LINES_SHOWN, duration, hours, print_some, run_view, size
from pipeline.config import JobConfig, load_job
from pipeline.errors import ConfigError, MelmillError, UtteranceError
from pipeline.events import Listener, RunFailed
from pipeline.ledger import FAILURES, MANIFEST
from pipeline.parts import Part

_FAR_OFF = 0.5
"""A `mel_distance_relative` of no vocoder that fits: 0.10 to 0.16 where all is right, up to 0.32 where the logarithm is
not, 1.5 of untrained weights."""

JobFile = Annotated[Path | None, typer.Argument(metavar="JOB.yaml", help="Job file. Flags go over it.")]
Store = Annotated[str | None, typer.Option("--store", help="Path or URL of the mel store (input.store).")]
Out = Annotated[str | None, typer.Option("--out", help="Folder for the audio (output.url).")]
VocoderName = Annotated[str | None, typer.Option("--vocoder", help="Name, or path of an .onnx of melmill's.")]
CodecName = Annotated[str | None, typer.Option("--codec", help="flac or wav (output.codec).")]
SubtypeName = Annotated[str | None, typer.Option("--subtype", help="PCM_16, PCM_24, or FLOAT for wav.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Local worker processes (default: one a core).")]
Scheduler = Annotated[
    str | None,
    typer.Option("--scheduler", help="Address of a Dask scheduler, tcp://host:port; or 'synchronous': this process."),
]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any key: output.shard_seconds=60.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LogJson = Annotated[bool, typer.Option("--log-json", help="Progress as JSON lines on standard error.")]
PartOf = Annotated[
    str | None,
    typer.Option(
        "--part",
        metavar="I/N",
        help="Part I of N, counted from 0 or from 1, each started by itself: an array job. The last one publishes.",
    ),
]
SingleWriter = Annotated[
    bool, typer.Option("--single-writer", help="For an object store without conditional PUT: nobody else writes to it.")
]
Adopt = Annotated[bool, typer.Option("--adopt", help="Go on with an output whose store was moved to another place.")]


def plan(
    job: JobFile = None,
    store: Store = None,
    out: Out = None,
    vocoder: VocoderName = None,
    codec: CodecName = None,
    subtype: SubtypeName = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    settings: Set = None,
    adopt: Adopt = False,
    as_json: Json = False,
) -> None:
    """Show what run would do and why. Writes nothing."""
    config = _config(job, store, out, vocoder, codec, subtype, workers, scheduler, settings)
    prepared = prepare.prepare(config, adopt)
    plan = prepared.plan
    if as_json:
        facts = {
            "store": prepared.store.describe(),
            "output": prepared.job.config.output.url,
            "vocoder": prepared.vocoder.name,
            "differences": [str(difference) for difference in prepared.differences],
            "doubt": prepared.doubt,
        }
        print(json.dumps({**facts, **plan.to_dict()}))
        return
    print(f"store     {prepared.store.describe()}")
    print(f"vocoder   {prepared.vocoder.name} ({prepared.vocoder.digest[:8]})")
    for difference in prepared.differences:
        print(f"contract  {difference}")
    if prepared.doubt is not None:
        print(f"note      {prepared.doubt}")
    print(f"output    {prepared.job.config.output.url}")
    made = sum(len(shard.members) for shard in plan.todo)
    print(f"to make   {made} utterances, {hours(plan.seconds)}, {len(plan.todo)} shards")
    for reason, count in Counter(shard.reason for shard in plan.todo).most_common(LINES_SHOWN):
        print(f"          {count} shards: {reason}")
    print(f"there     {sum(len(shard.members) for shard in plan.done)} utterances, {len(plan.done)} shards", end="")
    quarantined = sum(shard.failed for shard in plan.done)
    print(f", {quarantined} of them quarantined (melmill retry makes those again)" if quarantined else "")
    print(f"refused   {len(plan.refused)} utterances")
    print_some([f"          {failure.key}: {failure.reason}" for failure in plan.refused])
    print(f"reading   {size(plan.read_bytes)} of chunks for {size(plan.wanted_bytes)} of mels, ", end="")
    print(f"amplification {plan.read_amplification:.2f}")
    cluster = prepared.job.config.cluster
    print(f"memory    about {size(plan.worker_bytes)} a worker", end="")
    print(f", {cluster.worker_count()} workers" if cluster.kind == "local" else "")


def run(
    job: JobFile = None,
    store: Store = None,
    out: Out = None,
    vocoder: VocoderName = None,
    codec: CodecName = None,
    subtype: SubtypeName = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    settings: Set = None,
    adopt: Adopt = False,
    part: PartOf = None,
    single_writer: SingleWriter = False,
    log_json: LogJson = False,
) -> None:
    """Convert a mel store into audio shards and a manifest; go on where an earlier run stopped."""
    settings = [*(settings or ()), *(["output.single_writer=true"] if single_writer else ())]
    config = _config(job, store, out, vocoder, codec, subtype, workers, scheduler, settings)
    if part is None:
        _finish(config, log_json, lambda listener: jobs.run(config, listener, adopt))
    else:
        wanted = Part.parse(part)
        _finish(config, log_json, lambda listener: array.run_part(config, wanted, listener, adopt))


def retry(
    output: Annotated[str, typer.Argument(metavar="OUT", help="Folder that a run wrote to.")],
    store: Store = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    settings: Set = None,
    adopt: Adopt = False,
    log_json: LogJson = False,
) -> None:
    """Make the quarantined utterances of an output again, and whatever else is missing, with the job that made it.

    What fails again is quarantined again: quality.give_up_after does not count.
    """
    config = _config(_job_of(output, settings), store, None, None, None, None, workers, scheduler, settings)
    if config.output.url != output:
        raise ConfigError(f"--set output.url={config.output.url}: retry works on {output}, which it was given")
    _finish(config, log_json, lambda listener: jobs.run(config, listener, adopt, retry=True))


def publish(
    output: Annotated[str, typer.Argument(metavar="OUT", help="Folder that the parts of a job wrote to.")],
    store: Store = None,
    settings: Set = None,
    adopt: Adopt = False,
    log_json: LogJson = False,
) -> None:
    """Publish what the parts of a job have made, if the last of them was killed before it could.

    Exit code 75: shards are to be made yet; run the parts again, any of them.
    """
    config = _config(_job_of(output, settings), store, None, None, None, None, None, None, settings)
    _finish(config, log_json, lambda listener: array.publish_parts(config, listener, adopt))


def _job_of(output: str, settings: list[str] | None) -> dict[str, Any]:
    """The job that made an output."""
    ours = [setting for setting in settings or () if setting.startswith("output.options.")]
    return prepare.job_of_output(output, output_access(output, ours).options)


def _finish(config: JobConfig, log_json: bool, work: Callable[[Listener], jobs.RunReport | array.PartReport]) -> None:
    view = run_view(log_json)
    try:
        with view:
            report = work(view)
    except MelmillError as error:
        if not log_json:
            raise
        view(RunFailed(type(error).__name__, str(error), error.exit_code))
        raise typer.Exit(error.exit_code) from error
    if isinstance(report, array.PartReport):
        if report.published is None:
            print(
                f"done in {duration(report.elapsed)}: this part made {hours(report.made_seconds)}; other parts are at "
                "work, and the last of them publishes"
            )
            return
        report = report.published
    _summarize(report, config)
    if report.totals.failed:
        raise typer.Exit(UtteranceError.exit_code)


def _config(
    job: Path | dict[str, Any] | None,
    store: str | None,
    out: str | None,
    vocoder: str | None,
    codec: str | None,
    subtype: str | None,
    workers: int | None,
    scheduler: str | None,
    settings: list[str] | None,
) -> JobConfig:
    flags: dict[str, Any] = {
        "input.store": store,
        "output.url": out,
        "vocoder.name": vocoder,
        "output.codec": codec,
        "output.subtype": subtype,
        "cluster.workers": workers,
    }
    flags = {key: value for key, value in flags.items() if value is not None}
    if scheduler == "synchronous":
        flags |= {"cluster.kind": "synchronous", "cluster.address": None}
    elif scheduler is not None:
        flags |= {"cluster.kind": "dask", "cluster.address": scheduler}
    return load_job(job, flags, settings or ())


def _summarize(report: jobs.RunReport, config: JobConfig) -> None:
    totals = report.totals
    there = f"{totals.utterances} utterances, {hours(totals.seconds)}"
    if not report.run_id:
        print(f"nothing to do: {config.output.url} holds {there} already")
    else:
        speed = report.made_seconds / report.elapsed if report.elapsed else 0.0
        print(
            f"done in {duration(report.elapsed)}: made {hours(report.made_seconds)}, {speed:.1f} x real time; "
            f"{config.output.url}/{MANIFEST} lists {there}"
        )
    if totals.mel_distance_median is not None:
        print(
            f"mel_distance {totals.mel_distance_median:.3f} in the median ({totals.mel_distance_relative_median:.2f} "
            f"relative), {totals.mel_distance_worst:.3f} at worst, for {totals.mel_distance_worst_key}"
        )
        if (totals.mel_distance_relative_median or 0.0) > _FAR_OFF:
            print(
                "the audio is not that of its mels: untrained weights, or mels of another contract than the vocoder's? "
                f"Listen to it, and try: melmill vocoder check {config.vocoder.name}"
            )
    if totals.over_full_scale:
        kept = config.output.subtype == "FLOAT"
        print(
            f"{totals.over_full_scale} utterances have samples over full scale, {totals.over_full_scale_samples} in "
            f"all, with a peak of {totals.peak:.3f} in {totals.peak_key}: "
            + ("kept as they are" if kept else "clipped; codec wav of subtype FLOAT keeps them")
        )
    if totals.failed:
        print(f"{totals.failed} utterances failed; {config.output.url}/{FAILURES} says why for each")

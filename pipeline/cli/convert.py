"""The commands plan, run, retry and publish."""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.output import output_access
from pipeline.cli.progress import duration, hours, logged_to, print_some, reason_line, run_view, size
from pipeline.config import JobConfig, load_job
from pipeline.errors import ConfigError, MelmillError, UtteranceError
from pipeline.events import Event, Listener, RunFailed, RunFinished
from pipeline.events.prometheus import MetricsFile
from pipeline.jobs import run as jobs
from pipeline.jobs import run_part as array
from pipeline.output.layout import FAILURES, MANIFEST
from pipeline.planning import prepare
from pipeline.planning.parts import Part
from pipeline.redaction import redacted

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
    typer.Option(
        "--scheduler",
        help="Address of a Dask scheduler: tls://host:8786, or tcp:// on this machine; 'synchronous': no workers, all "
        "in this process.",
    ),
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
IfChanged = Annotated[
    bool,
    typer.Option(
        "--if-changed",
        help="For schedules: say nothing and exit with 0 where nothing is to be made; else say why, and no progress.",
    ),
]
Metrics = Annotated[
    Path | None,
    typer.Option(
        "--metrics", metavar="FILE.prom", help="Write figures of the run there, for node_exporter's textfiles."
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
    plan = jobs.plan(config, adopt)
    if as_json:
        print(json.dumps(plan.describe()))
        return
    print(f"store     {plan.store}")
    print(f"vocoder   {plan.vocoder} ({plan.vocoder_digest[:8]})")
    for difference in plan.differences:
        print(f"contract  {difference}")
    if plan.unverified is not None:
        print(f"note      {plan.unverified}")
    if plan.metadata is not None:
        print(f"metadata  {plan.metadata}")
    print(f"output    {plan.output}")
    made = sum(len(shard.members) for shard in plan.todo)
    print(f"to make   {made} utterances, {hours(plan.seconds)}, {len(plan.todo)} shards")
    print_some([f"          {reason_line(reason)}" for reason in plan.reasons])
    print(f"there     {sum(len(shard.members) for shard in plan.done)} utterances, {len(plan.done)} shards", end="")
    quarantined = sum(shard.failed for shard in plan.done)
    print(f", {quarantined} of them quarantined (melmill retry makes those again)" if quarantined else "")
    if plan.publication_due is not None:
        print(f"publish   {plan.publication_due}")
    print(f"refused   {len(plan.refused)} utterances")
    print_some([f"          {failure.key}: {failure.reason}" for failure in plan.refused])
    print(f"reading   {size(plan.read_bytes)} of chunks for {size(plan.wanted_bytes)} of mels, ", end="")
    print(f"amplification {plan.read_amplification:.2f}")
    print(f"memory    about {size(plan.worker_bytes)} a worker", end="")
    print(f", {plan.workers} workers" if plan.workers is not None else "")


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
    if_changed: IfChanged = False,
    metrics: Metrics = None,
    log_json: LogJson = False,
) -> None:
    """Convert a mel store into audio shards and a manifest; go on where an earlier run stopped.

    Exit codes: 0 done, or nothing to do; 3 done, some utterances quarantined; 2 bad command line, job or store; 4 the
    mel contract does not fit; 5 another run is at work; 6 storage or cluster failed; 7 too many failures; 75
    interrupted. After 6 and 75 run it again: it goes on.
    """

    def work(config: JobConfig, listener: Listener) -> jobs.RunReport | array.PartReport:
        if part is None:
            return jobs.run(config, listener, adopt)
        return array.run_part(config, Part.parse(part), listener, adopt)

    def configured() -> JobConfig:
        writer = ["output.single_writer=true"] if single_writer else []
        return _config(job, store, out, vocoder, codec, subtype, workers, scheduler, [*(settings or ()), *writer])

    _finish(configured, work, log_json, if_changed, metrics)


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

    def configured() -> JobConfig:
        job = _job_of(output, settings)
        config = _config(job, store, None, None, None, None, workers, scheduler, settings)
        if config.output.url != output:
            raise ConfigError(f"--set output.url={config.output.url}: retry works on {output}, which it was given")
        return config

    _finish(configured, lambda config, listener: jobs.run(config, listener, adopt, retry=True), log_json)


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

    def configured() -> JobConfig:
        return _config(_job_of(output, settings), store, None, None, None, None, None, None, settings)

    _finish(configured, lambda config, listener: array.publish_parts(config, listener, adopt), log_json)


def _job_of(output: str, settings: list[str] | None) -> dict[str, Any]:
    """The job that made an output."""
    ours = [setting for setting in settings or () if setting.startswith("output.options.")]
    return prepare.job_of_output(output, output_access(output, ours).options)


def _finish(
    configured: Callable[[], JobConfig],
    work: Callable[[JobConfig, Listener], jobs.RunReport | array.PartReport],
    log_json: bool,
    if_changed: bool = False,
    metrics: Path | None = None,
) -> None:
    """Do the work, and say how it goes and how it ended."""
    view = run_view(log_json, progress=not if_changed)
    figures: MetricsFile | None = None

    def listen(event: Event) -> None:
        if figures is not None:
            figures(event)
        if not (if_changed and isinstance(event, RunFinished) and not event.run_id):
            view(event)

    try:
        config = configured()
        with contextlib.ExitStack() as stack:
            if metrics is not None:
                figures = stack.enter_context(MetricsFile(metrics, config.output.url))
            stack.enter_context(view)
            stack.enter_context(logged_to(view))
            report = work(config, listen)
    except Exception as error:
        if not log_json:
            raise
        code = error.exit_code if isinstance(error, MelmillError) else MelmillError.exit_code
        words = str(error) if isinstance(error, MelmillError) else redacted(traceback.format_exc())
        view(RunFailed(type(error).__name__, words, code))
        raise typer.Exit(code) from error
    if isinstance(report, array.PartReport):
        if report.published is None:
            print(
                f"done in {duration(report.elapsed)}: this part made {hours(report.made_seconds)}; other parts are at "
                "work, and the last of them publishes"
            )
            return
        report = report.published
    if if_changed and not report.run_id:
        return  # what is quarantined was told by the run that found it
    _summarize(report, config.public())
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
        print(
            f"{totals.failed} utterances failed; {config.output.url}/{FAILURES} says why for each. When the cause is "
            f"mended: melmill retry {config.output.url}"
        )

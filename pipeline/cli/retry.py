"""The command `melmill retry`."""

from __future__ import annotations

from pipeline.cli.carry_out import carry_out
from pipeline.cli.job_flags import JobFlags, with_job_flags
from pipeline.cli.options import LogJson, Output, Quiet, Verbose, detail
from pipeline.jobs import run as jobs


@with_job_flags("store", "workers", "scheduler", "settings", "adopt")
def retry(
    output: Output, flags: JobFlags, log_json: LogJson = False, quiet: Quiet = False, verbose: Verbose = False
) -> None:
    """Make the quarantined utterances of an output again.

    This uses the job that made the output, and also makes whatever else is missing. An utterance that fails again is
    quarantined again; quality.give_up_after is ignored.

    Example:
        melmill retry audio
    """
    carry_out(
        lambda: flags.config_of(output),
        lambda config, listener: jobs.run(config, listener, flags.adopt, retry=True),
        log_json,
        detail=detail(quiet, verbose),
    )

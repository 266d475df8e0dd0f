"""The command `melmill retry`."""

from __future__ import annotations

from pipeline.cli.carry_out import carry_out
from pipeline.cli.job_flags import JobFlags, with_job_flags
from pipeline.cli.options import LogJson, Output, output_access
from pipeline.config import JobConfig
from pipeline.errors import ConfigError
from pipeline.jobs import run as jobs
from pipeline.planning.prepare import job_of_output


@with_job_flags("store", "workers", "scheduler", "settings", "adopt")
def retry(output: Output, flags: JobFlags, log_json: LogJson = False) -> None:
    """Make the quarantined utterances of an output again.

    This uses the job that made the output, and also makes whatever else is missing. An utterance that fails again is
    quarantined again; quality.give_up_after is ignored.
    """

    def configured() -> JobConfig:
        config = flags.config(job_of_output(output, output_access(output, flags.client_settings).options))
        if config.output.url != output:
            raise ConfigError(f"--set output.url={config.output.url}: retry works on {output}, which it was given")
        return config

    carry_out(configured, lambda config, listener: jobs.run(config, listener, flags.adopt, retry=True), log_json)

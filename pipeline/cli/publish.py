"""The command `melmill publish`."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.carry_out import carry_out
from pipeline.cli.job_flags import JobFlags, with_job_flags
from pipeline.cli.options import LogJson, Quiet, detail
from pipeline.jobs.run_part import publish_parts


@with_job_flags("store", "settings", "adopt")
def publish(
    output: Annotated[str, typer.Argument(metavar="OUT", help="Output folder of the parts of a job.")],
    flags: JobFlags,
    log_json: LogJson = False,
    quiet: Quiet = False,
) -> None:
    """Publish what the parts of a job have made.

    The last part does this by itself; use this command if that part was killed before it could.

    Exit code 75: some shards are not made yet. Run the parts again, in any order.

    Example:
        melmill publish audio
    """
    carry_out(
        lambda: flags.config_of(output),
        lambda config, listener: publish_parts(config, listener, flags.adopt),
        log_json,
        detail=detail(quiet, verbose=False),
    )

"""The command `melmill config schema`."""

from __future__ import annotations

import json

from pipeline.config.schema import job_schema


def schema() -> None:
    """Print the JSON Schema of a job file.

    Editors check a job file with it, and show what each key means. For those with yaml-language-server, write it to
    job.schema.json and begin the job file with: # yaml-language-server: $schema=job.schema.json

    Example:
        melmill config schema > job.schema.json
    """
    print(json.dumps(job_schema(), indent=2))

"""The command `melmill config keys`."""

from __future__ import annotations

import json

from pipeline.cli.options import Json
from pipeline.config.keys import JobKey, job_keys


def keys(as_json: Json = False) -> None:
    """List every key of a job, with its values and default.

    There is one line for each key: what a job file and --set call it, what it may be, its default, what it means. A key
    without a default must be given. --json has the whole description of each.

    Example:
        melmill config keys
    """
    found = job_keys()
    if as_json:
        print(json.dumps([each.to_dict() for each in found]))
        return
    rows = [(each.path, " | ".join((*each.choices, *each.sorts)), _default(each), _meaning(each)) for each in found]
    path, values, default = (max(len(row[column]) for row in rows) for column in range(3))
    for row in rows:
        print(f"{row[0]:{path}}  {row[1]:{values}}  {row[2]:{default}}  {row[3]}")


def _default(key: JobKey) -> str:
    return "(needed)" if key.default is None else key.default


def _meaning(key: JobKey) -> str:
    return f"({', '.join(key.kinds)}) {key.meaning}" if key.kinds else key.meaning

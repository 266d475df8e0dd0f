"""A job file as text: every key of a job on this machine, with what it means in a comment above it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from itertools import groupby

from pipeline.config.job import JobConfig
from pipeline.config.keys import JobKey, job_keys, yaml_value
from pipeline.config.reading import parse_yaml

_WIDTH = 100
_HEAD = """\
# A job of melmill, with every key of a job on this machine.
#   melmill plan JOB.yaml   shows what it would make, and why
#   melmill run JOB.yaml    makes it
# `melmill config keys` also lists the keys of other clusters. `melmill config schema` is for editors.
"""


def job_text(values: Mapping[str, str | bool], notes: Mapping[str, Sequence[str]] | None = None) -> str:
    """A commented job file, which `load_job` reads.

    Args:
        values: key -> value, for keys whose value is not the default: `output.url`. It has all that must be given.
        notes: key -> lines to be written above it, as comments.

    Raises:
        ConfigError: if the values make no valid job.
    """
    lines = [_HEAD.rstrip("\n")]
    local = [each for each in job_keys() if not each.kinds or "local" in each.kinds]
    for section, keys in groupby(local, key=lambda each: each.section):
        lines.append(f"{section}:")
        for key in keys:
            lines += [f"  # {line}" for line in (*_comment(key), *(notes or {}).get(key.path, ()))]
            choices = " | ".join((*key.choices, *key.sorts))
            others = f"  # {choices}" if len(key.choices) > 1 and key.choices[0] != "true" else ""
            value = yaml_value(values[key.path]) if key.path in values else key.default
            lines.append(f"  {key.name}: {value}{others}")
    text = "\n".join(lines) + "\n"
    JobConfig.build(parse_yaml(text, "the new job file"), "the new job file")
    return text


def _comment(key: JobKey) -> list[str]:
    """What a key means, and what null means, in lines that fit."""
    null = re.search(r"If null: .*?[^.]\.(?= |$)", key.words)
    words = f"{key.meaning} {null[0]}" if null and null[0] not in key.meaning else key.meaning
    return textwrap.wrap(words, _WIDTH, break_long_words=False, break_on_hyphens=False)

"""The JSON Schema of a job file, by a real validator: it takes and refuses what melmill itself takes and refuses."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from support.pages import PAGES, blocks
from support.paths import ROOT

from pipeline.config import JobConfig
from pipeline.config.schema import job_schema
from pipeline.config.template import job_text
from pipeline.errors import ConfigError

SCHEMA = job_schema()
LOCAL: dict[str, Any] = {"input": {"store": "mels.zarr"}, "output": {"url": "audio"}}
DASK = {"kind": "dask", "address": "tcp://127.0.0.1:8786"}
SLURM = {"kind": "slurm", "jobs": 8, "memory": "8 GB", "walltime": "04:00:00"}


def problems(job: Any) -> list[str]:
    return [each.message for each in jsonschema.validators.validator_for(SCHEMA)(SCHEMA).iter_errors(job)]


def jobs() -> list[tuple[str, Any]]:
    """The whole jobs among the shipped files and the examples of the pages."""
    found = [(str(path), path.read_text()) for path in sorted((ROOT / "configs").rglob("*.yaml"))]
    found += [(page, block.body) for page in PAGES for block in blocks(page) if block.language == "yaml"]
    plain = [(name, yaml.safe_load(text)) for name, text in found if "\n---" not in text]
    return [(name, job) for name, job in plain if {"input", "output"} <= set(job)]


def test_the_schema_is_one() -> None:
    jsonschema.validators.validator_for(SCHEMA).check_schema(SCHEMA)
    json.dumps(SCHEMA)


def test_every_job_that_is_shipped_or_written_is_valid() -> None:
    assert len(jobs()) > 5
    for name, job in jobs():
        assert problems(job) == [], Path(name).name
    assert problems(yaml.safe_load(job_text({"input.store": "mels.zarr", "output.url": "audio"}))) == []


@pytest.mark.parametrize(
    ("section", "values", "right"),
    [
        ("cluster", {"workers": 2}, True),
        ("cluster", {"kind": "local", "workers": "auto"}, True),
        ("cluster", {"kind": "synchronous"}, True),
        ("cluster", DASK, True),
        ("cluster", SLURM, True),
        ("cluster", {**SLURM, "walltime": 3600}, True),
        ("cluster", {**SLURM, "walltime": 30}, False),
        ("cluster", {**SLURM, "walltime": "4 hours"}, False),
        ("cluster", {**SLURM, "memory": "lots"}, False),
        ("cluster", {"kind": "slurm"}, False),
        ("cluster", {"kind": "slrum"}, False),
        ("cluster", {"workers": 0}, False),
        ("cluster", {"jobs": 2}, False),
        ("output", {"url": "audio", "shard_second": 3}, False),
        ("output", {"url": "audio", "codec": "mp3"}, False),
        ("output", {"url": "audio", "shard_seconds": None}, True),
        ("output", {}, False),
        ("input", {"store": "x", "mel": {"preset": "hifigan-22k"}}, True),
        ("input", {"store": "x", "convert": "maybe"}, False),
        ("quality", {"max_failure_rate": 2}, False),
        ("qualty", {}, False),
    ],
)
def test_the_schema_takes_what_melmill_takes(section: str, values: dict[str, Any], right: bool) -> None:
    job = {**LOCAL, section: values}
    assert (problems(job) == []) == right
    if right:
        JobConfig.build(job)
    else:
        with pytest.raises(ConfigError):
            JobConfig.build(job)

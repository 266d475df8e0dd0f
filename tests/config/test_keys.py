"""What melmill says of a job's keys: their list, the JSON Schema, a new job file."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import JobConfig, load_job
from pipeline.config.cluster import KINDS
from pipeline.config.keys import job_keys, yaml_value
from pipeline.config.reading import parse_yaml
from pipeline.config.schema import job_schema, key_words
from pipeline.config.template import job_text
from pipeline.errors import ConfigError

NEEDED = {"input.store": "mels.zarr", "output.url": "audio"}


def test_every_key_of_a_job_is_listed_with_its_default() -> None:
    job = JobConfig.build({"input": {"store": "x"}, "output": {"url": "y"}})
    keys = {each.path: each for each in job_keys()}
    for section, values in job.model_dump(mode="json").items():
        for name, value in values.items():
            default = keys[f"{section}.{name}"].default
            assert (None if default is None else yaml.safe_load(default)) == (
                None if name in ("store", "url") else value
            ), name
    of_clusters = {f"cluster.{key}" for kind in KINDS.values() for key in kind.model_fields}
    assert of_clusters == {path for path in keys if path.startswith("cluster.") and path.count(".") == 1}
    assert keys["cluster.walltime"].kinds == ("slurm",)
    assert keys["cluster.timeout"].kinds == ()
    assert keys["cluster.security.ca"].kinds == ("dask",)
    assert {path for path, each in keys.items() if each.default is None} == {
        "input.store", "output.url", "cluster.address", "cluster.memory", "cluster.jobs", "cluster.walltime",
        "cluster.image", "cluster.security.ca", "cluster.security.cert", "cluster.security.key",
    }  # fmt: skip


def test_every_key_says_what_it_means_in_a_sentence() -> None:
    for each in job_keys():
        assert each.meaning.endswith("."), each.path
        assert "\n" not in each.words
    assert key_words(KINDS["slurm"])["memory"] == "Memory of each SLURM job or pod: `8 GB`, `16GiB`."


def test_config_keys_prints_a_line_for_each() -> None:
    lines = CliRunner().invoke(app, ["config", "keys"]).stdout.splitlines()
    assert [line.split()[0] for line in lines] == [each.path for each in job_keys()]
    (codec,) = (line for line in lines if line.startswith("output.codec "))
    assert " ".join(codec.split()) == "output.codec flac | wav flac Audio format."
    described = json.loads(CliRunner().invoke(app, ["config", "keys", "--json"]).stdout)
    assert described == [each.to_dict() for each in job_keys()]


def test_the_schema_describes_every_key_and_knows_no_other() -> None:
    schema = json.loads(CliRunner().invoke(app, ["config", "schema"]).stdout)
    assert schema == job_schema()
    for name, section in schema["$defs"].items():
        assert section["additionalProperties"] is False, name
        for key, described in section["properties"].items():
            assert described["description"].endswith("."), (name, key)


def test_a_new_job_file_has_every_key_of_a_local_job_at_its_default() -> None:
    written = yaml.safe_load(job_text(NEEDED))
    assert JobConfig.build(written) == JobConfig.build({"input": {"store": "mels.zarr"}, "output": {"url": "audio"}})
    for section, values in JobConfig.build(written).model_dump().items():
        assert set(written[section]) == set(values)
    assert max(map(len, job_text(NEEDED).splitlines())) <= 120


@given(st.recursive(st.text() | st.none() | st.booleans() | st.integers(), st.lists))
@example(
    ["123", "null", "yes", "a: b", "#x", "- x", "'", '"', "\\", "~", "1e5", "10:00:00", ".5", "a:", "é ü", "\U00012544"]
)
def test_a_value_is_written_so_that_every_yaml_reads_it_again(value: Any) -> None:
    assert parse_yaml(yaml_value(value), "a value") == value
    assert yaml.safe_load(yaml_value(value)) == value  # of YAML 1.1


def test_a_new_job_file_names_a_store_of_any_name(tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(job_text({**NEEDED, "input.store": "a: b #c"}))
    assert load_job(job).input.store == "a: b #c"


def test_a_new_job_file_with_a_wrong_value_is_not_written() -> None:
    with pytest.raises(ConfigError, match=r"output\.codec"):
        job_text({**NEEDED, "output.codec": "mp3"})

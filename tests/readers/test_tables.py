"""pandas, polars, DuckDB and mlcroissant read exports with tables."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pandas
import polars
import pytest
from support.corpora import rows
from support.reader_outputs import encoded_sha256

from pipeline.views.options import ExportOptions
from pipeline.views.run import export


def columns(found: Any, row: dict[str, Any]) -> None:
    for name in ("key", "text", "speaker", "language", "pcm_sha256", "num_samples", "duration", "mel_distance"):
        assert found[name] == row[name]


@pytest.mark.parametrize("name", ["tars", "hostile"])
def test_tables_have_every_utterance_in_order_with_its_place(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    out, target = request.getfixturevalue(name), tmp_path / "tables"
    export(str(out), str(target), ExportOptions("parquet"))
    files = str(target / "data" / "*.parquet")
    tables = {
        "pandas": pandas.read_parquet(target / "data").to_dict("records"),
        "polars": polars.read_parquet(files).to_dicts(),
        "duckdb": duckdb.read_parquet(files).fetch_arrow_table().to_pylist(),
    }
    for found in tables.values():
        for each, row in zip(found, rows(out), strict=True):
            columns(each, row)
            content = (target / each["file"]).read_bytes()[each["offset"] :][: each["bytes"]]
            assert encoded_sha256(content) == row["pcm_sha256"]


READ = """
import json, sys
import mlcroissant
sys.path.insert(0, sys.argv[2])
from support.reader_outputs import encoded_sha256

found = {}
for record in mlcroissant.Dataset(sys.argv[1]).records("utterances"):
    told = {name.removeprefix("utterances/"): each for name, each in record.items()}
    key, text = told["key"].decode(), told["text"].decode()
    found[key] = [encoded_sha256(told["audio"], told["subtype"].decode()), text, told["num_samples"]]
json.dump(found, sys.stdout)
"""


@pytest.mark.parametrize(("name", "audio"), [("tars", False), ("files", True), ("hostile", False), ("hostile", True)])
def test_mlcroissant_reads_every_utterance(
    name: str, audio: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """In a process of its own: mlcroissant keeps what it unpacks in a folder that it looks up when it is imported."""
    out, target = request.getfixturevalue(name), tmp_path / "croissant"
    export(str(out), str(target), ExportOptions("croissant", audio=audio))
    tests = str(Path(__file__).parents[1])
    environment = os.environ | {"CROISSANT_CACHE": str(tmp_path / "cache"), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", READ, str(target / "croissant.json"), tests]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wanted = {row["key"]: [row["pcm_sha256"], row["text"], row["num_samples"]] for row in rows(out)}
    assert json.loads(done.stdout) == wanted

"""Exports of an output in a bucket: by URL, or with copied audio, and always the audio that was made."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from ruamel.yaml import YAML
from support import shard_readers
from support.faults.invariant import Reference
from support.s3_server import Server
from typer.testing import CliRunner

import pipeline
from pipeline.audio.encode import decoded_pcm_sha256
from pipeline.cli import app
from pipeline.config import JobConfig
from pipeline.jobs.run import run

Build = Callable[..., JobConfig]
BASE = "https://data.example.org/corpora/a b"


@pytest.fixture
def made(small_job: Build, folder: str, server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes an output in the bucket, whose superseded shards lie beside, and gives its URL."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)

    def make(**settings: Any) -> str:
        for subtype in ("PCM_24", "PCM_16"):
            run(small_job(output__url=f"{folder}/audio", output__subtype=subtype, **settings))
        return f"{folder}/audio"

    return make


def exported(url: str, to: str, target: object, *arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["export", url, "--to", to, str(target), *arguments])
    assert done.exit_code == code, done.output
    return done.output


def digest(encoded: bytes) -> str:
    return decoded_pcm_sha256(io.BytesIO(encoded), "PCM_16")[0]


def of_samples(samples: Iterable[shard_readers.Sample]) -> dict[str, str]:
    return {json.loads(each["json"])["key"]: digest(each["flac"]) for each in samples}


def samples_of(tars: Iterable[str]) -> Iterator[shard_readers.Sample]:
    for tar in tars:
        yield from shard_readers.samples_of(tar)


@pytest.mark.usefixtures("aws")
def test_webdataset_reads_the_tars_of_a_bucket(made: Callable[..., str], reference: Reference, tmp_path: Path) -> None:
    url = made()
    exported(url, "webdataset", tmp_path / "urls")
    tars = (tmp_path / "urls" / "train.txt").read_text().splitlines()
    assert all(each.startswith(f"pipe:aws s3 cp '{url}/data/") for each in tars)
    assert of_samples(samples_of(tars)) == reference.digests
    exported(url, "webdataset", tmp_path / "copies", "--audio", "--split", "train=0.5,dev=0.5")
    copies = [tmp_path / "copies" / each for each in sorted((tmp_path / "copies").glob("*.tar"))]
    assert of_samples(samples_of(map(str, copies))) == reference.digests
    assert "is up to date" in exported(url, "webdataset", tmp_path / "urls")


@pytest.mark.usefixtures("aws")
def test_a_base_stands_in_place_of_the_url_of_the_bucket(made: Callable[..., str], tmp_path: Path) -> None:
    url = made()
    index = json.loads(fsspec.open(f"{url}/index.json").open().read())
    exported(url, "webdataset", tmp_path / "tars", "--base", BASE)
    names = [each["url"] for each in index["shardlist"]]
    assert (tmp_path / "tars" / "train.txt").read_text().splitlines() == [f"{BASE}/{name}" for name in names]
    exported(url, "huggingface", tmp_path / "hub", "--base", BASE)
    assert card(tmp_path / "hub")["configs"][0]["data_files"][0]["path"] == [f"{BASE}/{name}" for name in names]
    exported(url, "parquet", tmp_path / "tables", "--base", BASE)
    assert {each["file"] for each in table(tmp_path / "tables")} == {f"{BASE}/{name}" for name in names}


def table(export: Path) -> list[dict[str, Any]]:
    parquet = pytest.importorskip("pyarrow.parquet")
    return [row for path in sorted(export.glob("data/*.parquet")) for row in parquet.read_table(path).to_pylist()]


def test_tables_say_where_the_audio_is_or_hold_it(
    made: Callable[..., str], reference: Reference, tmp_path: Path
) -> None:
    url = made()
    exported(url, "parquet", tmp_path / "places")
    found = {}
    for row in table(tmp_path / "places"):
        with fsspec.open(row["file"]) as file:
            file.seek(row["offset"])
            found[row["key"]] = digest(file.read(row["bytes"]))
    assert found == reference.digests
    exported(url, "parquet", tmp_path / "tables", "--audio", "--where", "duration > 0")
    assert {row["key"]: digest(row["audio"]["bytes"]) for row in table(tmp_path / "tables")} == reference.digests


def cuts(export: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress((export / "cuts_train.jsonl.gz").read_bytes()).splitlines()]


def test_lhotse_reads_copies_of_tars_and_files_by_url(
    made: Callable[..., str], reference: Reference, tmp_path: Path
) -> None:
    url = made()
    assert "of which lhotse reads no members" in exported(url, "lhotse", tmp_path / "none", code=2)
    exported(url, "lhotse", tmp_path / "cuts", "--audio")
    sources = {cut["id"]: cut["recording"]["sources"][0] for cut in cuts(tmp_path / "cuts")}
    assert {source["type"] for source in sources.values()} == {"file"}
    assert {key: digest(Path(source["source"]).read_bytes()) for key, source in sources.items()} == reference.digests
    exported(url, "lhotse-shar", tmp_path / "shar")
    shards = sorted((tmp_path / "shar" / "train").glob("recording.*.tar"))
    assert sum(len(list(members(path))) for path in shards) == len(reference.digests)


def test_lhotse_reads_files_of_a_bucket_by_url(made: Callable[..., str], reference: Reference, tmp_path: Path) -> None:
    url = made(output__container="files")
    exported(url, "lhotse", tmp_path / "cuts")
    sources = {cut["id"]: cut["recording"]["sources"][0] for cut in cuts(tmp_path / "cuts")}
    assert {source["type"] for source in sources.values()} == {"url"}
    found = {key: digest(fsspec.open(source["source"]).open().read()) for key, source in sources.items()}
    assert found == reference.digests


def card(export: Path) -> Any:
    return YAML(typ="safe").load((export / "README.md").read_text().split("---\n")[1])


def members(path: Path) -> Iterator[str]:
    with tarfile.open(path) as tar:
        yield from (name for name in tar.getnames() if name.endswith(".flac"))


def test_a_card_names_the_tars_of_a_bucket_or_lies_in_it(
    made: Callable[..., str], reference: Reference, tmp_path: Path
) -> None:
    url = made()
    exported(url, "huggingface", tmp_path / "hub")
    tars = card(tmp_path / "hub")["configs"][0]["data_files"][0]["path"]
    found: dict[str, str] = {}
    for tar in tars:
        with fsspec.open(tar) as file:
            (tmp_path / "tar").write_bytes(file.read())
        found |= of_samples(shard_readers.samples_of(str(tmp_path / "tar")))
    assert found == reference.digests
    exported(url, "huggingface", tmp_path / "copies", "--audio")
    copies = map(str, sorted((tmp_path / "copies").glob("data/*.tar")))
    assert of_samples(samples_of(copies)) == reference.digests
    exported(url, "huggingface", url)
    (tmp_path / "README.md").write_bytes(fsspec.open(f"{url}/README.md").open().read())
    inside = card(tmp_path)["configs"][0]["data_files"][0]["path"]
    assert [f"{url}/{name}" for name in inside] == tars
    assert pipeline.verify(url).findings == ()
    states = json.loads(CliRunner().invoke(app, ["status", url, "--json"]).stdout)["exports"]
    assert {each["age"] for each in states} == {"up to date"}


def test_the_commands_report_and_export_take_the_options_of_a_client(
    made: Callable[..., str], server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = made()
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.chdir(tmp_path)
    access = ["--set", f'output.options.endpoint_url="{server.endpoint}"']
    exported(url, "parquet", "tables", "--audio", *access)
    done = CliRunner().invoke(app, ["report", url, *access])
    assert done.exit_code == 0, done.output
    assert f"open {tmp_path / 'audio-report' / 'index.html'}" in done.stdout
    assert list((tmp_path / "audio-report" / "clips").glob("*.flac"))

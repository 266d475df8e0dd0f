"""`pipeline.read`: the audio of an output by number, over folders, URLs, processes and publications."""

import functools
import http.server
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import numpy as np
import pytest
import soundfile
from fsspec.implementations.memory import MemoryFileSystem
from support.corpora import rows

import pipeline
from pipeline.audio.encode import pcm_bytes, quantize
from pipeline.config import JobConfig
from pipeline.errors import ConfigError, StorageError
from pipeline.jobs.run import run
from pipeline.output.garbage import collect_garbage

Build = Callable[..., JobConfig]
FORMATS = [("flac", "PCM_16"), ("flac", "PCM_24"), ("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT")]


def out_of(config: JobConfig) -> Path:
    run(config)
    return Path(config.output.url)


def taken(dataset: pipeline.AudioDataset) -> dict[str, bytes]:
    return {item.key: item.samples.tobytes() for item in map(dataset.__getitem__, range(len(dataset)))}


@pytest.fixture(autouse=True)
def _clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The clients of this module, as fsspec finds them by the protocol of a URL."""
    for client in (_InMemory, _Web):
        monkeypatch.setitem(sys.modules["fsspec.registry"]._registry, client.protocol, client)
    yield
    _InMemory.store.clear()


@pytest.mark.parametrize("container", ["tar", "files"])
@pytest.mark.parametrize(("codec", "subtype"), FORMATS)
def test_every_format_gives_the_samples_that_the_manifest_has_digests_of(
    job: Build, container: str, codec: str, subtype: Any
) -> None:
    out = out_of(job(output__container=container, output__codec=codec, output__subtype=subtype))
    dataset = pipeline.read(str(out), check=True)
    listed = rows(out)
    assert len(dataset) == len(listed) == 24
    for item, row in zip((dataset[i] for i in range(24)), listed, strict=True):
        assert (item.key, item.sample_rate) == (row["key"], row["sample_rate"])
        assert item.meta == {"text": "", "speaker": "", "language": "", **row["meta"]}
        assert (item.samples.dtype, item.samples.shape) == (np.float32, (row["num_samples"],))
        if container == "files":
            alone, _ = soundfile.read(out / row["shard"] / row["member"], dtype="float32")
            assert np.array_equal(item.samples, alone)


def test_numbers_are_those_of_a_sequence(job: Build) -> None:
    dataset = pipeline.read(str(out_of(job())))
    keys = [item.key for item in dataset]  # type: ignore[attr-defined]  # by number, until there is none of the number
    assert len(keys) == len(set(keys)) == 24
    assert dataset[-1].key == dataset[np.int64(23)].key == keys[-1]
    assert dataset[-24].key == dataset[0].key == keys[0]
    for index in (24, -25, np.int64(1000)):
        with pytest.raises(IndexError):
            dataset[index]
    with pytest.raises(TypeError):
        dataset["0"]  # type: ignore[index]


def test_an_item_has_the_metadata_of_its_row_wherever_that_stands_there(job: Build, tmp_path: Path) -> None:
    listed = tmp_path / "texts.jsonl"
    keys = [row["key"] for row in rows(out_of(job()))]
    listed.write_text("".join(json.dumps({"key": key, "text": f"text of {key}", "line": 7}) + "\n" for key in keys))
    out = out_of(job(input__meta=str(listed)))
    for item in pipeline.read(str(out)):  # type: ignore[attr-defined]
        assert (item.meta["text"], item.meta["line"]) == (f"text of {item.key}", 7)
    manifest = out / "manifest.jsonl"
    above = [{**row, "text": "above", "meta": {"line": 8}} for row in rows(out)]
    manifest.write_text("".join(json.dumps(row) + "\n" for row in above))
    assert pipeline.read(str(out))[3].meta == {"text": "above", "speaker": "", "language": "", "line": 8}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_another_process_read_the_same(job: Build, method: str) -> None:
    """As those of torch's DataLoader: the dataset is pickled for them, or is in them when they are forked."""
    dataset = pipeline.read(str(out_of(job())))
    here = taken(dataset)
    with multiprocessing.get_context(method).Pool(3) as pool:
        there = {item.key: item.samples.tobytes() for item in pool.map(dataset.__getitem__, range(24), chunksize=2)}
    assert there == here


class _InMemory(MemoryFileSystem):
    """fsspec's store in memory, which notes each request and fails after a fork, as clients of object stores do."""

    protocol = "noting"
    store: ClassVar[dict[str, Any]] = {}
    requests: ClassVar[list[tuple[str, int | None, int | None]]] = []

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return super()._strip_protocol(str(path).replace("noting://", "memory://"))

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.process = os.getpid()

    def cat_file(  # type: ignore[override]  # the parameters are those of s3fs
        self, path: str, version_id: str | None = None, start: int | None = None, end: int | None = None
    ) -> bytes:
        assert version_id is None
        assert self.process == os.getpid()
        self.requests.append((path, start, end))
        return bytes(super().cat_file(path, start, end))


class _Forked:
    dataset: ClassVar[pipeline.AudioDataset]


def _first_of() -> pipeline.AudioItem:
    return _Forked.dataset[0]


def test_an_item_is_one_request_for_its_own_bytes(job: Build) -> None:
    out = out_of(job())
    fsspec.filesystem("noting").put(str(out), "noting://corpus/audio", recursive=True)
    dataset = _Forked.dataset = pipeline.read("noting://corpus/audio")
    _InMemory.requests.clear()
    for index in (5, 0, -1):
        row = rows(out)[index]
        assert dataset[index].key == row["key"]
        start, name, *_ = row["offset"], row["shard"]
        assert _InMemory.requests.pop() == (f"/corpus/audio/{name}", start, start + row["bytes"])
    assert _InMemory.requests == []
    assert taken(pickle.loads(pickle.dumps(dataset))) == taken(pipeline.read(str(out)))  # noqa: S301
    with multiprocessing.get_context("fork").Pool(1) as pool:  # torch's workers have the dataset without a pickle
        _, samples, *_ = pool.apply(_first_of, ())
    assert np.array_equal(samples, dataset[0].samples)


class _Web(fsspec.AbstractFileSystem):
    """Objects of a web server, by the standard library; fsspec's own client needs aiohttp."""

    protocol = "http"

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return path

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **more: Any) -> bytes:
        asked = {} if end is None else {"Range": f"bytes={start or 0}-{end - 1}"}
        try:
            with urllib.request.urlopen(urllib.request.Request(path, headers=asked)) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            error.close()
            raise FileNotFoundError(path) from None


@pytest.mark.parametrize("container", ["tar", "files"])
def test_a_web_server_that_knows_no_ranges_will_do(job: Build, container: str) -> None:
    """Python's own is one. Keys with blanks and slashes are names with %, which a URL has to quote."""
    out = out_of(job(output__container=container))

    class Silent(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *words: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(out))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            dataset = pipeline.read(f"http://127.0.0.1:{server.server_port}", check=True)
            assert any("%" in row["member"] for row in rows(out))
            assert taken(dataset) == taken(pipeline.read(str(out)))
        finally:
            server.shutdown()


def test_an_opened_dataset_stays_with_its_publication(job: Build) -> None:
    out = out_of(job())
    dataset = pipeline.read(str(out), check=True)
    before = taken(dataset)
    run(job(output__subtype="PCM_24"))
    assert taken(dataset) == before
    now = taken(pipeline.read(str(out), check=True))
    assert now.keys() == before.keys()
    assert now != before
    collect_garbage(str(out))
    with pytest.raises(StorageError, match=r"is not there\..*open it again"):
        dataset[0]
    assert taken(pipeline.read(str(out))) == now


def test_where_nothing_is_published_it_says_so(job: Build, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere holds no melmill output: there is no manifest\.jsonl"):
        pipeline.read(str(tmp_path / "nowhere"))
    out = out_of(job())
    (out / "manifest.jsonl").rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"has no manifest\.jsonl: no run has published there yet.*melmill status"):
        pipeline.read(str(out))
    lines = (tmp_path / "elsewhere").read_text().splitlines()
    for bad in ('{"key": "u"', "[]", '{"key": "u"}', ""):
        (out / "manifest.jsonl").write_text("\n".join([*lines[:2], bad, *lines[3:]]) + "\n")
        with pytest.raises(ConfigError, match=r"line 3 of .*manifest\.jsonl is not a valid row of a manifest"):
            pipeline.read(str(out))
    (out / "manifest.jsonl").write_text("")
    assert len(pipeline.read(str(out))) == 0
    with pytest.raises(ConfigError, match="nosuch"):
        pipeline.read("nosuch://bucket/audio")


def test_audio_that_is_cut_off_gone_or_changed_is_named(job: Build) -> None:
    config = job(output__codec="wav", output__subtype="FLOAT")
    out = out_of(config)
    row = rows(out)[0]
    tar, end = out / row["shard"], row["offset"] + row["bytes"]
    tar.chmod(0o644)
    whole = tar.read_bytes()
    changed = bytearray(whole)
    changed[end - 1] ^= 1  # an exponent
    tar.write_bytes(changed)
    assert pipeline.read(str(out))[0].key == row["key"]
    with pytest.raises(StorageError, match=rf"{row['shard']}: .* does not have the digest .*melmill verify"):
        pipeline.read(str(out), check=True)[0]
    tar.write_bytes(whole[: end - 400])
    with pytest.raises(StorageError, match=rf"{row['shard']}.*{row['bytes'] - 400} bytes|has \d+ samples"):
        pipeline.read(str(out))[0]
    tar.write_bytes(whole[: row["offset"]])
    with pytest.raises(StorageError, match=rf"0 bytes from byte {row['offset']} on, of {row['bytes']}"):
        pipeline.read(str(out))[0]
    tar.unlink()
    with pytest.raises(StorageError, match=r"is not there"):
        pipeline.read(str(out))[0]


def test_a_dataset_needs_no_dask_zarr_or_onnxruntime(job: Build) -> None:
    out = out_of(job())
    code = (
        f"import sys, pipeline\nprint(len(pipeline.read({str(out)!r})[0].samples) > 0)\n"
        "print({'dask', 'zarr', 'onnxruntime', 'torch'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "set()"]


def test_full_scale_and_beyond_come_back_as_they_were_written() -> None:
    """The float32 of every step is exact, so that its digest can be taken of it."""
    for subtype, bits in (("PCM_16", 16), ("PCM_24", 24)):
        steps = np.array([-(2 ** (bits - 1)), -1, 0, 1, 2 ** (bits - 1) - 1], np.int32)
        samples = (steps / 2 ** (bits - 1)).astype(np.float32)
        again, _ = quantize(samples, subtype)  # type: ignore[arg-type]
        assert pcm_bytes(again, subtype) == pcm_bytes(steps, subtype)  # type: ignore[arg-type]

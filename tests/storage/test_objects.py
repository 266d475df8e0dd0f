"""Outputs in an object store, without one: fsspec's store in memory stands for it. tests/s3 has a real server."""

import contextlib
import errno
import io
import itertools
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from support.storage_tests import content
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.cli.options import output_access
from pipeline.config import JobConfig, load_job, resolved
from pipeline.errors import ConfigError, OwnedError, StorageError
from pipeline.jobs.reporting import reporting
from pipeline.storage import absolute_url, open_output, open_storage, silence
from pipeline.storage.base import LOCK
from pipeline.storage.objects import ObjectStorage, lease
from pipeline.storage.objects.processes import is_dead, this_process
from pipeline.storage.objects.transfers import Files
from pipeline.stores.zarr_arrays import ZarrTree

Open = Callable[[], ObjectStorage]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases whose dead are found out soon."""
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(lease, "DEAD_SECONDS", 0.5)
    monkeypatch.setattr(lease, "_LOOK_SECONDS", 0.01)


# ---- objects


def test_a_store_that_does_not_answer_is_told_of_until_it_does(
    opened: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Outputs and inputs alike: clients ask again for minutes, and say nothing. No secret is said."""
    storage, real = opened(), MemoryFileSystem.cat_file
    storage._files.url = "gs://user:secret@bucket/audio"
    storage.put_if_absent("job.json", b"{}")
    storage.put_if_absent("zarr.json", b'{"node_type": "group"}')

    def slow(*given: Any, **named: Any) -> Any:
        before, patience = len(caplog.messages), time.monotonic() + 30
        while len(caplog.messages) < before + 3 and time.monotonic() < patience:
            time.sleep(0.01)
        return real(*given, **named)

    def told(what: str) -> bool:
        words = re.compile(re.escape(what) + r": not done after \d+ s; if nothing answers, it is asked again")
        return sum(words.fullmatch(message) is not None for message in caplog.messages) >= 2

    with caplog.at_level(logging.WARNING):
        assert storage._files.content("job.json") == b"{}"
        assert caplog.messages == []
        for name in ("_FIRST_SECONDS", "_NEXT_SECONDS", "_LOOK_SECONDS"):
            monkeypatch.setattr(silence, name, 0.05)
        monkeypatch.setattr(MemoryFileSystem, "cat_file", slow)
        assert storage._files.content("job.json") == b"{}"
        assert told("reading gs://bucket/audio/job.json")
        assert ZarrTree(f"memory:/{storage._files._root}").attributes == {}
        assert told(f"reading memory:/{storage._files._root}")
    assert "secret" not in caplog.text


def test_a_lost_answer_is_resolved_by_reading_back(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, real = opened(), MemoryFileSystem.pipe_file

    def unheard(*given: Any, **named: Any) -> None:
        real(*given, **named)
        raise TimeoutError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryFileSystem, "pipe_file", unheard)
        assert storage.put_if_absent("mine", b"mine")
        assert not storage.put_if_absent("mine", b"else")
    assert content(storage, "mine") == b"mine"

    def refused(*given: Any, **named: Any) -> None:
        raise TimeoutError("neither done nor answered")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refused)
    for write in (storage.put_if_absent, storage.replace):
        with pytest.raises(StorageError, match=r"writing gs://bucket/audio/other: neither done .*run again to resume"):
            write("other", b"other")


def test_a_file_is_put_as_it_is(opened: Open) -> None:
    storage = opened()
    with storage.scratch() as scratch:
        (scratch / "shard.tar").write_bytes(b"x" * 1000)
        assert storage.put_if_absent("data/shard.tar", scratch / "shard.tar")
        assert storage.put_if_absent("data/shard.tar", scratch / "shard.tar")  # it is there, as it is to be
        (scratch / "shard.tar").write_bytes(b"y" * 1000)
        assert not storage.put_if_absent("data/shard.tar", scratch / "shard.tar")
    assert list(storage.list("")) == ["data/shard.tar"]


def test_a_store_without_conditional_put_is_refused(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    real = MemoryFileSystem.pipe_file
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", lambda self, path, value, **named: real(self, path, value))
    with pytest.raises(ConfigError, match=r"If-None-Match.*--single-writer") as caught, opened().lock("run 1"):
        pass
    assert caught.value.exit_code == 2
    assert list(opened().list("")) == []
    alone = ObjectStorage("gs://bucket/audio", {}, single_writer=True)
    with alone.lock("run 1"):
        assert alone.put_if_absent("x", b"first")
        assert not alone.put_if_absent("x", b"second")


class FileExpired(OSError):  # noqa: N818  # its name
    """As s3fs raises it: the ETag is not that of when the object was opened."""


@pytest.fixture
def versioned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that, as s3fs's, are fetched when they are read, on condition that they are as they were when opened."""
    real = MemoryFileSystem.open

    class Lazy(io.BytesIO):
        def __init__(self, client: MemoryFileSystem, path: str) -> None:
            self.client, self.path, self.version = client, path, client.cat_file(path)
            super().__init__(self.version)

        def read(self, size: int | None = -1) -> bytes:
            if self.client.cat_file(self.path) != self.version:
                raise FileExpired(errno.EBUSY, "The file has been changed", self.path)
            return super().read(size)

    monkeypatch.setattr(
        MemoryFileSystem,
        "open",
        lambda self, path, mode, **named: Lazy(self, path) if mode == "rb" else real(self, path, mode, **named),
    )


@pytest.mark.usefixtures("versioned")
def test_an_object_that_is_replaced_before_it_is_read_is_read_as_it_is_then(opened: Open) -> None:
    storage = opened()
    storage.replace("job.json", b"first")
    with storage.read("job.json") as file:
        storage.replace("job.json", b"the second")
        assert file.read() == b"the second"


@pytest.mark.usefixtures("versioned")
def test_an_object_that_is_replaced_in_the_middle_is_no_mixture(opened: Open) -> None:
    storage = opened()
    storage.replace("object", b"a" * (1 << 20))
    for first in (lambda file: file.read(1), lambda file: file.seek(0, io.SEEK_END)):
        with storage.read("object") as file:
            first(file)
            file.seek(0)
            storage.replace("object", b"b" * (1 << 20) + first.__code__.co_code)
            with pytest.raises(StorageError, match="has been changed"):
                file.read()


@pytest.mark.parametrize(
    "error", [ConnectionError("no route"), type("DefaultCredentialsError", (Exception,), {})("none")]
)
def test_a_client_that_cannot_begin_is_a_failure_of_storage(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Google's connects at once, and has errors that are no OSError. Of inputs as of outputs."""

    def refuse(url: str, **options: Any) -> None:
        raise error

    monkeypatch.setattr(fsspec.core, "url_to_fs", refuse)
    for begin in (lambda: open_storage("gs://bucket/audio"), lambda: ZarrTree("gs://bucket/mels.zarr")):
        with pytest.raises(StorageError, match=r"gs://bucket/.* cannot be opened: .*Error: no.*; check the") as caught:
            begin()
        assert caught.value.exit_code == 6


def test_what_the_refusal_advises_lets_gc_and_verify_mend(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    real = MemoryFileSystem.pipe_file
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", lambda self, path, value, **named: real(self, path, value))
    with pytest.raises(ConfigError) as caught, opened().lock("run 1"):
        pass
    advice = re.search(r"--set (output\.\S*=true)", str(caught.value))
    assert advice is not None
    access = output_access("gs://bucket/audio", [advice[1]])
    with open_output(access).lock("gc"):
        pass
    for command in ("gc", "verify"):
        assert "single_writer=true" in CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "300"}).output


def test_probes_of_runs_that_were_killed_are_tidied_away_and_no_run_is_refused_for_it(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = opened()
    storage.replace("_melmill/probes/of-a-dead-run", b"first")
    with storage.lock("run 1"):
        assert list(storage.list("_melmill/probes")) == []
    tidied = iter([True])

    def create(files: Files, name: str, source: bytes) -> bool:
        if source == b"second" and next(tidied, False):
            files.delete(name)  # as a run does that begins meanwhile
        return put(files, name, source)

    put = Files.create
    monkeypatch.setattr(Files, "create", create)
    with storage.lock("run 2"):
        pass
    assert not next(tidied, False)


# ---- who holds an output


def claim(storage: ObjectStorage, name: str, shared: bool = False, process: str = "") -> Callable[[int, bool], None]:
    """As if somebody elsewhere held the output, or were about to; gives what replaces its pulse."""
    words = {"name": name, "shared": shared, "process": process, "words": "run 7 on there\n0"}
    storage.replace(f"{LOCK}/{name}.json", json.dumps(words).encode())

    def beat(count: int, holding: bool) -> None:
        storage.replace(f"{LOCK}/{name}.pulse", json.dumps({"count": count, "holding": holding}).encode())

    return beat


@contextlib.contextmanager
def beating(beat: Callable[[int, bool], None], holding: bool = True) -> Iterator[None]:
    over = threading.Event()

    def keep() -> None:
        for count in itertools.count(1):
            if over.wait(0.01):
                return
            beat(count, holding)

    thread = threading.Thread(target=keep)
    thread.start()
    yield
    over.set()
    thread.join()


def test_a_lock_that_was_held_leaves_no_object(opened: Open) -> None:
    with opened().lock("run 1"):
        assert list(opened().list("")) != []
    assert list(opened().list("")) == []


def test_a_part_asks_nothing_about_other_parts(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their number squared would be the number of requests."""
    asked: list[str] = []
    for verb in ("cat_file", "info"):
        real = getattr(MemoryFileSystem, verb)

        def note(*given: Any, real: Callable[..., Any] = real, **named: Any) -> Any:
            asked.append(given[1])
            return real(*given, **named)

        monkeypatch.setattr(MemoryFileSystem, verb, note)
    with opened().share("part 1"):
        (first,) = [name for name in opened().list(LOCK) if name.endswith(".json")]
        asked.clear()
        with opened().share("part 2"):
            assert asked
        assert not [path for path in asked if first.removesuffix(".json") in path]


def test_of_eight_that_begin_at_once_never_two_hold_it(opened: Open) -> None:
    start, held, most = threading.Barrier(8), [], []

    def compete(number: int) -> bool:
        start.wait()
        try:
            with opened().lock(f"run {number}"):
                held.append(number)
                most.append(len(held))
                time.sleep(0.05)
                held.remove(number)
        except OwnedError:
            return False
        return True

    for _ in range(3):
        with ThreadPoolExecutor(8) as pool:
            wins = list(pool.map(compete, range(8)))
        assert any(wins)
    assert max(most) == 1


@pytest.mark.usefixtures("quick")
def test_one_elsewhere_holds_it_as_long_as_its_pulse_changes(opened: Open) -> None:
    storage = opened()
    with beating(claim(storage, "0" * 32)):
        assert (storage.holder() or "").startswith("run 7 on there")
        for hold in (storage.lock, storage.share):
            with pytest.raises(OwnedError, match="run 7 on there"), hold("run 8"):
                pass
    assert storage.holder() is None
    with storage.lock("run 8"):  # it stands still
        assert not any("0" * 32 in name for name in storage.list(LOCK))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", ["0" * 32, "z" * 32], ids=["first", "last"])
def test_one_that_died_before_it_held_it_is_outwaited_whatever_its_name(opened: Open, name: str) -> None:
    storage = opened()
    claim(storage, name)
    with storage.lock("run 8"):
        pass
    assert list(storage.list(LOCK)) == []


@pytest.mark.usefixtures("quick")
def test_of_two_that_begin_the_one_whose_name_comes_first_goes_on(opened: Open) -> None:
    """The other waits until it holds the output, or is gone."""
    storage = opened()
    beat = claim(storage, "0" * 32)
    with beating(beat, holding=False), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: storage.lock("run 8").__enter__())
        time.sleep(0.2)
        assert not waiting.done()
        assert {path.split("/")[-1][:32] for path in storage.list(LOCK)} >= {"0" * 32}
        storage.delete(f"{LOCK}/{'0' * 32}.json")
        waiting.result()


def test_a_process_that_has_ended_holds_nothing(opened: Open) -> None:
    """No waiting: it is looked up."""
    own = this_process()
    machine, number, started = own.rsplit(" ", 2)
    assert is_dead(own) is False
    assert is_dead(f"{machine} {number} {int(started) - 1}") is True
    assert is_dead(f"{machine} 4194305 1") is True
    assert is_dead(f"another{own}") is None
    assert is_dead("") is None
    storage = opened()
    claim(storage, "0" * 32, process=f"{machine} 4194305 1")(1, True)
    assert storage.holder() is None
    with storage.lock("run 8"):
        pass


@pytest.mark.usefixtures("quick")
def test_a_run_that_was_taken_for_dead_changes_nothing_any_more(opened: Open) -> None:
    storage = opened()
    with storage.lock("run 1"):
        storage.replace("job.json", b"1")
        (name,) = [name for name in storage.list(LOCK) if name.endswith(".json")]
        opened().delete(name)  # as another run does that has waited for long enough
        time.sleep(0.3)
        for write in (storage.replace, storage.put_if_absent):
            with pytest.raises(OwnedError, match="another run took over"):
                write("manifest.jsonl", b"2")
        with pytest.raises(OwnedError):
            storage.delete("job.json")
        with reporting(storage, "run-1", print):
            pass  # that this cannot be told either is no error of its own
    assert content(storage, "job.json") == b"1"
    assert list(storage.list("")) == ["job.json"]


@pytest.mark.usefixtures("quick")
def test_a_run_that_cannot_say_that_it_lives_stops_before_another_takes_it_for_dead(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, real = opened(), MemoryFileSystem.pipe_file

    def away(self: MemoryFileSystem, path: str, *given: Any, **named: Any) -> None:
        if path.endswith(".pulse"):
            raise ConnectionError("away")
        real(self, path, *given, **named)

    with storage.lock("run 1"):
        monkeypatch.setattr(MemoryFileSystem, "pipe_file", away)
        time.sleep(0.4)
        with pytest.raises(StorageError, match="out of reach"):
            storage.replace("manifest.jsonl", b"2")


def test_a_run_whose_machine_slept_looks_whether_it_is_taken_for_dead(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monotonic clock stands still in suspend, and so does the thread that beats."""
    storage = opened()
    with storage.lock("run 1"):
        (name,) = [name for name in storage.list(LOCK) if name.endswith(".json")]
        opened().delete(name)
        awake = time.clock_gettime
        monkeypatch.setattr(time, "clock_gettime", lambda clock: awake(clock) + lease.DEAD_SECONDS)
        with pytest.raises(OwnedError, match="another run took over"):
            storage.replace("manifest.jsonl", b"2")


# ---- URLs and options


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket",
        "s3://key:secret@bucket/audio",
        "abfs://key:secret@bucket/audio",
        "s3://bucket/audio?x=1",
        "gs:///audio",
    ],
)
def test_a_url_that_names_no_folder_or_holds_a_secret_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"an output is .*://bucket/folder") as caught:
        absolute_url(url)
    assert "secret" not in str(caught.value)


def test_a_url_means_the_same_with_a_slash_at_its_end() -> None:
    assert absolute_url("s3://bucket/a/b/") == "s3://bucket/a/b"


@pytest.mark.parametrize("scheme", ["abfs", "abfss"])
def test_azures_own_form_of_a_url_names_container_and_account(scheme: str) -> None:
    url = f"{scheme}://mels@account.dfs.core.windows.net/audio"
    assert absolute_url(url) == url
    values = {"input": {"store": url}, "output": {"url": url}}
    public = JobConfig.build(values).public()
    assert (public.input.store, public.output.url) == (url, url)


def test_unfinished_uploads_are_listed_to_the_end_by_a_server_that_gives_no_id_to_go_on_from() -> None:
    given = []

    class Client:
        def call_s3(self, name: str, **named: str) -> dict[str, Any]:
            given.append(named)
            first = "KeyMarker" not in named
            key = "folder/a" if first else "folder/b"
            page: dict[str, Any] = {"Uploads": [{"Key": key, "UploadId": "1"}], "IsTruncated": first}
            return page | {"NextKeyMarker": key} if first else page

    files = Files.__new__(Files)
    files.client, files._s3, files._root, files._options, files.url = Client(), True, "bucket/folder", "", "s3://bucket"
    assert list(files.uploads()) == [("a", "1"), ("b", "1")]
    assert "UploadIdMarker" not in given[1]


def test_a_local_folder_takes_no_options(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a local folder takes none"):
        open_storage(str(tmp_path), {"endpoint_url": "http://127.0.0.1"})


def job(section: str, options: dict[str, Any]) -> JobConfig:
    values: dict[str, dict[str, Any]] = {"input": {"store": "s3://b/mels.zarr"}, "output": {"url": "s3://b/audio"}}
    values[section]["options"] = options
    return JobConfig.build(values)


@pytest.mark.parametrize("section", ["input", "output"])
@pytest.mark.parametrize(
    "options",
    [
        {"secret": "hunter2"},
        {"key": "hunter2"},
        {"token": "hunter2"},
        {"client_kwargs": {"aws_secret_access_key": "hunter2"}},
        {"headers": {"Authorization": "hunter2"}},
        {"sas_token": "hunter2"},
        {"account_key": "hunter2"},
        {"connection_string": "hunter2"},
        {"password": "hunter2"},
        {"password": 12345},
        {"headers": {"X-API-Key": "hunter2"}},
        {"headers": {"Cookie": "hunter2"}},
        {"headers": [["Authorization", "hunter2"]]},
        {"apikey": "hunter2"},
        {"accountKey": "hunter2"},
        {"s3_additional_kwargs": {"SSECustomerKey": "hunter2"}},
        {"each": [{"secret": "hunter2"}]},
        {"token": {"refresh": "hunter2"}},
        {"endpoint_url": "https://me:hunter2@host"},
        {"proxies": {"https": "http://me:hunter2@host"}},
    ],
    ids=lambda options: str(next(iter(options))),
)
def test_a_secret_in_a_job_is_refused_and_not_repeated(section: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"{section}\.options: .*environment variable") as caught:
        job(section, options)
    assert "hunter2" not in str(caught.value)
    assert "12345" not in str(caught.value)


def test_no_secret_slips_in_by_a_setting() -> None:
    flags = {"input.store": "s3://b/mels.zarr", "output.url": "s3://b/audio"}
    with pytest.raises(ConfigError, match=r"password may be secret") as caught:
        load_job(None, flags, ["output.options.password=12345"])
    assert "12345" not in str(caught.value)


def test_options_that_hold_no_secret_are_taken() -> None:
    options = {
        "endpoint_url": "https://host:9000",
        "anon": True,
        "token": None,
        "default_cache_type": "none",
        "config_kwargs": {"signature_version": "s3v4", "retries": {"max_attempts": 3}, "max_pool_connections": 50},
        "s3_additional_kwargs": {
            "ServerSideEncryption": "aws:kms",
            "SSEKMSKeyId": "mels",
            "BucketKeyEnabled": True,
        },
        "headers": [["Accept", "*/*"], ["Authorization", "$AUTHORIZATION"]],
    }
    assert job("output", options).output.options == options


def test_a_variable_stands_for_a_secret_that_the_job_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"secret": "$MY_SECRET", "client_kwargs": {"region_name": "$REGION", "verify": True}, "token": "anon"}
    options["headers"] = [["Authorization", "$MY_SECRET"], ["Accept", "*/*"]]
    config = job("output", options)
    monkeypatch.setenv("MY_SECRET", "hunter2")
    monkeypatch.setenv("REGION", "there")
    assert "hunter2" not in config.model_dump_json()
    assert resolved(config.output.options) == {
        "secret": "hunter2",
        "client_kwargs": {"region_name": "there", "verify": True},
        "token": "anon",
        "headers": [["Authorization", "hunter2"], ["Accept", "*/*"]],
    }
    monkeypatch.delenv("REGION")
    with pytest.raises(ConfigError, match=r"client_kwargs\.region_name is \$REGION, but this environment variable"):
        resolved(config.output.options)


def test_options_can_be_set_on_the_command_line() -> None:
    flags = {"input.store": "s3://b/mels.zarr", "output.url": "s3://b/audio"}
    config = load_job(None, flags, ["output.options.endpoint_url=http://127.0.0.1:9000", "output.single_writer=true"])
    assert config.output.options == {"endpoint_url": "http://127.0.0.1:9000"}
    assert config.output.single_writer

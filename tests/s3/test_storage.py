"""The five verbs on a real server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from support.s3_server import BUCKET, Server, client, free_ports
from support.storage_tests import StorageTests, content

from pipeline.errors import ConfigError, StorageError
from pipeline.storage import SCRATCH, open_storage
from pipeline.storage.objects import ObjectStorage, transfers

Open = Callable[[], ObjectStorage]


class TestS3(StorageTests):
    """Read in small blocks."""

    @pytest.fixture(autouse=True)
    def _small_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(transfers, "_BLOCK_BYTES", 1000)


def test_a_file_from_scratch_becomes_an_object_in_several_parts(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "_PART_BYTES", 5 << 20)
    storage = opened()
    whole = bytes(range(250)) * ((11 << 20) // 250) + b"end"
    with storage.scratch() as scratch:
        (scratch / "big").write_bytes(whole)
        (scratch / "other").write_bytes(whole[::-1])
        assert list(storage.list("")) == []
        assert storage.put_if_absent("data/big.tar", scratch / "big")
        assert not storage.put_if_absent("data/big.tar", scratch / "other")
        assert content(storage, "data/big.tar") == whole
        storage.replace("data/big.tar", scratch / "other")
    assert not scratch.exists()
    assert content(storage, "data/big.tar") == whole[::-1]
    assert list(storage.list("")) == ["data/big.tar"]
    assert list(storage.list(SCRATCH)) == []  # what lost was aborted


def test_servers_with_buckets_of_one_name_share_no_scratch_folder(
    opened: Open, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, other = opened().url, f"http://127.0.0.1:{free_ports(1)[0]}"
    there = {"client_kwargs": {"endpoint_url": other}}
    with opened().scratch() as ours, opened().scratch() as again, ObjectStorage(url, there).scratch() as theirs:
        assert ours.parent == again.parent != theirs.parent
    by_variable = set()
    for endpoint in (server.endpoint, other):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        with ObjectStorage(url, {}).scratch() as scratch:
            by_variable.add(scratch.parent)
    assert len(by_variable) == 2


def test_what_is_read_is_one_version(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A manifest that is replaced while it is read is never half of each."""
    monkeypatch.setattr(transfers, "_BLOCK_BYTES", 1000)
    storage = opened()
    storage.replace("manifest", b"a" * (1 << 20))
    with storage.read("manifest") as file:
        assert file.read(100) == b"a" * 100
        storage.replace("manifest", b"b" * (1 << 20))
        with pytest.raises(StorageError, match="manifest"):
            file.read()


def test_a_listing_of_many_pages_is_whole(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = opened()
    names = [f"data/{number:04d}.tar" for number in range(12)]
    for name in names:
        storage.put_if_absent(name, b"x")
    real = storage._files.client._call_s3

    async def in_pages(method: str, *rest: Any, **named: Any) -> Any:
        return await real(method, *rest, **({"MaxKeys": 5, **named} if method == "list_objects_v2" else named))

    monkeypatch.setattr(storage._files.client, "_call_s3", in_pages)
    assert list(storage.list("")) == list(storage.list("data")) == names


def test_a_folder_is_not_found_as_an_object(opened: Open) -> None:
    storage = opened()
    storage.replace("data/x/y", b"")
    for name in ("data", "data/x"):
        with pytest.raises(FileNotFoundError):
            storage.read(name)


def lose_answers(monkeypatch: pytest.MonkeyPatch, storage: ObjectStorage, verb: str, losses: int) -> list[str]:
    """The server does what it is asked, and so many of its answers never come."""
    real, lost = getattr(storage._files.client, verb), []

    def unheard(*given: Any, **named: Any) -> Any:
        result = real(*given, **named)
        if len(lost) < losses:
            lost.append(given[0])
            raise TimeoutError("no answer")
        return result

    monkeypatch.setattr(storage._files.client, verb, unheard)
    return lost


def test_a_lost_answer_is_resolved_by_reading_back(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = opened()
    lost = lose_answers(monkeypatch, storage, "pipe_file", 2)
    assert storage.put_if_absent("mine", b"mine")
    storage.replace("replaced", b"new")
    assert len(lost) == 2
    assert (content(storage, "mine"), content(storage, "replaced")) == (b"mine", b"new")
    other = opened()
    other.put_if_absent("theirs", b"other")

    def refused(*given: Any, **named: Any) -> None:
        raise TimeoutError("neither done nor answered")

    monkeypatch.setattr(storage._files.client, "pipe_file", refused)
    assert not storage.put_if_absent("theirs", b"mine.")
    with pytest.raises(StorageError, match=r"neither done nor answered.*run again to resume"):
        storage.put_if_absent("nobodys", b"mine")


def test_an_upload_in_parts_whose_answer_is_lost_is_ours_all_the_same(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "_PART_BYTES", 5 << 20)
    storage = opened()
    lost = lose_answers(monkeypatch, storage, "put_file", 1)
    with storage.scratch() as scratch:
        (scratch / "big").write_bytes(b"x" * (11 << 20))
        assert storage.put_if_absent("big", scratch / "big")
    assert lost


def begin_upload(server: Server, folder: str, name: str) -> None:
    """As a writer does that dies."""
    own = client(server.endpoint)
    key = f"{folder.partition(f'{BUCKET}/')[2]}/{name}"
    begun = own.call_s3("create_multipart_upload", Bucket=BUCKET, Key=key)
    own.call_s3("upload_part", Bucket=BUCKET, Key=key, PartNumber=1, UploadId=begun["UploadId"], Body=b"half")


def test_unfinished_uploads_are_listed_as_scratch_and_go_when_the_output_is_locked(
    server: Server, folder: str, opened: Open
) -> None:
    storage = opened()
    for name in ("data/000001-0123abcd.tar", "data/000002-0123abcd.tar"):
        begin_upload(server, folder, name)
    begin_upload(server, folder + "-other", "data/000001-0123abcd.tar")
    listed = sorted(name.rpartition("/data/")[2] for name in storage.list(SCRATCH))
    assert listed == ["000001-0123abcd.tar", "000002-0123abcd.tar"]
    assert list(storage.list("")) == []
    with storage.lock("run 1"):
        assert list(storage.list(SCRATCH)) == []
    assert len(list(ObjectStorage(folder + "-other", {"endpoint_url": server.endpoint}).list(SCRATCH))) == 1


def test_scratch_that_a_dead_run_left_on_this_machine_goes_too(
    opened: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    storage = opened()
    with storage.scratch() as left:
        assert oct(left.parent.stat().st_mode)[-3:] == "700"
        with opened().lock("run 1"):
            assert not left.exists()
    left.parent.rmdir() if left.parent.exists() else None
    left.parent.symlink_to(tmp_path)
    with pytest.raises(StorageError, match="is not a folder of this user"), storage.scratch():
        pass


def without_condition(storage: ObjectStorage, how: str) -> Any:
    """As if the server did not know If-None-Match: it is passed over, or refused altogether."""
    real = storage._files.client._call_s3

    async def call(method: str, *rest: Any, **named: Any) -> Any:
        if named.pop("IfNoneMatch", None) is not None and how == "refuses":
            raise OSError(38, "A header you provided implies functionality that is not implemented.")
        return await real(method, *rest, **named)

    return mock.patch.object(storage._files.client, "_call_s3", call)


@pytest.mark.parametrize("how", ["passes over", "refuses"])
def test_a_store_without_conditional_put_is_refused_before_anything_is_written(opened: Open, how: str) -> None:
    storage = opened()
    with without_condition(storage, how):
        for hold in (storage.lock, storage.share):
            with pytest.raises(ConfigError, match=r"If-None-Match.*--single-writer"), hold("run 1"):
                raise AssertionError("it is held")
    assert list(storage.list("")) == []


def test_a_single_writer_may_use_it_all_the_same(folder: str, options: dict[str, Any]) -> None:
    storage = ObjectStorage(folder, options, single_writer=True)
    with without_condition(storage, "refuses"), storage.lock("run 1"):
        assert storage.put_if_absent("x", b"first")
        assert not storage.put_if_absent("x", b"second")
        storage.replace("y", b"z")
    assert content(storage, "x") == b"first"


def test_what_is_wrong_is_said_with_what_to_do(
    server: Server, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StorageError, match=r"writing s3://no-such-bucket/x/y: .*check that the bucket exists"):
        open_storage("s3://no-such-bucket/x", options).replace("y", b"")
    (port,) = free_ports(1)
    away = {"endpoint_url": f"http://127.0.0.1:{port}", "config_kwargs": {"retries": {"max_attempts": 0}}}
    away["config_kwargs"] |= {"connect_timeout": 1}
    storage = open_storage(f"s3://{BUCKET}/x", away)
    with (
        mock.patch.object(storage._files.client, "retries", 1),  # type: ignore[attr-defined]
        pytest.raises(StorageError, match=rf"127.0.0.1:{port}.*run again to resume"),
    ):
        storage.put_if_absent("y", b"")
    with pytest.raises(ConfigError, match="options nonsense"):
        open_storage(f"s3://{BUCKET}/x", {"nonsense": 1}).replace("y", b"")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(StorageError, match=r"check the credentials") as caught:
        open_storage(f"s3://{BUCKET}/x", {**options, "max_concurrency": 3}).replace("y", b"")
    assert "another" not in str(caught.value)

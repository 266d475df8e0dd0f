"""What every storage does alike. A test file subclasses `StorageTests`, and has a fixture `opened` for its storage."""

import io
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.errors import OwnedError
from pipeline.storage import SCRATCH, Storage, exists

Open = Callable[[], Storage]
"""Opens one place, empty at first, as often as it is called."""


def content(storage: Storage, name: str) -> bytes:
    """The bytes of an object."""
    with storage.read(name) as file:
        return file.read()


class StorageTests:
    """The five verbs, scratch, and the lock."""

    def test_the_first_put_wins_and_the_second_changes_nothing(self, opened: Open) -> None:
        storage = opened()
        assert storage.put_if_absent("a/b/object", b"first")
        assert not storage.put_if_absent("a/b/object", b"second")
        assert content(storage, "a/b/object") == b"first"

    def test_of_sixteen_racing_writers_one_wins_whole(self, opened: Open) -> None:
        for round_ in range(5):
            start = threading.Barrier(16)

            def race(number: int, start: threading.Barrier = start, name: str = f"data/{round_}") -> bool:
                storage = opened()
                start.wait()
                return storage.put_if_absent(name, bytes([number]) * 1000)

            with ThreadPoolExecutor(16) as pool:
                wins = list(pool.map(race, range(16)))
            assert sum(wins) == 1
            assert content(opened(), f"data/{round_}") == bytes([wins.index(True)]) * 1000

    def test_replace_puts_the_new_in_place_of_the_old(self, opened: Open) -> None:
        storage = opened()
        storage.replace("manifest", b"one")
        storage.replace("manifest", b"two")
        assert content(storage, "manifest") == content(opened(), "manifest") == b"two"

    def test_an_object_has_another_stamp_once_it_is_replaced(self, opened: Open) -> None:
        storage = opened()
        for name in ("folder/one", "folder/two"):
            storage.put_if_absent(name, b"first")
        before = dict(storage.stamps("folder"))
        assert list(before) == list(storage.list("folder")) == ["folder/one", "folder/two"]
        assert dict(opened().stamps("folder")) == before
        storage.replace("folder/one", b"other")
        after = dict(storage.stamps("folder"))
        assert after["folder/two"] == before["folder/two"]
        assert after["folder/one"] != before["folder/one"] or set(before.values()) == {""}  # which nobody believes
        assert not any('"' in stamp for stamp in after.values())
        storage.delete("folder/one")
        assert list(storage.stamps("folder")) == [("folder/two", after["folder/two"])]

    def test_a_file_from_scratch_becomes_an_object_and_scratch_is_none(self, opened: Open) -> None:
        storage = opened()
        with storage.scratch() as folder:
            (folder / "big").write_bytes(b"x" * 1000)
            (folder / "other").write_bytes(b"y" * 1000)
            assert list(storage.list("")) == []
            assert storage.put_if_absent("data/big", folder / "big")
            assert not storage.put_if_absent("data/big", folder / "other")
            assert content(storage, "data/big") == b"x" * 1000
            storage.replace("data/big", folder / "other")
        assert content(storage, "data/big") == b"y" * 1000
        assert not folder.exists()
        assert list(storage.list("")) == ["data/big"]
        assert list(storage.list(SCRATCH)) == []

    def test_an_object_is_read_from_wherever_one_likes(self, opened: Open) -> None:
        storage = opened()
        whole = bytes(range(250)) * 40
        storage.replace("object", whole)
        with storage.read("object") as file:
            assert file.seek(0, io.SEEK_END) == len(whole)
            for at in (0, 7, 9_990, 4_321, 10_000):
                file.seek(at)
                assert file.read(2_500) == whole[at : at + 2_500]

    def test_any_name_is_one_and_names_are_listed_by_folder_until_they_are_deleted(self, opened: Open) -> None:
        storage = opened()
        names = [f"data/{number:04d}.tar" for number in range(12)]
        names += ["data/é [x]*?/ö%20+ .flac", "data/sub/deep/x", "job.json", "_melmill/commits/1.json"]
        for name in names:
            storage.put_if_absent(name, b"x")
        assert sorted(storage.list("")) == sorted(names)
        assert list(storage.list("data"))[:12] == names[:12]
        assert sorted(storage.list("data")) == sorted(name for name in names if name.startswith("data/"))
        assert list(storage.list("nothing")) == []
        assert all(content(storage, name) == b"x" for name in names)
        for name in names:
            storage.delete(name)
        storage.delete(names[0])
        assert list(storage.list("")) == []
        assert not exists(storage, names[0])
        assert not exists(storage, "data")  # a folder that some servers keep

    def test_what_is_not_there_is_not_found(self, opened: Open) -> None:
        storage = opened()
        storage.replace("data/x/y", b"")
        for name in ("nothing", "data/nothing", "data/x/z"):
            with pytest.raises(FileNotFoundError):
                storage.read(name)
        assert exists(storage, "data/x/y")

    def test_a_second_run_is_told_who_holds_the_output(self, opened: Open) -> None:
        with opened().lock("run 1 on here"):
            assert (opened().holder() or "").startswith("run 1 on here, for 0:00:0")
            with (
                pytest.raises(OwnedError, match=r"run 1 on here, for 0:00:0\d\. Wait") as caught,
                opened().lock("run 2"),
            ):
                raise AssertionError("both hold it")
            assert caught.value.exit_code == 5
        assert opened().holder() is None
        with opened().lock("run 2"):
            pass

    def test_parts_share_an_output_that_no_run_can_hold_then(self, opened: Open) -> None:
        with opened().share("part 1 on here"):
            with opened().share("part 2 on there"):
                assert (opened().holder() or "").startswith("part ")
                with pytest.raises(OwnedError, match=r"part . on"), opened().lock("run 1"):
                    pass
            with pytest.raises(OwnedError, match=r"part . on"), opened().lock("run 1"):
                pass
        with opened().lock("run 1"), pytest.raises(OwnedError, match="run 1"), opened().share("part 3"):
            pass
        assert opened().holder() is None

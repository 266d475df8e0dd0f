from __future__ import annotations

import collections
import contextlib
import io
import os
import pickle
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.torch_writer import KINDS, Call, Storage, Tensor, legacy_file, pickled, tensor, torch_names, zip_file

from pipeline.errors import CheckpointError
from pipeline.tensor_files import pickles, read_torch_file


@pytest.fixture(scope="module", autouse=True)
def torch() -> Iterator[types.SimpleNamespace]:
    with torch_names() as names:
        yield names


WRITERS: list[Callable[..., bytes]] = [legacy_file, zip_file]
both = pytest.mark.parametrize("write", WRITERS, ids=["legacy", "zip"])


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], Any]:
    def read(content: bytes) -> Any:
        path = tmp_path / "checkpoint.pth"
        path.write_bytes(content)
        return read_torch_file(path)

    return read


Read = Callable[[bytes], Any]


@both
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_a_checkpoint_comes_back_as_it_was_written(write: Callable[..., bytes], protocol: int, read: Read) -> None:
    weight, bias = np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.array([1.5, -2.0])
    state = collections.OrderedDict(weight=tensor(weight, key="10"), bias=tensor(bias, "Double", "9", parameter=True))
    state._metadata = {"version": 1}  # type: ignore[attr-defined]
    found = read(write({"generator": state, "steps": 2_500_000, "flags": [True, False, None, 0.5, (1, 2, 3, 4)]}))
    assert list(found) == ["generator", "steps", "flags"]
    assert list(found["generator"]) == ["weight", "bias"]
    np.testing.assert_array_equal(found["generator"]["weight"], weight)
    np.testing.assert_array_equal(found["generator"]["bias"], bias)
    assert found["generator"]["bias"].dtype == np.float64
    assert (found["steps"], found["flags"]) == (2_500_000, [True, False, None, 0.5, (1, 2, 3, 4)])


@both
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("BFloat16", "Bool")])
def test_every_storage_type_is_read_as_its_own_dtype(write: Callable[..., bytes], kind: str, read: Read) -> None:
    found = read(write(tensor(np.array([0, 1, 100]), kind)))
    assert found.dtype == np.dtype(KINDS[kind])
    assert found.tolist() == [0, 1, 100]


@both
def test_booleans_are_booleans_and_bfloat16_becomes_float32(write: Callable[..., bytes], read: Read) -> None:
    bits = np.array([0x3F80, 0xC000, 0x0000], np.uint16)  # 1, -2, 0: sign, 8 bits of exponent, 7 of fraction
    found = read(write([tensor(bits, "BFloat16", "0"), tensor(np.array([0, 1]), "Bool", "1")]))
    assert found[0].dtype == np.float32
    assert found[0].tolist() == [1.0, -2.0, 0.0]
    assert found[1].dtype == np.bool_
    assert found[1].tolist() == [False, True]


@both
def test_views_of_one_storage_are_read_with_offset_and_stride(write: Callable[..., bytes], read: Read) -> None:
    storage = Storage("Float", "0", np.arange(12, dtype=np.float32))
    views = [Tensor(storage, 1, (3, 2), (1, 4)), Tensor(storage, 11, (), ()), Tensor(storage, 0, (0, 5), (5, 1))]
    transposed, scalar, empty = read(write(views))
    assert transposed.tolist() == [[1, 5], [2, 6], [3, 7]]
    assert scalar.tolist() == 11
    assert empty.shape == (0, 5)


@both
def test_the_milestones_of_a_schedule_are_read(write: Callable[..., bytes], read: Read) -> None:
    assert read(write({"milestones": collections.Counter([200, 400])})) == {"milestones": {200: 1, 400: 1}}


# What is refused.

RAN: list[str] = []


def _ran(*arguments: Any) -> None:
    RAN.append("ran")


@both
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, f"{os.system.__module__}.system"),
        (eval, r"builtin.*\.eval"),
        (getattr, r"builtin.*\.getattr"),
        (np.ndarray, "numpy.ndarray"),
        (np.frombuffer, r"numpy.*frombuffer"),
        (pickle.loads, r"pickle\.loads"),
        (_ran, "_ran"),
    ],
)
def test_a_foreign_global_is_refused_by_name_and_does_not_run(
    write: Callable[..., bytes], protocol: int, function: Any, name: str, read: Read, tmp_path: Path
) -> None:
    argument = f"touch {tmp_path}/ran" if function is os.system else f"open({str(tmp_path / 'ran')!r}, 'w')"
    with pytest.raises(CheckpointError, match=rf"names '{name}'|names '.*{name}'"):
        read(write({"generator": Call(function, argument)}, protocol=protocol))
    assert not (tmp_path / "ran").exists()
    assert RAN == []


@both
@pytest.mark.parametrize("name", ["load", "device"])
def test_other_names_of_torch_are_refused_too(
    write: Callable[..., bytes], name: str, torch: types.SimpleNamespace, read: Read
) -> None:
    with pytest.raises(CheckpointError, match=rf"names 'torch\.{name}'"):
        read(write(Call(getattr(torch.package, name), "x")))


def test_a_pickle_that_is_no_checkpoint_at_all_does_not_run_either(tmp_path: Path, read: Read) -> None:
    with pytest.raises(CheckpointError, match=r"\.system'"):
        read(pickle.dumps(Call(os.system, f"touch {tmp_path}/ran")))
    with pytest.raises(CheckpointError, match="INST 'os system'"):
        read(b"(ios\nsystem\n.")
    assert not (tmp_path / "ran").exists()


@both
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(lambda s, t: Call(t.inner._rebuild_parameter, "text", True, 1), id="parameter of no tensor"),
        pytest.param(lambda s, t: Call(t.inner._rebuild_tensor_v2, s), id="too few arguments"),
        pytest.param(lambda s, t: Call(t.package.FloatStorage, 5), id="storage made by a call"),
        pytest.param(lambda s, t: Call(collections.OrderedDict, [(1, 2)]), id="dict made from pairs"),
        pytest.param(lambda s, t: Tensor(Tensor(s, 0, (2, 3), (3, 1)), 0, (6,), (1,)), id="tensor for a storage"),
        pytest.param(lambda s, t: Tensor(s, 0, (7,), (1,)), id="longer than its storage"),
        pytest.param(lambda s, t: Tensor(s, 6, (1,), (1,)), id="offset behind its storage"),
        pytest.param(lambda s, t: Tensor(s, -1, (1,), (1,)), id="offset before its storage"),
        pytest.param(lambda s, t: Tensor(s, 5, (2,), (-1,)), id="backwards"),
        pytest.param(lambda s, t: Tensor(s, 0, (2, 3), (4, 1)), id="stride leaves its storage"),
        pytest.param(lambda s, t: Tensor(s, 0, (2, 3), (3,)), id="fewer strides than sizes"),
        pytest.param(lambda s, t: Tensor(s, 0, (1 << 40,), (0,)), id="a trillion elements from one"),
        pytest.param(lambda s, t: Tensor(s, 0, (0, 1 << 62, 1 << 62), (1, 1, 1)), id="nothing, of impossible size"),
        pytest.param(lambda s, t: Tensor(s, 0, (1,) * 40, (1,) * 40), id="40 axes"),
        pytest.param(lambda s, t: Tensor(s, 0, (2.0,), (1,)), id="a size that is no whole number"),
        pytest.param(lambda s, t: {(1, 2): 3}, id="dict with a tuple for a key"),
        pytest.param(lambda s, t: {1, 2}, id="set"),
        pytest.param(lambda s, t: Tensor(Storage("Float", "1", s.elements, 7), 0, (1,), (1,)), id="count too large"),
        pytest.param(lambda s, t: Tensor(Storage("Float", "1", s.elements, -1), 0, (1,), (1,)), id="count below 0"),
        pytest.param(lambda s, t: Tensor(Storage("Float", "1", s.elements, 1 << 50), 0, (1,), (1,)), id="a petabyte"),
        pytest.param(
            lambda s, t: [
                tensor(np.zeros(4), "Float", "1"),
                Tensor(Storage("Double", "1", np.zeros(2)), 0, (1,), (1,)),
            ],
            id="one storage of two types",
        ),
    ],
)
def test_what_no_tensor_is_made_of_is_refused(
    write: Callable[..., bytes], value: Any, torch: types.SimpleNamespace, read: Read
) -> None:
    with pytest.raises(CheckpointError, match=r"checkpoint\.pth: "):
        read(write({"generator": value(Storage("Float", "0", np.arange(6, dtype=np.float32)), torch)}))


def test_a_reference_that_is_no_storage_is_refused(read: Read) -> None:
    plain = legacy_file({"text": tensor(np.zeros(2))})
    with pytest.raises(CheckpointError, match="a pickled module is code"):
        read(plain.replace(b"storage", b"modules"))


@both
def test_a_cut_file_is_refused_wherever_it_is_cut(write: Callable[..., bytes], read: Read) -> None:
    content = write({"generator": {"a": tensor(np.arange(20), key="0"), "b": tensor(np.arange(3), "Long", "1")}})
    assert read(content)["generator"]["b"].tolist() == [0, 1, 2]
    for length in range(len(content)):
        with pytest.raises(CheckpointError):
            read(content[:length])


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    choice=st.sampled_from(WRITERS), edits=st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=9)), max_size=4)
)
def test_damaged_files_give_a_value_or_a_checkpoint_error(
    choice: Callable[..., bytes], edits: list[tuple[int, bytes]], read: Read
) -> None:
    content = choice({"generator": {"a": tensor(np.arange(20), key="0"), "b": tensor(np.arange(3), "Long", "1")}})
    for position, patch in edits:
        place = position % len(content)
        content = content[:place] + patch + content[place + len(patch) :]
    with contextlib.suppress(CheckpointError):
        read(content)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"PK\x03\x04 and no more", b"<html>", pickle.dumps({"a": 1}, 2)])
def test_other_files_are_refused(content: bytes, read: Read) -> None:
    with pytest.raises(CheckpointError, match=r"checkpoint\.pth"):
        read(content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: legacy_file(1, magic=17), "magic number"),
        (lambda: legacy_file(1, little_endian=False), "big-endian"),
        (lambda: zip_file(1, byteorder=b"big"), "big-endian"),
        (lambda: zip_file(1, compression=zipfile.ZIP_DEFLATED), "compressed"),
        (lambda: zip_file(1).replace(b"data.pkl", b"data.txt"), "it holds 0"),
    ],
)
def test_other_variants_are_refused_in_words(content: Callable[[], bytes], words: str, read: Read) -> None:
    with pytest.raises(CheckpointError, match=words):
        read(content())


def test_an_archive_whose_entries_overlap_is_refused_by_its_sum(read: Read) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(1, legacy=False)[0])
        archive.writestr("archive/data/0", bytes(1000))
        for key in range(1, 5):  # further entries of the directory that name the same bytes
            again = zipfile.ZipInfo(f"archive/data/{key}")
            first = archive.getinfo("archive/data/0")
            again.CRC, again.file_size, again.compress_size = first.CRC, first.file_size, first.compress_size
            again.header_offset = first.header_offset
            archive.filelist.append(again)
    with pytest.raises(CheckpointError, match="more than the file"):
        read(file.getvalue())


def test_pickles_that_loop_share_and_nest_without_end_are_bounded(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MAX_OPERATIONS", 10_000)
    loop: list[Any] = []
    loop.append(loop)
    assert len(read(legacy_file(loop))) == 1
    head = legacy_file(1)[: legacy_file(1).index(b"K\x01.")]
    with pytest.raises(CheckpointError, match="more than 10000 operations"):
        read(head + b"]" * 20_000 + b".")
    with pytest.raises(CheckpointError, match="keys that are not texts"):
        read(head + b"}" + b")" + b"q\x00h\x00\x86" * 60 + b"K\x01s.")  # hashing this key would take 2**60 steps


def test_a_text_that_claims_gigabytes_reserves_nothing(read: Read) -> None:
    head = legacy_file(1)[: legacy_file(1).index(b"K\x01.")]
    for operation in (b"X\xff\xff\xff\xff", b"\x8d" + b"\xff" * 7 + b"\x7f", b"\x96" + b"\xff" * 7 + b"\x7f"):
        with pytest.raises(CheckpointError, match="damaged"):
            read(head + operation + b"abc.")


def test_a_storage_larger_than_its_file_is_refused_before_memory_is_taken(read: Read) -> None:
    claimed = Storage("Float", "0", np.zeros(4, np.float32), 10_000)
    with pytest.raises(CheckpointError, match="of 10000 elements does not fit the file"):
        read(legacy_file(Tensor(claimed, 0, (1,), (1,))))


def test_a_storage_whose_count_is_not_its_tensors_is_refused(read: Read) -> None:
    content, tail = legacy_file(tensor(np.arange(4, dtype=np.float32))), 8 + 4 * 4
    assert content[-tail] == 4
    with pytest.raises(CheckpointError, match="'0' should have 4 elements"):
        read(content[:-tail] + b"\x05" + content[-tail + 1 :])


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(CheckpointError, match="no such file"):
            read_torch_file(path)

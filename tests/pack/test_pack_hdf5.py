"""Packing HDF5 dumps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support.listing import made
from support.making import N_MELS, SPEC, random_mel

from pipeline.pack import hdf5
from pipeline.pack.hdf5 import hdf5_corpus


def write(path: Path, frames_first: Any, name: str = "feats", **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("wave", data=np.zeros(64, np.float32))
        file.create_dataset(name, data=frames_first, **options)


def test_a_dump_of_parallel_wavegan_is_read_and_its_wave_ignored(tmp_path: Path) -> None:
    write(tmp_path / "a/b.h5", random_mel(33).T)
    write(tmp_path / "packed.hdf5", random_mel(9000, 1).T, chunks=(64, N_MELS), compression="gzip", shuffle=True)
    write(tmp_path / "square.h5", random_mel(N_MELS, 2).T.astype("f8"))
    mels, reasons = made(hdf5_corpus(str(tmp_path), SPEC))
    assert not reasons
    for key, (frames, seed) in {"a/b": (33, 0), "packed": (9000, 1), "square": (N_MELS, 2)}.items():
        np.testing.assert_array_equal(mels[key], random_mel(frames, seed))


def test_a_dataset_of_another_name_is_read_where_it_is_alone(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "alone.h5", "w") as file:
        file["mel"] = random_mel(7)
    np.testing.assert_array_equal(made(hdf5_corpus(str(tmp_path), SPEC))[0]["alone"], random_mel(7))


def test_squares_alone_stand_as_parallel_wavegan_has_them(tmp_path: Path) -> None:
    write(tmp_path / "square.h5", random_mel(N_MELS).T)
    np.testing.assert_array_equal(made(hdf5_corpus(str(tmp_path), SPEC))[0]["square"], random_mel(N_MELS))


def test_bad_files_are_listed_with_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hdf5, "MAX_CHUNK_BYTES", 1 << 20)
    write(tmp_path / "good.h5", random_mel(30).T)
    whole = (tmp_path / "good.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) - 1000])
    (tmp_path / "text.h5").write_text("no HDF5")
    (tmp_path / "empty.h5").write_bytes(b"")
    write(tmp_path / "named.h5", random_mel(5).T, name="other")
    write(tmp_path / "wide.h5", np.zeros((50, 33), np.float32))
    write(tmp_path / "whole.h5", np.zeros((50, N_MELS), np.int16))
    write(tmp_path / "huge.h5", np.zeros((1, N_MELS), np.float32), chunks=(20_000, N_MELS), maxshape=(None, N_MELS))
    with h5py.File(tmp_path / "group.h5", "w") as file:
        file.create_group("feats")
    with h5py.File(tmp_path / "null.h5", "w") as file:
        file["feats"] = h5py.Empty("f4")
    mels, reasons = made(hdf5_corpus(str(tmp_path), SPEC))
    assert list(mels) == ["good"]
    wrong = {
        "cut.h5": "cannot be read", "text.h5": "cannot be read", "empty.h5": "cannot be read",
        "named.h5": "no dataset 'feats'; it holds other, wave", "wide.h5": "[50, 33]; the mel contract says 20",
        "whole.h5": "int16", "huge.h5": "a chunk takes 1600000 bytes", "group.h5": "not a dataset",
        "null.h5": "has no values",
    }  # fmt: skip
    assert set(reasons) == set(wrong)
    for path, words in wrong.items():
        assert words in reasons[path]


def test_values_that_were_never_written_or_lie_elsewhere_are_no_mel(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(np.zeros((30, N_MELS), "<f4").tobytes())
    write(tmp_path / "good.h5", random_mel(30).T)
    with h5py.File(tmp_path / "hollow.h5", "w") as file:
        part = file.create_dataset("feats", (300, N_MELS), "f4", chunks=(100, N_MELS))
        part[:100] = 1.0
    with h5py.File(tmp_path / "unwritten.h5", "w") as file:
        file.create_dataset("feats", (300, N_MELS), "f4")
    with h5py.File(tmp_path / "external.h5", "w") as file:
        raw = [(str(tmp_path / "raw"), 0, 30 * N_MELS * 4)]
        file.create_dataset("feats", (30, N_MELS), "f4", external=raw)
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["feats"] = h5py.ExternalLink(str(tmp_path / "good.h5"), "feats")
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((30, N_MELS), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "good.h5"), "feats", (30, N_MELS))
        file.create_virtual_dataset("feats", layout)
    with h5py.File(tmp_path / "filtered.h5", "w") as file:
        file.create_dataset(
            "feats", (30, N_MELS), "f4", chunks=(30, N_MELS), compression=32001, allow_unknown_filter=True
        )
    mels, reasons = made(hdf5_corpus(str(tmp_path), SPEC))
    assert list(mels) == ["good"]
    assert "never written" in reasons["hollow.h5"]
    assert "never written" in reasons["unwritten.h5"]
    assert "other files" in reasons["external.h5"]
    assert "link to another place" in reasons["linked.h5"]
    assert "other files" in reasons["virtual.h5"]
    assert "filter 32001" in reasons["filtered.h5"]

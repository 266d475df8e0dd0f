"""Mels in every format of matrices, with the axes that people leave on them; and what is no plain array of one mel."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from support.listing import made
from support.making import N_MELS, SPEC, random_mel
from support.torch_writer import tensor, torch_names, zip_file

from pipeline.errors import ConfigError
from pipeline.pack import kind_of, npz
from pipeline.pack.hdf5 import hdf5_corpus
from pipeline.pack.npy import npy_corpus
from pipeline.pack.npz import npz_corpus
from pipeline.pack.sources import Corpus
from pipeline.pack.torch_mels import torch_corpus

Array = NDArray[Any]


def write_h5(path: Path, values: Array) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("feats", data=values, chunks=True if values.size else None)


def write_pt(path: Path, values: Array) -> None:
    with torch_names():
        path.write_bytes(zip_file(tensor(np.ascontiguousarray(values))))


FORMATS: dict[str, tuple[Callable[[Path, Array], None], Callable[..., Corpus]]] = {
    "npy": (lambda path, values: np.save(path, values), npy_corpus),
    "npz": (lambda path, values: np.savez(path, values), npz_corpus),
    "h5": (write_h5, hdf5_corpus),
    "pt": (write_pt, torch_corpus),
}
SHAPES: dict[str, Callable[[Array], Array]] = {
    "[n_mels, T]": lambda mel: mel,
    "[T, n_mels]": lambda mel: mel.T,
    "[1, n_mels, T]": lambda mel: mel[None],
    "[1, T, n_mels]": lambda mel: mel.T[None],
    "[1, 1, n_mels, T]": lambda mel: mel[None, None],
    "[n_mels, T, 1]": lambda mel: mel[..., None],
    "[n_mels, 1, T]": lambda mel: mel[:, None],
    "[T, 1, n_mels]": lambda mel: mel.T[:, None],
    "[1, n_mels, 1, T, 1]": lambda mel: mel[None, :, None, :, None],
    "[1, T, n_mels, 1]": lambda mel: mel.T[None, ..., None],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_in_every_shape(tmp_path: Path, name: str, shape: str) -> None:
    write, corpus_of = FORMATS[name]
    mels = {"long": random_mel(9000), "short": random_mel(2, 1), "square": random_mel(N_MELS, 2)}
    for key, mel in mels.items():
        write(tmp_path / f"{key}.{name}", SHAPES[shape](mel))
    packed, reasons = made(corpus_of(str(tmp_path), SPEC))
    assert not reasons
    for key, mel in mels.items():
        np.testing.assert_array_equal(packed[key], mel)


@pytest.mark.parametrize("axis", ["auto", "mels-first", "frames-first"])
@pytest.mark.parametrize("name", FORMATS)
def test_a_mel_of_one_frame_is_read_wherever_its_axes_of_length_1_are(tmp_path: Path, name: str, axis: str) -> None:
    write, corpus_of = FORMATS[name]
    mel = random_mel(1)[:, 0]
    for number, shape in enumerate([(1, N_MELS, 1), (N_MELS, 1, 1), (1, 1, N_MELS)]):
        write(tmp_path / f"{number}.{name}", mel.reshape(shape))
    packed, reasons = made(corpus_of(str(tmp_path), SPEC, axis))
    assert (sorted(packed), reasons) == (["0", "1", "2"], {})
    for each in packed.values():
        np.testing.assert_array_equal(each, mel[:, None])


@pytest.mark.parametrize("name", FORMATS)
def test_several_mels_in_one_array_are_refused_with_the_way_out(tmp_path: Path, name: str) -> None:
    write, corpus_of = FORMATS[name]
    write(tmp_path / f"good.{name}", random_mel(30))
    write(tmp_path / f"two.{name}", np.stack([random_mel(30)] * 2))
    packed, reasons = made(corpus_of(str(tmp_path), SPEC))
    assert list(packed) == ["good"]
    assert "of shape [2, 20, 30]; a mel has floating-point values and 2 dimensions" in reasons[f"two.{name}"]
    assert "save each mel in a file of its own" in reasons[f"two.{name}"]


def test_the_mel_among_the_arrays_of_an_npz_is_found_by_its_name(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", mel=random_mel(30), f0=np.zeros(30))
    np.savez(tmp_path / "b.npz", feats=random_mel(31, 1).T, key=np.zeros(3))
    np.savez(tmp_path / "two.npz", x=random_mel(30), y=np.zeros(30))
    np.savez(tmp_path / "none.npz")
    packed, reasons = made(npz_corpus(str(tmp_path), SPEC))
    np.testing.assert_array_equal(packed["a"], random_mel(30))
    np.testing.assert_array_equal(packed["b"], random_mel(31, 1))
    assert "it holds x, y; name it 'mel'" in reasons["two.npz"]
    assert "no array" in reasons["none.npz"]


def test_damaged_and_dangerous_npz_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "MAX_WHOLE_BYTES", 100_000)
    np.savez(tmp_path / "good.npz", random_mel(30))
    np.savez(tmp_path / "objects.npz", np.array([{"mel": 1}], object))
    np.savez_compressed(tmp_path / "bomb.npz", np.zeros((N_MELS, 100_000), np.float32))
    content = (tmp_path / "good.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    middle = len(content) // 2
    (tmp_path / "flipped.npz").write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    (tmp_path / "text.npz").write_text("no archive")
    packed, reasons = made(npz_corpus(str(tmp_path), SPEC))
    assert list(packed) == ["good"]
    assert "Python objects (a pickle, which may run code)" in reasons["objects.npz"]
    assert "takes 8000000 bytes, more than 100000" in reasons["bomb.npz"]
    for name in ("cut.npz", "flipped.npz", "text.npz"):
        assert "cannot be read" in reasons[name]


@pytest.mark.parametrize(
    ("others", "kind"), [((), "npz"), (("a.npy",), "npy"), (("b.wav",), "audio"), (("c.h5",), "hdf5")]
)
def test_npz_decides_the_kind_of_a_folder_where_nothing_else_does(
    tmp_path: Path, others: tuple[str, ...], kind: str
) -> None:
    for name in ("a.npz", *others):
        (tmp_path / name).touch()
    assert kind_of(str(tmp_path)) == kind


def test_torchscript_is_named_with_the_way_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        for name in ("data.pkl", "code/__torch__.py", "constants.pkl", "version"):
            archive.writestr(f"script/{name}", b"\x80\x02}.", zipfile.ZIP_DEFLATED)
    _, reasons = made(torch_corpus(str(tmp_path), SPEC))
    assert "a TorchScript archive (torch.jit.save), a program" in reasons["script.pt"]
    assert "save its tensors with torch.save" in reasons["script.pt"]


def test_a_batch_of_squares_is_still_asked_about(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", random_mel(N_MELS)[None])
    with pytest.raises(ConfigError, match="no other mel shows the order"):
        npy_corpus(str(tmp_path), SPEC)

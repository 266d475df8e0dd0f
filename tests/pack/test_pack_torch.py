"""Packing mels that torch saved."""

from __future__ import annotations

import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.listing import DATA, made
from support.making import N_MELS, SPEC

from pipeline.pack import torch_mels
from pipeline.pack.torch_mels import torch_corpus

MEL = (np.arange(N_MELS * 7, dtype=np.float32).reshape(N_MELS, 7) / 32 - 9).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in DATA.glob("*.pt*"):
        shutil.copy(path, tmp_path)
    return tmp_path


def test_tensors_batches_of_one_and_dicts_are_read_in_both_formats(folder: Path) -> None:
    mels, reasons = made(torch_corpus(str(folder), SPEC))
    assert not reasons
    assert set(mels) == {"tensor", "batch_half", "dict", "legacy"}
    for key, mel in mels.items():
        np.testing.assert_array_equal(mel, MEL.astype("f2") if key == "batch_half" else MEL)


def test_bad_files_are_listed_and_nothing_in_them_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bomb.pt").write_bytes(pickle.dumps(Bomb(folder / "exploded"), 2))
    (folder / "text.pt").write_text("no tensor")
    (folder / "cut.pt").write_bytes((DATA / "tensor.pt").read_bytes()[:1000])
    with zipfile.ZipFile(DATA / "dict.pt") as whole, zipfile.ZipFile(folder / "unnamed.pt", "w") as other:
        for name in whole.namelist():
            content = whole.read(name)
            other.writestr(name, content.replace(b"mel", b"abc") if name.endswith(".pkl") else content)
    monkeypatch.setattr(torch_mels, "MAX_WHOLE_BYTES", 5000)
    (folder / "long.pt").write_bytes(b"PK\x03\x04" + bytes(5000))
    mels, reasons = made(torch_corpus(str(folder), SPEC))
    assert set(mels) == {"tensor", "batch_half", "dict", "legacy"}
    assert set(reasons) == {"bomb.pt", "text.pt", "cut.pt", "unnamed.pt", "long.pt"}
    assert "abc [7, 20], pitch [7]; name it 'mel'" in reasons["unnamed.pt"]
    assert "up to 5000" in reasons["long.pt"]
    assert not (folder / "exploded").exists()


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)

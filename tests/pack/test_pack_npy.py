"""Packing .npy mels."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.making import N_MELS, SPEC, random_mel
from support.packs import pack_npy

from pipeline.errors import ConfigError
from pipeline.pack import PackResult, npy, workers
from pipeline.pack.npy import npy_corpus
from pipeline.stores import open_store


def save(folder: Path, name: str, values: Any) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)


def pack(folder: Path, **options: Any) -> tuple[PackResult, dict[str, Any]]:
    out = str(folder) + ".zarr"
    result = pack_npy(str(folder), out, SPEC, workers=1, **options)
    store = open_store(out)
    return result, {utterance.key: store.read(utterance) for utterance in store.catalogue()}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4"])
def test_packed_mels_read_back_in_either_order(tmp_path: Path, turned: bool, dtype: str) -> None:
    mels = {"a": random_mel(33), "b/c": random_mel(57, 1), "square": random_mel(N_MELS, 2)}
    for key, mel in mels.items():
        save(tmp_path / "in", f"{key}.npy", (mel.T if turned else mel).astype(dtype))
    result, packed = pack(tmp_path / "in")
    assert (result.utterances, result.frames, result.failures) == (3, 33 + 57 + N_MELS, ())
    for key, mel in mels.items():
        np.testing.assert_array_equal(packed[key], mel)


def test_a_long_mel_goes_through_a_file_and_over_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = random_mel(150_000)
    assert long.nbytes > workers.SPOOL_BYTES
    save(tmp_path / "in", "a.npy", random_mel(100, 1))
    save(tmp_path / "in", "long.npy", long)
    save(tmp_path / "in", "z.npy", random_mel(100, 2))
    _, packed = pack(tmp_path / "in")
    np.testing.assert_array_equal(packed["long"], long)
    np.testing.assert_array_equal(packed["z"], random_mel(100, 2))
    monkeypatch.setattr(workers, "SPOOL_BYTES", 1 << 30)
    made = workers.make_mel(lambda path: iter([long]), workers.MelJob("long", "unused"))
    assert made.rows is not None
    assert made.digest.hex() == open_store(str(tmp_path / "in.zarr")).catalogue()[1].digest


def test_a_square_mel_alone_is_asked_about(tmp_path: Path) -> None:
    save(tmp_path / "in", "a.npy", random_mel(N_MELS))
    with pytest.raises(ConfigError, match="no other mel shows the order"):
        pack(tmp_path / "in")
    _, packed = pack(tmp_path / "in", axis="frames-first")
    np.testing.assert_array_equal(packed["a"], random_mel(N_MELS).T)


def test_a_square_mel_among_mels_of_both_orders_is_asked_about(tmp_path: Path) -> None:
    save(tmp_path / "in", "a.npy", random_mel(N_MELS))
    save(tmp_path / "in", "b.npy", random_mel(30))
    save(tmp_path / "in", "c.npy", random_mel(30).T)
    with pytest.raises(ConfigError, match="both orders"):
        pack(tmp_path / "in")


def test_mels_that_cannot_be_square_are_not_opened_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    really = npy.read_header
    monkeypatch.setattr(npy, "read_header", lambda file: opened.append(Path(file.name).name) or really(file))
    save(tmp_path / "in", "a.npy", random_mel(3))
    save(tmp_path / "in", "b.npy", random_mel(300))
    npy_corpus(str(tmp_path / "in"), SPEC)
    assert opened == []
    for name, dtype in (("half.npy", "f2"), ("double.npy", ">f8"), ("deep.npy", "longdouble")):
        save(tmp_path / "in", name, random_mel(N_MELS).astype(dtype))
        npy_corpus(str(tmp_path / "in"), SPEC)
        assert opened == [name, "a.npy", "b.npy", name]
        (tmp_path / "in" / name).unlink()
        opened.clear()


def test_a_square_mel_behind_an_odd_header_is_not_guessed(tmp_path: Path) -> None:
    save(tmp_path / "in", "a.npy", random_mel(30))
    content = (tmp_path / "in" / "a.npy").read_bytes()
    header = content[10:128].replace(b"30), }", f"{N_MELS}), }}".encode()).rstrip() + b" " * 6000 + b"\n"
    mel = random_mel(N_MELS).tobytes()
    (tmp_path / "in" / "odd.npy").write_bytes(content[:8] + len(header).to_bytes(2, "little") + header + mel)
    result, packed = pack(tmp_path / "in")
    assert set(packed) == {"a"}
    (failure,) = result.failures
    assert "both axes fit; choose --axis" in failure.reason
    shutil.rmtree(tmp_path / "in.zarr")
    _, packed = pack(tmp_path / "in", axis="mels-first")
    np.testing.assert_array_equal(packed["odd"], random_mel(N_MELS))


def test_bad_mels_are_listed_and_the_others_packed(tmp_path: Path) -> None:
    bad = random_mel(9000)
    bad[3, 8500] = np.nan
    files = {
        "good.npy": random_mel(30),
        "nan.npy": bad,
        "inf.npy": np.full((N_MELS, 4), 1e300),
        "wide.npy": np.zeros((33, 50), np.float32),
        "none.npy": np.zeros((N_MELS, 0), np.float32),
        "flat.npy": np.zeros(40, np.float32),
        "whole.npy": np.zeros((N_MELS, 40), np.int16),
    }
    for name, values in files.items():
        save(tmp_path / "in", name, values)
    (tmp_path / "in/text.npy").write_text("no array")
    (tmp_path / "in/empty.npy").write_bytes(b"")
    whole = (tmp_path / "in/good.npy").read_bytes()
    (tmp_path / "in/cut.npy").write_bytes(whole[:-100])
    result, packed = pack(tmp_path / "in")
    reasons = {failure.path: failure.reason for failure in result.failures}
    assert list(packed) == ["good"]
    assert set(reasons) == {*files, "text.npy", "empty.npy", "cut.npy"} - {"good.npy"}
    assert "frame 8500" in reasons["nan.npy"]
    assert "[33, 50]" in reasons["wide.npy"]
    assert "20 bands" in reasons["wide.npy"]
    assert "no frames" in reasons["none.npy"]
    assert "int16" in reasons["whole.npy"]


def test_an_array_of_objects_is_never_unpickled(tmp_path: Path) -> None:
    save(tmp_path / "in", "good.npy", random_mel(30))
    trap = np.empty((N_MELS, 3), object)
    trap[:] = Bomb(tmp_path / "exploded")
    np.save(tmp_path / "in/objects.npy", trap, allow_pickle=True)
    (tmp_path / "in/pickle.npy").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    result, packed = pack(tmp_path / "in")
    assert list(packed) == ["good"]
    assert len(result.failures) == 2
    assert not (tmp_path / "exploded").exists()
    assert (
        "Python objects (a pickle, which may run code)"
        in {each.path: each.reason for each in result.failures}["objects.npy"]
    )


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_mel_with_impossible_values_is_named_and_the_others_packed(tmp_path: Path) -> None:
    mels = {"good": random_mel(33), "loud": random_mel(9000, 1), "decibels": random_mel(33, 2) * 20}
    mels["loud"][3, 8500] = 11
    for key, mel in mels.items():
        save(tmp_path / "in", f"{key}.npy", mel)
    result, packed = pack(tmp_path / "in")
    assert set(packed) == {"good"}
    reasons = {failure.path: failure.reason for failure in result.failures}
    assert reasons["loud.npy"].startswith("the value 11 in band 3 of frame 8500 is not possible under the mel contract")
    assert "of frame 0 is not possible" in reasons["decibels.npy"]

"""What a source is taken for, and mel stores packed anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import zarr
from support.listing import made
from support.making import LENGTHS, N_MELS, SPEC, make_grouped, make_padded, make_ragged, random_mel, some_mels

from pipeline.errors import ConfigError
from pipeline.melspec import preset
from pipeline.pack import kind_of, pack_source
from pipeline.pack.kinds import corpus_of
from pipeline.pack.zarr_stores import zarr_corpus


def touch(*names: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(b"")

    return make


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (touch("x/a.FLAC", "notes.txt"), "audio"),
        (touch("x/a.npy", "x/a.wav"), "npy"),
        (touch("a.h5"), "hdf5"),
        (touch("deep/down/a.pt", "b.pth"), "torch"),
        (touch("feats.scp", "wav.scp", "a.ark"), "kaldi"),
        (touch("zarr.json", "c/0.npy"), "zarr"),
        (touch(".zgroup"), "zarr"),
        (touch(), "audio"),
    ],
)
def test_folders_are_recognized_by_what_is_in_them(tmp_path: Path, make: Any, kind: str) -> None:
    make(tmp_path)
    assert kind_of(str(tmp_path)) == kind


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.ark", "", "kaldi"),
        ("feats.scp", "", "kaldi"),
        ("m.json", '\n{"audio_filepath": "a.wav"}', "nemo"),
        ("c.jsonl", '{"id": "a", "type": "MixedCut"}', "lhotse"),
        ("r.jsonl", '{"id": "a", "sources": []}', "lhotse"),
    ],
)
def test_files_are_recognized_by_their_first_row(tmp_path: Path, name: str, text: str, kind: str) -> None:
    (tmp_path / name).write_text(text)
    assert kind_of(str(tmp_path / name)) == kind


def test_what_is_not_one_kind_is_asked_about(tmp_path: Path) -> None:
    touch("a.h5", "b.npy")(tmp_path / "two")
    touch("a.wav", "b.pt")(tmp_path / "beside")
    touch("a.ark", "a.scp")(tmp_path / "archives")
    touch("a.json", "b.wav")(tmp_path)
    for name, said in {
        "two": "npy and hdf5; choose one with --from", "beside": "audio and torch", "archives": "give the .scp",
        "a.json": "is not recognized", "b.wav": "give the folder of the files", "none": "does not exist",
    }.items():  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            kind_of(str(tmp_path / name))
    with pytest.raises(ConfigError, match="the order of axes in audio is known"):
        pack_source(str(tmp_path), str(tmp_path / "s"), SPEC, "audio", "mels-first")
    with pytest.raises(ConfigError, match="states no mel contract; give it"):
        pack_source(str(tmp_path), str(tmp_path / "s"), None, "audio")


def test_every_kind_gives_the_same_mels(tmp_path: Path) -> None:
    mels = {"a": random_mel(30), "b": random_mel(41, 1)}
    ark = b""
    for key, mel in mels.items():
        for folder in ("npy", "h5"):
            (tmp_path / folder).mkdir(exist_ok=True)
        np.save(tmp_path / f"npy/{key}.npy", mel)
        with h5py.File(tmp_path / f"h5/{key}.h5", "w") as file:
            file["feats"] = mel.T
        sizes = b"".join(b"\4" + size.to_bytes(4, "little") for size in mel.T.shape)
        ark += key.encode() + b" \0BFM " + sizes + mel.T.astype("<f4").tobytes()
    (tmp_path / "mels.ark").write_bytes(ark)
    make_padded(tmp_path / "padded.zarr", mels)
    for source in map(str, tmp_path.iterdir()):
        corpus = corpus_of(source, SPEC, kind_of(source))
        packed, reasons = made(corpus)
        assert not reasons
        assert {key: mel.tobytes() for key, mel in packed.items()} == {key: mel.tobytes() for key, mel in mels.items()}
        assert len(corpus.sources.digest()) == 32


def test_a_padded_store_becomes_ragged_with_its_texts(tmp_path: Path) -> None:
    make_padded(tmp_path / "s", some_mels(), frames_first=True)
    told = zarr.open_group(str(tmp_path / "s")).create_array("text", shape=(len(LENGTHS),), dtype=str)
    told[...] = np.array([f"text of {key}" for key in LENGTHS], np.dtypes.StringDType())
    corpus = zarr_corpus(str(tmp_path / "s"), SPEC)
    mels, reasons = made(corpus)
    assert not reasons
    assert {key: mel.tobytes() for key, mel in mels.items()} == {
        key: np.ascontiguousarray(mel).tobytes() for key, mel in some_mels().items()
    }
    assert {source.key: source.meta for source in corpus.sources.items} == {
        key: f'{{"text": "text of {key}"}}' if key.isascii() else '{"text": "text of \\u00fcn\\u00ef"}'
        for key in LENGTHS
    }


def test_faults_of_a_grouped_store_stay_faults(tmp_path: Path) -> None:
    mels = {**some_mels(), "nan": random_mel(20, 7), "square": random_mel(N_MELS, 8)}
    mels["nan"][3, 5] = np.nan
    make_grouped(tmp_path / "s", mels)
    (tmp_path / "s/d/c/0/2").unlink()
    (tmp_path / "s/a/zarr.json").write_text("{")
    mels["wide"] = np.zeros((33, 9), np.float32)
    group = zarr.open_group(str(tmp_path / "s"))
    group.create_array("wide", data=mels["wide"])
    packed, reasons = made(zarr_corpus(str(tmp_path / "s"), SPEC))
    assert set(packed) == {"b/c", "ünï", "square"}
    assert set(reasons) == {"a", "d", "nan", "wide"}
    assert "chunk d/c/0/2" in reasons["d"]
    assert "NaN in frame 5" in reasons["nan"]
    assert "not valid JSON" in reasons["a"]
    np.testing.assert_array_equal(packed["square"], mels["square"])


def test_a_store_s_own_contract_is_taken_and_another_refused(tmp_path: Path) -> None:
    make_ragged(tmp_path / "s", some_mels())
    assert zarr_corpus(str(tmp_path / "s")).spec == SPEC
    with pytest.raises(ConfigError, match="another mel contract than the one given"):
        zarr_corpus(str(tmp_path / "s"), preset("hifigan-22k"))
    make_grouped(tmp_path / "bare", some_mels(), names=("mel", "time"))
    with pytest.raises(ConfigError, match="states no mel contract"):
        zarr_corpus(str(tmp_path / "bare"))

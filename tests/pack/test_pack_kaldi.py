"""Packing Kaldi's archives."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.listing import DATA, made
from support.making import N_MELS, SPEC, Mels, random_mel

from pipeline.errors import ConfigError
from pipeline.pack.kaldi import kaldi_corpus

KEYS = ["cm", "cm2", "cm3", "double", "float"]


def expected() -> Mels:
    """What kaldiio reads, `[n_mels, frames]`."""
    with np.load(DATA / "kaldi.npz") as archive:
        return {key: archive[key].T for key in KEYS}


def entry(key: str, mel: np.ndarray) -> bytes:
    """A matrix as Kaldi writes it."""
    sizes = b"".join(b"\4" + size.to_bytes(4, "little") for size in mel.T.shape)
    return key.encode() + b" \0BFM " + sizes + np.ascontiguousarray(mel.T, "<f4").tobytes()


@pytest.mark.parametrize("name", ["kaldi.scp", "kaldi.ark"])
def test_every_format_reads_as_kaldiio_reads_it(name: str) -> None:
    mels, reasons = made(kaldi_corpus(str(DATA / name), SPEC))
    assert not reasons
    assert list(mels) == KEYS
    for key, mel in expected().items():
        np.testing.assert_allclose(mels[key], mel, rtol=0, atol=2e-6)
    for key in ("float", "double"):
        np.testing.assert_array_equal(mels[key], expected()[key])


def test_long_matrices_are_decompressed_in_blocks(tmp_path: Path) -> None:
    rows = 20_000
    header = np.array([-8, 4], "<f4").tobytes() + np.array([rows, N_MELS], "<i4").tobytes()
    stored = np.random.default_rng(0).integers(0, 256, (rows, N_MELS), np.uint8)
    (tmp_path / "a.ark").write_bytes(b"a \0BCM3 " + header + stored.tobytes())
    mels, _ = made(kaldi_corpus(str(tmp_path / "a.ark"), SPEC))
    np.testing.assert_allclose(mels["a"], (-8 + 4 / 255 * stored.astype(np.float64)).T, atol=1e-5)


def test_relative_paths_are_below_the_list_or_else_below_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, value in (("exp", 1.0), ("here", 2.0)):
        (tmp_path / folder / "x").mkdir(parents=True)
        (tmp_path / folder / "x/a.ark").write_bytes(entry("a", np.full((N_MELS, 3), value)))
    (tmp_path / "here/x/b.ark").write_bytes(entry("b", np.full((N_MELS, 3), 3.0)))
    absolute = tmp_path / "here/x/a.ark"
    (tmp_path / "exp/feats.scp").write_text(f"a x/a.ark:2\nb x/b.ark:2\n\nc  {absolute}:2 \n")
    monkeypatch.chdir(tmp_path / "here")
    mels, reasons = made(kaldi_corpus(str(tmp_path / "exp"), SPEC))
    assert not reasons
    assert {key: float(mel[0, 0]) for key, mel in mels.items()} == {"a": 1.0, "b": 3.0, "c": 2.0}


def test_commands_are_refused_and_never_run(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    lines = [
        f"piped touch {touched} |", f"into | touch {touched}", f"attached touch {touched}|",
        f"real {DATA / 'kaldi.ark'}:6", f"range {DATA / 'kaldi.ark'}:6[0:3]", "alone", "gone none.ark:3",
        f"vague {DATA / 'kaldi.ark'}:7", f"beyond {DATA / 'kaldi.ark'}:999999", f"folder {tmp_path}",
    ]  # fmt: skip
    (tmp_path / "feats.scp").write_bytes("\n".join(lines).encode() + b"\n\xff\xfe x.ark:3\n")
    mels, reasons = made(kaldi_corpus(str(tmp_path / "feats.scp"), SPEC))
    assert list(mels) == ["real"]
    assert len(reasons) == 10
    for number, key in enumerate(("piped", "into", "attached"), 1):
        assert "is a command, which melmill does not run" in reasons[f"{key} (line {number})"]
    assert "range" in reasons["range (line 5)"]
    assert "a line must be a key, then FILE" in reasons["line 6"]
    assert "none.ark is not there" in reasons["gone (line 7)"]
    assert "not a binary Kaldi matrix" in reasons["vague (line 8)"]
    assert "UTF-8" in reasons["line 11"]
    assert not touched.exists()


def test_what_is_no_matrix_or_claims_more_than_there_is_is_listed(tmp_path: Path) -> None:
    vector = b"v \0BFV \4" + (3).to_bytes(4, "little") + bytes(12)
    huge = b"h \0BFM \4" + (2**31 - 1).to_bytes(4, "little") + b"\4" + (N_MELS).to_bytes(4, "little") + bytes(80)
    negative = b"n \0BCM2 " + bytes(8) + np.array([-1, N_MELS], "<i4").tobytes()
    for name, what in {"v": vector, "h": huge, "n": negative, "t": b"t [ 1 2\n 3 4 ]\n", "e": b"e \0BFM \4"}.items():
        (tmp_path / f"{name}.ark").write_bytes(entry("a", random_mel(4)) + what)
        mels, reasons = made(kaldi_corpus(str(tmp_path / f"{name}.ark"), SPEC))
        assert list(mels) == ["a"]
        ((path, reason),) = reasons.items()
        assert path == name
        words = {"v": "it is a vector", "h": "bytes more than the file has", "n": "-1 by 20", "t": "copy-feats"}
        assert words.get(name, "it is cut off") in reason
        assert f"the archive was not read beyond byte {len(entry('a', random_mel(4)))}" in reason
    (tmp_path / "w.ark").write_bytes(entry("w", np.zeros((33, 5))) + entry("z", np.zeros((N_MELS, 0))))
    _, reasons = made(kaldi_corpus(str(tmp_path / "w.ark"), SPEC))
    assert "[5, 33]; the mel contract says 20" in reasons["w"]
    assert "no frames" in reasons["z"]


def test_duplicate_keys_and_empty_lists_are_errors(tmp_path: Path) -> None:
    shutil.copy(DATA / "kaldi.ark", tmp_path)
    (tmp_path / "twice.scp").write_text("a kaldi.ark:6\na kaldi.ark:748\n")
    with pytest.raises(ConfigError, match=r"a \(line 1\) and a \(line 2\) .* the key 'a'"):
        kaldi_corpus(str(tmp_path / "twice.scp"), SPEC)
    (tmp_path / "none.scp").write_text("\n")
    with pytest.raises(ConfigError, match="lists no matrices"):
        kaldi_corpus(str(tmp_path / "none.scp"), SPEC)
    with pytest.raises(ConfigError, match=r"feats\.scp"):
        kaldi_corpus(os.fspath(tmp_path), SPEC)

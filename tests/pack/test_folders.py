"""What machines leave lying about in folders is no source and no failure, whatever is packed."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.packing import SPEC, write_tone

from pipeline.cli import app
from pipeline.errors import ConfigError
from pipeline.pack import kind_of, pack_source
from pipeline.workshop.training.speech import read_speech

FORK = bytes.fromhex("0005160700020000") + bytes(74)
CLUTTER = (
    "._a.EXT", "sub/._a.EXT", "__MACOSX/a.EXT", "__MACOSX/sub/._a.EXT", ".DS_Store", "sub/.DS_Store", "Thumbs.db",
    "ehthumbs.db", "desktop.ini", "Desktop.ini", "a.EXT~", "~", ".a.EXT.swp", ".a.EXT.swo", "#a.EXT#", ".#a.EXT",
    ".~lock.texts.csv#", "@eaDir/a.EXT", "@eaDir/a.EXT/SYNOAUDIO_01APIC_03.jpg", "#recycle/a.EXT", ".Trashes/501/a.EXT",
    "$RECYCLE.BIN/a.EXT", "System Volume Information/IndexerVolumeGuid", "lost+found/a.EXT", ".AppleDouble/a.EXT",
    ".nfs000000000001", ".ipynb_checkpoints/a.EXT", "Icon\r",
    ".Trash-1000/files/a.EXT", ".stversions/a.EXT", ".snapshot/daily/a.EXT", ".git/a.EXT", ".venv/lib/a.EXT",
)  # fmt: skip


def write(path: Path) -> None:
    mel = np.random.default_rng(0).uniform(-8, 0, (SPEC.n_mels, 40)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, mel)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["feats"] = mel.T
    else:
        write_tone(path)


@pytest.mark.parametrize("extension", ["wav", "flac", "npy", "h5"])
def test_clutter_is_counted_in_one_line(tmp_path: Path, extension: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / f"in/a.{extension}")
    write(tmp_path / f"in/sub/b.{extension}")
    (tmp_path / "in/notes.txt").touch()
    names = {name.replace("EXT", extension) for name in CLUTTER} - {f"@eaDir/a.{extension}"}
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(FORK)
    with pytest.raises(SystemExit) as end:
        app(["pack", str(tmp_path / "in"), str(tmp_path / "s.zarr"), "--mel", "hifigan-22k", "--workers", "1"])
    told = capsys.readouterr()
    assert end.value.code == 0
    assert told.out.splitlines()[1:] == [
        "1 file of another kind was left out",
        f"{len(names)} files that machines leave lying about (.DS_Store, ._x, x~, @eaDir, ...) were left out",
    ]
    assert told.err == ""


def test_clutter_decides_no_kind_and_is_no_speech_to_train_on(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_tone(tmp_path / f"in/{name}.wav", 1.0)
    for name in ("._a.npy", "@eaDir/a.h5", "#b.pt#", "._c.wav"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(FORK)
    assert kind_of(str(tmp_path / "in")) == "audio"
    speech = read_speech([tmp_path / "in"], 22050, hold_out="a")
    assert (len(speech.train), len(speech.held_out), speech.left_out) == (2, 1, ())


def test_a_folder_of_clutter_alone_has_no_audio(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/._a.wav").write_bytes(FORK)
    with pytest.raises(ConfigError, match=r"has no audio files \(1 other files\)"):
        pack_source(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC)


def test_a_clutter_folder_that_is_a_link_in_a_circle_is_not_followed(tmp_path: Path) -> None:
    write_tone(tmp_path / "in/a.wav")
    os.symlink(tmp_path / "in", tmp_path / "in/@eaDir")
    result = pack_source(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC, workers=1)
    assert (result.utterances, result.failures) == (1, ())


def test_audio_that_is_not_read_is_named_unless_it_lies_beside_what_is(tmp_path: Path) -> None:
    write_tone(tmp_path / "in/a.wav", 1.0)
    write_tone(tmp_path / "in/b.wav", 1.0)
    for name in ("a.m4a", "sub/x.M4A", "y.wma", "film.mp4"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"\0\0\0\x20ftypM4A " + bytes(64))
    result = pack_source(str(tmp_path / "in"), str(tmp_path / "s.zarr"), SPEC, workers=1)
    reasons = {failure.path: failure.reason for failure in result.failures}
    assert set(reasons) == {"sub/x.M4A", "y.wma"}
    assert "MPEG-4 (.m4a), which melmill does not read; convert it" in reasons["sub/x.M4A"]
    assert (result.utterances, result.ignored) == (2, 2)
    left_out = read_speech([tmp_path / "in"], 22050, hold_out="a").left_out
    assert sorted(Path(reason.partition(":")[0]).name for reason in left_out) == ["x.M4A", "y.wma"]
    for name in ("a.wav", "b.wav"):
        (tmp_path / "in" / name).unlink()
    with pytest.raises(ConfigError, match=r"could be packed \(3 tried\).*convert it"):
        pack_source(str(tmp_path / "in"), str(tmp_path / "t.zarr"), SPEC, workers=1)

"""Mels framed otherwise than the vocoder takes them: where the sound lies afterwards, and how long it is."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import zarr
from support.corpora import assert_whole, rows
from support.packs import pack_npy

import pipeline
from pipeline.config import JobConfig
from pipeline.dsp.mel import log_mel
from pipeline.errors import ContractError
from pipeline.melspec import PRESETS, convert_mel
from pipeline.vocoders import decode_windows, load_vocoder
from pipeline.vocoders.griffin_lim import GriffinLim
from pipeline.worker.reframing import Reframing

SAME, CENTER = PRESETS["nemo-22k"], PRESETS["tacotron2-22k"]  # alike but for the framing and half a sample
HOP = 256


def centre_of_energy(waveform):
    squares = waveform.astype(np.float64) ** 2
    return float(np.arange(len(waveform)) @ squares / squares.sum())


# How late the sound comes, in hops, and how many hops there are of a waveform of 60.
@pytest.mark.parametrize(
    ("source", "target", "change", "late", "hops"),
    [
        (CENTER, SAME, "shift", 0.0, 60),
        (CENTER, SAME, "trim", 0.5, 60),
        (SAME, CENTER, "shift", 0.0, 60),
        (SAME, CENTER, "trim", -0.5, 59),
        (SAME, SAME, "shift", 0.0, 60),
    ],
)
def test_sound_lies_where_it_is_said_to_lie(source, target, change, late, hops):
    waveform = np.zeros(60 * HOP, np.float32)
    waveform[7000:7600] = np.random.default_rng(0).standard_normal(600) * 0.1  # a burst
    mel = log_mel(waveform, source)
    reframing = Reframing.of(source, target, change)
    frames = reframing.frames(mel.shape[1])
    vocoder = GriffinLim(target, iterations=4, updates=20)

    def read(start, stop):
        return reframing.read(lambda first, last: mel[:, first:last], mel.shape[1], start, stop)

    pieces = decode_windows(vocoder, read, frames, window=17)
    made = np.concatenate(list(reframing.trimmed(pieces, vocoder.samples(frames))))
    assert len(made) == hops * HOP
    assert (centre_of_energy(made) - centre_of_energy(waveform)) / HOP == pytest.approx(late, abs=0.06)


def test_edge_frames_are_repeated_whatever_window_is_read():
    reframing = Reframing(repeated=1)
    mel = np.arange(5.0, dtype=np.float32)[None]
    wanted = [0, 0, 1, 2, 3, 4, 4]
    for start in range(7):
        for stop in range(start + 1, 8):
            read = reframing.read(lambda first, last: mel[:, first:last], 5, start, stop)
            assert read[0].tolist() == wanted[start:stop]


@pytest.mark.parametrize("frames", [0, 1, 2])
@pytest.mark.parametrize("change", ["trim", "shift"])
def test_mels_of_hardly_any_frames_give_what_is_left(frames, change):
    for source, target in ((CENTER, SAME), (SAME, CENTER)):
        reframing = Reframing.of(source, target, change)
        samples = target.samples(reframing.frames(frames))
        left = list(reframing.trimmed([np.zeros(samples, np.float32)], samples))
        assert sum(map(len, left)) == max(0, samples - 2 * reframing.cut)


@pytest.fixture(scope="module")
def centred(mels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prompts' mels in a store that states centred frames."""
    path = tmp_path_factory.mktemp("centred") / "mels.zarr"
    pack_npy(str(mels), str(path), CENTER, workers=1)
    return path


def test_another_framing_is_refused_with_the_option_that_converts_it(
    job: Callable[..., JobConfig], centred: Path
) -> None:
    with pytest.raises(ContractError) as refusal:
        pipeline.plan(job(input__store=str(centred)))
    assert "framing: center -> same (half a hop and one frame apart)" in str(refusal.value)
    assert "--set input.framing=shift" in str(refusal.value)


def test_a_shifted_store_holds_the_vocoders_samples_without_half_a_hop_at_both_ends(
    job: Callable[..., JobConfig], centred: Path, vocoder_path: Path, tmp_path: Path
) -> None:
    common = {"input__store": str(centred), "output__codec": "wav", "output__subtype": "FLOAT"}
    shifted = job(**common, input__framing="shift")
    pipeline.run(shifted)
    assert_whole(tmp_path / "audio", 24)
    store, vocoder = pipeline.open_store(str(centred)), load_vocoder(str(vocoder_path))
    utterance = store.catalogue()[3]
    row = next(row for row in rows(tmp_path / "audio") if row["key"] == utterance.key)
    with open(tmp_path / "audio" / row["shard"], "rb") as file:
        file.seek(row["offset"])
        found = soundfile.read(io.BytesIO(file.read(row["bytes"])), dtype="float32")[0]
    np.testing.assert_array_equal(found, vocoder.decode(store.read(utterance))[HOP // 2 : -HOP // 2])
    assert not pipeline.plan(shifted).todo
    stale = pipeline.plan(job(**common, input__framing="trim")).todo
    assert {shard.reason for shard in stale} == {"the mel contract changed"}


def test_a_frame_that_is_left_out_still_counts_for_the_digest(
    job: Callable[..., JobConfig], centred: Path, tmp_path: Path
) -> None:
    pipeline.run(job(input__store=str(centred), input__framing="trim"))
    assert_whole(tmp_path / "audio", 24)
    group = zarr.open_group(centred)
    last = int(group["offsets"][6]) - 1
    group["mel"][last] = group["mel"][last] - 0.5
    pipeline.run(job(input__store=str(centred), input__framing="trim", output__url=str(tmp_path / "again"),
                     quality__max_failure_rate=0.1))  # fmt: skip
    (failure,) = rows(tmp_path / "again", "failures.jsonl")
    assert "not those that were listed" in failure["reason"]


def test_values_convert_and_frames_shift_at_once(job: Callable[..., JobConfig], mels: Path, tmp_path: Path) -> None:
    decibels = pipeline.melspec.mel_spec({"preset": "tacotron2-22k", "log": "db"})
    (tmp_path / "db").mkdir()
    for path in sorted(mels.glob("*/*.npy"))[:5]:
        np.save(tmp_path / "db" / path.name, convert_mel(np.load(path), CENTER, decibels))
    pack_npy(str(tmp_path / "db"), str(tmp_path / "db.zarr"), decibels, workers=1)
    settings = {"input__store": str(tmp_path / "db.zarr"), "input__framing": "shift"}
    with pytest.raises(ContractError, match=r"All of these can be converted exactly: pass --set input.convert=true"):
        pipeline.plan(job(**settings))
    pipeline.run(job(**settings, input__convert=True))
    assert_whole(tmp_path / "audio", 5)

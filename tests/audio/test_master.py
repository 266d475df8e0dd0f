"""Sample rate and loudness as a job asks for them: what the output holds, and when it is made anew."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile
from numpy.typing import NDArray
from support.commits import as_version_1
from support.corpora import SPEC, assert_whole, rows
from support.packs import pack_npy
from support.paths import PROMPTS

import pipeline
from pipeline.audio import loudness
from pipeline.audio.encode import Encoder
from pipeline.audio.master import Master
from pipeline.audio.resample import resampled_length
from pipeline.config import JobConfig, OutputConfig
from pipeline.dsp.mel import log_mel
from pipeline.errors import ConfigError
from pipeline.output.commit_format import Commit
from pipeline.output.not_measured import NO_LOUDNESS
from pipeline.output.records import Row, sealed
from pipeline.vocoders import decode_windows
from pipeline.vocoders.griffin_lim import GriffinLim


def two_prompts(factor: float = 1.0) -> list[NDArray[np.float32]]:
    paths = sorted(PROMPTS.glob("it*/*.flac"))[:2]
    return [factor * soundfile.read(path, dtype="float32")[0][:24000] for path in paths]


@pytest.fixture
def small_store(tmp_path: Path) -> Callable[[float], Path]:
    """A store of two prompts whose audio was multiplied by a factor."""

    def build(factor: float) -> Path:
        folder = tmp_path / "npy"
        folder.mkdir()
        for name, waveform in zip("ab", two_prompts(factor), strict=True):
            np.save(folder / f"{name}.npy", log_mel(waveform, SPEC))
        pack_npy(str(folder), str(tmp_path / "small.zarr"), SPEC, workers=1)
        return tmp_path / "small.zarr"

    return build


def audio(out: Path, row: dict[str, object]) -> NDArray[np.float32]:
    with open(out / str(row["shard"]), "rb") as file:
        file.seek(int(str(row["offset"])))
        found: NDArray[np.float32] = soundfile.read(io.BytesIO(file.read(int(str(row["bytes"])))), dtype="float32")[0]
    return found


def test_rate_and_loudness_as_asked_for_and_the_distance_of_the_vocoders_own_waveform(
    small_store: Callable[[float], Path], job: Callable[..., JobConfig], tmp_path: Path
) -> None:
    common = {"input__store": str(small_store(1.0)), "vocoder__name": "griffin-lim"}
    plain, asked = tmp_path / "plain", tmp_path / "asked"
    pipeline.run(job(**common, output__url=str(plain)))
    pipeline.run(job(**common, output__url=str(asked), output__sample_rate=16000, output__loudness=-27.0))
    for before, after in zip(rows(plain), rows(asked), strict=True):
        assert (before["gain_db"], before["loudness"], before["sample_rate"]) == (0.0, NO_LOUDNESS, 22050)
        assert after["num_samples"] == resampled_length(before["num_samples"], 22050, 16000)
        assert after["duration"] == after["num_samples"] / 16000
        assert after["mel_distance"] == before["mel_distance"]
        heard = audio(asked, after)
        assert len(heard) == after["num_samples"]
        assert after["loudness"] == pytest.approx(-27)
        assert pyloudnorm.Meter(16000).integrated_loudness(heard.astype(np.float64)) == pytest.approx(-27, abs=0.02)
        assert after["gain_db"] != 0
    assert_whole(asked, 2)


@pytest.mark.parametrize("window", [16, 60, None])
def test_the_pcm_does_not_depend_on_the_window(window: int | None, tmp_path: Path) -> None:
    mel = log_mel(two_prompts()[0], SPEC)
    vocoder = GriffinLim(SPEC, iterations=2, updates=5)
    output = OutputConfig(url="x", sample_rate=16000, loudness=-20.0, subtype="PCM_24")

    def digest(pieces: list[NDArray[np.float32]]) -> str:
        master = Master(output, SPEC.sample_rate, tmp_path)
        with Encoder("flac", "PCM_24", master.sample_rate, tmp_path) as encoder:
            for piece in master.pieces(pieces):
                encoder.push(piece)
            encoder.finish()
            return encoder.pcm_sha256

    windows = decode_windows(vocoder, lambda start, stop: mel[:, start:stop], mel.shape[1], window)
    assert digest(list(windows)) == digest([vocoder.decode(mel)])


@pytest.mark.parametrize(("subtype", "codec"), [("PCM_16", "flac"), ("FLOAT", "wav")])
def test_samples_over_full_scale_are_counted_in_every_subtype_and_said(
    subtype: str, codec: str, small_store: Callable[[float], Path], job: Callable[..., JobConfig], tmp_path: Path
) -> None:
    report = pipeline.run(
        job(
            input__store=str(small_store(6.0)),
            vocoder__name="griffin-lim",
            output__codec=codec,
            output__subtype=subtype,
        )
    )
    found = rows(tmp_path / "audio")
    over = [int(row["over_full_scale"]) for row in found]
    assert min(over) > 0
    assert min(row["peak"] for row in found) > 1
    assert (report.totals.over_full_scale, report.totals.over_full_scale_samples) == (2, sum(over))
    assert report.totals.peak == max(row["peak"] for row in found)
    for row in found:
        heard = audio(tmp_path / "audio", row)
        if subtype == "FLOAT":
            assert (np.count_nonzero(np.abs(heard) > 1), row["clipped"]) == (row["over_full_scale"], 0)
        else:
            assert row["clipped"] >= row["over_full_scale"]
            assert np.abs(heard).max() <= 1


def test_a_loudness_keeps_what_would_be_clipped_under_the_true_peak(
    small_store: Callable[[float], Path], job: Callable[..., JobConfig], tmp_path: Path
) -> None:
    pipeline.run(job(input__store=str(small_store(6.0)), vocoder__name="griffin-lim", output__loudness=-6.0))
    for row in rows(tmp_path / "audio"):
        assert (row["clipped"], row["over_full_scale"]) == (0, 0)
        assert row["peak"] <= 10 ** (-1 / 20) * (1 + 2**-23)  # where a sample is the true peak: gain and product round
        assert row["gain_db"] < 0
        assert row["loudness"] < -6  # the true peak came first


def test_another_rate_or_loudness_makes_every_shard_stale_and_says_why(job: Callable[..., JobConfig]) -> None:
    pipeline.run(job())
    tar = "output tar flac PCM_16"
    for settings, words in (
        ({"output__sample_rate": 16000}, f"{tar} -> tar flac PCM_16 16000 Hz"),
        ({"output__loudness": -23}, f"{tar} -> tar flac PCM_16 -23 LUFS under -1 dBTP"),
        ({"output__loudness": -23, "output__true_peak": -2}, f"{tar} -> tar flac PCM_16 -23 LUFS under -2 dBTP"),
    ):
        plan = pipeline.plan(job(**settings))
        assert (len(plan.done), {shard.reason for shard in plan.todo}) == (0, {words})
    for settings in ({"output__sample_rate": 22050}, {"output__true_peak": -2}):  # no other samples
        assert pipeline.plan(job(**settings)).todo == ()


def test_a_record_from_before_these_fields_is_still_read(job: Callable[..., JobConfig], tmp_path: Path) -> None:
    pipeline.run(job(output__shard_seconds=1000))
    (path,) = (tmp_path / "audio" / "_melmill").glob("commits/*")
    plain = json.loads(as_version_1(Commit(path.read_bytes()).record))
    new = {"over_full_scale", "gain_db", "loudness"}
    for row in plain["rows"]:
        for name in new:
            del row[name]
    del plain["seal"]
    record = Commit(json.dumps(sealed(plain)).encode()).record
    assert {(row.over_full_scale, row.gain_db, row.loudness) for row in record.rows} == {(None, 0.0, None)}
    assert isinstance(record.rows[0], Row)


def test_without_pyloudnorm_a_job_is_refused_before_any_work(
    job: Callable[..., JobConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = loudness.importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *rest: None if name == "pyloudnorm" else find(name))
    with pytest.raises(ConfigError, match=r"pip install 'melmill\[loudness\]'"):
        pipeline.plan(job(output__loudness=-23))

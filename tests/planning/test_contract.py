"""Values that contradict their contract are refused before any work; true ones are not."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from support.corpora import SPEC
from support.faults.ragged_store import write_store

import pipeline
from pipeline.cli import app
from pipeline.config import JobConfig
from pipeline.errors import ContractError
from pipeline.events import ContractDoubted, Event
from pipeline.melspec import Normalization, convert_mel, mel_spec
from pipeline.planning.prepare import prepare
from pipeline.stores import inspect_store, open_store
from pipeline.stores.sampling import sample_mels

LOG10 = mel_spec({"preset": "hifigan-22k", "log": "log10"})
DECIBELS = mel_spec({"preset": "hifigan-22k", "log": "db"})


@pytest.fixture
def grouped(mels: Path, tmp_path: Path) -> Callable[..., Path]:
    """A grouped store of the prompts' mels in another contract's values, or of given ones, that states none."""

    def make(spec=None, values=None) -> Path:
        group = zarr.open_group(str(tmp_path / "grouped.zarr"), mode="w")
        for i, path in enumerate(sorted(mels.glob("*/*.npy"))):
            mel = np.load(path) if values is None else values(np.load(path))
            mel = mel if spec is None else convert_mel(mel, SPEC, spec)
            group.create_array(f"u{i}", data=mel, chunks=mel.shape)
        return tmp_path / "grouped.zarr"

    return make


@pytest.mark.parametrize(
    ("true", "found", "looks"),
    [
        (LOG10, "the values are too close together", "pwg-"),
        (DECIBELS, "lie below the contract's floor", "the contract with log: db and power: 1"),
    ],
    ids=["log10", "decibels"],
)
def test_another_logarithm_than_the_job_says_is_refused_with_what_it_looks_like(
    job: Callable[..., JobConfig], grouped: Callable[..., Path], true, found: str, looks: str, tmp_path: Path
) -> None:
    settings = {"input__store": str(grouped(true)), "input__mel": "hifigan-22k"}
    for work in (pipeline.plan, pipeline.run):
        with pytest.raises(ContractError) as refusal:
            work(job(**settings))
        assert "contradict the mel contract that is stated for them" in str(refusal.value)
        assert found in str(refusal.value)
        assert looks in str(refusal.value).split("They look like ")[1]
    assert not (tmp_path / "audio").exists()
    assert pipeline.plan(job(**settings, input__check_values=False)).todo


def test_normalized_values_said_to_be_raw_are_refused(
    job: Callable[..., JobConfig], grouped: Callable[..., Path], mels: Path
) -> None:
    values = np.concatenate([np.load(path) for path in sorted(mels.glob("*/*.npy"))], axis=1)
    stats = Normalization(tuple(values.mean(axis=1).tolist()), tuple(values.std(axis=1).tolist()))
    normalized = mel_spec({"preset": "hifigan-22k", "normalization": stats.to_dict()})
    store = str(grouped(normalized))
    with pytest.raises(ContractError, match="normalized by a mean and scale for each band"):
        pipeline.plan(job(input__store=store, input__mel="hifigan-22k"))
    stated = {"preset": "hifigan-22k", "normalization": stats.to_dict()}
    assert pipeline.plan(job(input__store=store, input__mel=stated, input__convert=True)).todo


@pytest.mark.parametrize("level", [0.0, 1e-4], ids=["digital silence", "80 dB quieter"])
def test_silence_and_quiet_speech_are_not_refused(
    job: Callable[..., JobConfig], grouped: Callable[..., Path], level: float
) -> None:
    def quieter(mel):
        return np.maximum(mel + np.log(max(level, 1e-30)), np.log(1e-5)).astype(np.float32)

    store = str(grouped(values=quieter))
    assert pipeline.plan(job(input__store=store, input__mel="hifigan-22k")).todo


def test_a_store_without_a_contract_is_measured_and_its_presets_named(grouped: Callable[..., Path]) -> None:
    store = open_store(str(grouped(values=lambda mel: np.maximum(mel, np.log(1e-5)))), mel=SPEC)
    store.spec = None
    looks = inspect_store(store).looks
    assert looks is not None
    assert {"hifigan-22k", "tacotron2-22k"} <= set(looks.fits)
    assert not {"pwg-22k", "coqui", "styletts2-24k", "bigvgan-24k"} & set(looks.fits)
    assert looks.cannot["bigvgan-24k"] == "its mels have 100 bands, these 80"
    assert "below the contract's floor" in looks.cannot["coqui"]
    assert -11.6 < looks.values.lowest < looks.values.silence < looks.values.speech < looks.values.highest < 2
    assert len(looks.values.bands) == 80


def test_a_job_that_names_no_contract_is_told_where_to_look(job: Callable[..., JobConfig], tmp_path: Path) -> None:
    group = zarr.open_group(str(tmp_path / "named.zarr"), mode="w")
    array = group.create_array("u", shape=(80, 300), dtype="float32", dimension_names=("mel", "time"))
    array[:] = -5
    with pytest.raises(ContractError, match=r"one is never assumed.*melmill inspect measures the values"):
        pipeline.plan(job(input__store=str(tmp_path / "named.zarr")))


def test_inspect_measures_a_store_that_names_neither_contract_nor_axis(
    grouped: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        app(["inspect", str(grouped(LOG10))])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    assert "contract   not stated" in printed
    assert "fits       pwg-" in printed
    assert "hifigan-22k" in printed.split("not        ")[1]


def test_what_too_few_values_cannot_tell_is_said(job: Callable[..., JobConfig], mels: Path, tmp_path: Path) -> None:
    """Mels of 16 kHz speech said to be of 22 kHz: a minute shows it, a few seconds do not."""
    assert prepare(job()).unverified is None
    few = zarr.open_group(str(tmp_path / "few.zarr"), mode="w")
    for i, path in enumerate(sorted(mels.glob("*/*.npy"))[:3]):
        few.create_array(f"u{i}", data=np.load(path))
    config = job(input__store=str(tmp_path / "few.zarr"), input__mel="hifigan-22k")
    doubt = prepare(config).unverified
    assert doubt is not None
    assert re.match(r"\d s of mels are too few to tell their filterbank and sample rate", doubt)
    events: list[Event] = []
    pipeline.run(config, events.append)
    assert ContractDoubted(doubt) in events


def test_of_short_utterances_more_are_looked_at(tmp_path: Path) -> None:
    """Of a corpus of prompts of a second, 32 would be too few to tell a filterbank."""
    rng = np.random.default_rng(0)
    mels = {f"{n:03d}": rng.uniform(-8, -1, (80, 60)).astype(np.float32) for n in range(120)}
    store = open_store(str(write_store(tmp_path / "s.zarr", mels)))
    sample = sample_mels(store, store.catalogue())
    assert (sample.frames, len(sample.mels), sample.utterances) == (80 * 60, 80, 120)

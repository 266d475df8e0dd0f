"""Refined nets: windows equal the whole, each number of projections is another vocoder, and some cannot be refined."""

from __future__ import annotations

import dataclasses
import itertools
import math
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray
from support.families import CONFIGS, random_model
from support.paths import PROMPTS

from pipeline.dsp.mel import log_mel
from pipeline.dsp.mel_distance import MelDistance
from pipeline.dsp.refinement import refined
from pipeline.errors import ConfigError
from pipeline.melspec import PRESETS, MelSpec
from pipeline.vocoders import Refined, decode_mels, decode_windows, load_vocoder, other_refinements, vocode
from pipeline.vocoders.base import Backend, BatchVocoder, Window
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.vocoders.onnx_vocoder import OnnxVocoder
from pipeline.vocoders.windows import equal_windows
from pipeline.workshop.check import check_vocoder

Wave = NDArray[np.float32]
HIFIGAN = PRESETS["hifigan-22k"]


def some_mel(frames: int, bands: int = 20) -> Wave:
    return (np.random.default_rng(frames).standard_normal((bands, frames)) * 1.5 - 4).astype(np.float32)


def in_windows(vocoder: Any, mel: Wave, window: int) -> Wave:
    pieces = decode_windows(vocoder, lambda start, stop: mel[:, start:stop], mel.shape[1], window)
    return np.concatenate(list(pieces), axis=-1)


@dataclasses.dataclass(frozen=True)
class Hops:
    """A net without context: each frame makes a hop of noise, louder where its bands are.

    Args:
        spec: contract of its mels.
        extra: samples beyond a hop for each frame; a hop less for a net of centred frames.
    """

    spec: MelSpec
    extra: int = 0
    name: str = "hops"
    digest: str = "0" * 32
    halo: tuple[int, int] = (0, 0)
    window: int = 64
    backend: Backend = dataclasses.field(default_factory=lambda: Backend("onnxruntime"))
    shared_memory: int = 0

    def samples(self, frames: int) -> int:
        return frames * self.spec.hop_length + self.extra

    def memory(self, frames: int) -> int:
        return 0

    def decode(self, mel: Wave, window: Window | None = None) -> Wave:
        noise = np.random.default_rng(0).uniform(-0.3, 0.3, self.spec.hop_length).astype(np.float32)
        hops = (np.abs(mel.mean(axis=0))[:, None] * noise).ravel()
        whole = np.pad(hops, (0, max(0, self.extra)), mode="edge")[: self.samples(mel.shape[1])]
        if window is None:
            return whole
        return window.core(whole if window.stop == window.frames else hops, self.spec.hop_length)


@pytest.mark.parametrize("refine", [0.5, 1, 3])
@pytest.mark.parametrize("name", CONFIGS)
def test_windows_give_the_samples_of_the_whole(name: str, refine: float, tmp_path: Path) -> None:
    """Bit for bit where the net's own are so."""
    path, mel = str(random_model(name, tmp_path / "model.onnx")), some_mel(300)
    net, vocoder = load_vocoder(path), load_vocoder(path, refine=refine)
    assert isinstance(vocoder, Refined)
    assert vocoder.backend.refine == refine
    around = -(-math.ceil(refine) * 63 // 16)
    assert vocoder.halo == (net.halo[0] + around, net.halo[1] + around)
    whole = vocoder.decode(mel)
    np.testing.assert_array_equal(whole, refined(net.decode(mel), mel, net.spec, refine))
    for window in (16, 23, 100):
        got = in_windows(vocoder, mel, window)
        if net.backend.runtime == "native":
            np.testing.assert_array_equal(got, whole)
        else:
            assert np.abs(got - whole).max() < 1e-5 * np.abs(whole).max()


@pytest.mark.parametrize("extra", [0, 17, -256])
@pytest.mark.parametrize("preset", ["hifigan-22k", "tacotron2-22k", "pwg-24k", "nemo-44k"])
def test_windows_of_every_geometry_and_length_rule_equal_the_whole_bit_for_bit(preset: str, extra: int) -> None:
    spec = PRESETS[preset]
    net = Hops(spec, -spec.hop_length if extra < 0 else extra)
    vocoder, mel = Refined(net, 2), some_mel(90, spec.n_mels)
    whole = vocoder.decode(mel)
    assert len(whole) == net.samples(90)
    for window in (16, 37):
        np.testing.assert_array_equal(in_windows(vocoder, mel, window), whole)
    near = dataclasses.replace(net, halo=(0, 0))
    too_near = Refined(near, 2)
    too_near.halo, too_near._around = (3, 3), 3
    assert (in_windows(too_near, mel, 16) != whole).any()


@pytest.mark.parametrize("extra", [0, -256])
def test_windows_that_are_taken_as_whole_mels_hold_the_core_of_the_whole(extra: int) -> None:
    """Batches hold such windows; a net of centred frames ends a hop before them."""
    vocoder, mel = Refined(Hops(HIFIGAN, extra), 2), some_mel(120, 80)
    whole, parts = vocoder.decode(mel), equal_windows(120, 20, vocoder.halo)
    assert len(parts) > 3
    for part in parts:
        core = part.core(vocoder.decode(mel[:, part.start : part.stop]), 256)
        np.testing.assert_array_equal(core, whole[part.core_start * 256 :][: len(core)])


@pytest.mark.parametrize("batch", [1, 3])
def test_batches_equal_each_mel_alone_and_both_waveforms_can_be_had(small_model: Path, batch: int) -> None:
    net = OnnxVocoder(OnnxModel(small_model, batch=batch))
    vocoder = Refined(net, 1)
    assert isinstance(vocoder, BatchVocoder)
    assert vocoder.batch(50) == batch

    class Mel:
        def __init__(self, frames: int) -> None:
            self.frames, self.values = frames, some_mel(frames)

        def read(self, start: int, stop: int) -> Wave:
            return self.values[:, start:stop]

    found = decode_mels(vocoder.with_own, [Mel(30), Mel(200), Mel(31)], 24)
    for mel, pieces in found:
        both = np.concatenate(list(pieces), axis=1)
        own = net.decode(mel.values)
        assert both.shape == (2, len(own))
        assert np.abs(both[1] - own).max() < 1e-5
        assert np.abs(both[0] - vocoder.decode(mel.values)).max() < 1e-4 * np.abs(both[0]).max()
    assert vocoder.with_own.digest == vocoder.digest


def test_each_number_of_projections_is_a_vocoder_and_says_how_to_keep_the_shards_of_another(vocoder_path: Path) -> None:
    every = {refine: load_vocoder(str(vocoder_path), refine=refine) for refine in (*range(9), 0.8)}
    assert len({each.digest for each in every.values()}) == 10
    assert load_vocoder(str(vocoder_path), refine=2) is every[2] is load_vocoder(str(vocoder_path), refine=2.0)
    for vocoder in every.values():
        others = other_refinements(vocoder)
        assert others.keys() == {each.digest for each in every.values()} - {vocoder.digest}
        for refine, each in every.items():
            assert each is vocoder or f"--set vocoder.refine={refine} keeps these shards" in others[each.digest]
    other = load_vocoder(str(vocoder_path), runtime="onnxruntime", refine=2)
    assert "vocoder.runtime=onnxruntime keeps" in every[2].backend.elsewhere[other.digest]
    again = pickle.loads(pickle.dumps(every[2]))  # noqa: S301
    assert (again.digest, again.halo) == (every[2].digest, every[2].halo)


def test_what_iterates_itself_or_cannot_be_inverted_or_compiled_is_refused(
    vocoder_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lift", "lift-hq", "griffin-lim"):
        with pytest.raises(ConfigError, match=rf"vocoder\.refine: {name} cannot be refined: its own iterations"):
            load_vocoder(name, HIFIGAN, refine=1)
    gaps = dataclasses.replace(HIFIGAN, win_length=256)
    with pytest.raises(ConfigError, match=r"hops cannot be refined: .*no window covers.*Set vocoder.refine to 0"):
        Refined(Hops(gaps), 1)
    monkeypatch.setenv("MELMILL_KERNELS", "off")
    with pytest.raises(ConfigError, match="not possible here: MELMILL_KERNELS is off"):
        Refined(Hops(HIFIGAN), 1)


def test_hifigan_comes_nearer_to_mels_of_speech_with_each_projection() -> None:
    speech, _ = soundfile.read(PROMPTS / "it_IT_m_Carlo" / "vm-nobodyavail.flac", dtype="float32")
    mel = log_mel(soxr.resample(speech, 16000, 22050), HIFIGAN)[:, :150]
    distances = []
    for refine in (0, 1, 2, 4):
        measured = MelDistance(HIFIGAN)
        measured.push_mel(mel)
        measured.push_audio(vocode(mel, refine=refine))
        distances.append(measured.finish()[0])
    assert distances[0] > 0.2
    assert distances[1] < 0.75 * distances[0]
    assert all(later < earlier for earlier, later in itertools.pairwise(distances))


@pytest.mark.parametrize("refine", [0.8, 3])
@pytest.mark.parametrize("frames", [16, 600])
def test_the_stated_memory_is_enough(frames: int, refine: float) -> None:
    vocoder, mel = Refined(Hops(HIFIGAN), refine), some_mel(frames, 80)
    vocoder.prepare()
    vocoder.decode(mel[:, :10])
    tracemalloc.start()
    vocoder.with_own.decode(mel)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.5 * vocoder.memory(frames) < peak < vocoder.memory(frames)


def test_the_check_holds_a_refined_net_to_its_halo(tmp_path: Path) -> None:
    path = str(random_model("hifigan", tmp_path / "model.onnx"))
    plain, report = check_vocoder(path), check_vocoder(path, refine=2)
    assert report.halo.stated == (plain.halo.stated[0] + 8, plain.halo.stated[1] + 8)
    assert (report.halo.error, report.halo.allowed, report.problems) == (0.0, 0.0, ())
    assert report.to_dict()["refine"] == 2
    assert np.mean([each.mel_distance for each in report.prompts]) < 0.5 * np.mean(
        [each.mel_distance for each in plain.prompts]
    )

"""The net, its degraded mels, its loss, and the ONNX model that it becomes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support.paths import PROMPTS

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.mel import log_mel
from pipeline.dsp.net_magnitude import UPDATES, net_magnitude_blocks
from pipeline.kernels.frame_blocks import from_blocks
from pipeline.melspec import PRESETS, MelSpec, Normalization
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.workshop.training.batches import Batches
from pipeline.workshop.training.degrade import CLEAN_SHARE, degrade
from pipeline.workshop.training.export import export
from pipeline.workshop.training.loop import level, loss
from pipeline.workshop.training.net import LiftNet, LiftShape
from pipeline.workshop.training.run import _card, _write
from pipeline.workshop.training.speech import Recording, read_speech

HIFIGAN = PRESETS["hifigan-22k"]
POWER = dataclasses.replace(
    HIFIGAN, sample_rate=16000, power=2, floor=1e-10, log="log10", mel_scale="htk", mel_norm="none", framing="center",
    magnitude_eps=0.0, n_mels=60, fmin=50.0, fmax=7600.0, normalization=Normalization((-2.0,) * 60, (1.5,) * 60),
)  # fmt: skip
SMALL = LiftShape(width=32, hidden=48, blocks=2)


def net_of(spec: MelSpec, shape: LiftShape = SMALL) -> LiftNet:
    torch.manual_seed(0)
    net = LiftNet(spec, shape, np.full(spec.n_mels, -5, np.float32), 2.0)
    with torch.no_grad():  # weights as after training: none at its start value
        for parameter in net.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    return net.eval()


def utterances(spec: MelSpec) -> tuple[Recording, ...]:
    return read_speech([PROMPTS / "it_IT_m_Carlo"], spec.sample_rate).train


def magnitudes(model: OnnxModel, mel: NDArray[np.float32], updates: int = UPDATES) -> NDArray[np.float32]:
    """`[frames, bins]`, by the model and the kernel after it."""
    blocks = net_magnitude_blocks(model.run(mel[None], "net"), model.card.spec, before=0, updates=updates)
    return from_blocks(blocks, mel.shape[1]).T


@pytest.mark.parametrize("spec", [HIFIGAN, POWER], ids=["magnitude", "power"])
def test_the_onnx_model_gives_the_magnitudes_of_the_net_in_both_runtimes(spec: MelSpec, tmp_path: Path) -> None:
    net, path = net_of(spec), tmp_path / "net.onnx"
    bins = 1 + spec.n_fft // 2
    _write(export(net, np.ones(bins, np.bool_)), _card(net, {"speech": ""}), path)
    mel = log_mel(utterances(spec)[0].waveform, spec)[:, :150]
    natural = mel if spec.normalization is None else mel * 1.5 - 2
    with torch.no_grad():
        both = net(torch.from_numpy(natural.T / spec.log_scale)[None].float())
    for updates, found in zip((0, UPDATES), both, strict=True):
        got, wanted = magnitudes(OnnxModel(path), mel, updates), torch.exp(found)[0].numpy()
        assert got.shape == (150, bins)
        assert np.abs(np.log(got + 1e-4) - np.log(wanted + 1e-4)).max() < 0.02  # weights in half precision


def test_bins_that_were_not_taught_are_silent_where_no_band_covers_them(tmp_path: Path) -> None:
    net, path = net_of(HIFIGAN), tmp_path / "net.onnx"
    taught = np.arange(513) < 350
    _write(export(net, taught), _card(net, {"speech": ""}), path)
    magnitude = magnitudes(OnnxModel(path), log_mel(utterances(HIFIGAN)[0].waveform, HIFIGAN))
    covered = mel_filterbank(HIFIGAN).any(axis=0)
    assert magnitude[:, ~taught & ~covered].max() < 1e-6
    assert np.median(magnitude[:, ~taught & covered]) > 1e-6


def test_the_context_is_as_large_as_it_must_be() -> None:
    net = net_of(HIFIGAN)
    mel = torch.randn(1, 80, 80) - 5
    changed = mel.clone()
    changed[0, 40] += 1
    with torch.no_grad():
        apart = (net(mel)[1] - net(changed)[1]).abs().amax(dim=(0, 2))
    reach = torch.nonzero(apart > 1e-7).flatten()
    assert (40 - int(reach[0]), int(reach[-1]) - 40) == (SMALL.context, SMALL.context)


def test_magnitudes_are_brought_to_the_corrected_mel() -> None:
    net = net_of(HIFIGAN)
    mel = torch.from_numpy(log_mel(utterances(HIFIGAN)[0].waveform, HIFIGAN).T[None, :100])
    for correction in (0.0, 0.5):
        with torch.no_grad():
            net.correction.weight.zero_()
            net.correction.bias.fill_(correction)
            given = torch.log(torch.exp(net(mel)[1]) @ net.bank.T + 1e-9)
        assert float((given - mel - correction).abs().mean()) < 0.1


def test_degraded_mels_are_repeated_by_their_seed_and_some_stay_clean() -> None:
    mel = torch.randn(400, 20, 80)
    first, again = (degrade(mel, torch.Generator().manual_seed(3)) for _ in range(2))
    other = degrade(mel, torch.Generator().manual_seed(4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    clean = float((first == mel).flatten(1).all(1).float().mean())
    assert CLEAN_SHARE - 0.08 < clean < CLEAN_SHARE + 0.15  # and those that no kind was chosen for
    assert float(first.var()) < float(mel.var())


@pytest.mark.parametrize("spec", [HIFIGAN, POWER], ids=["magnitude", "power"])
def test_batches_hold_the_mels_and_magnitudes_of_the_speech(spec: MelSpec) -> None:
    batches = Batches(utterances(spec), {}, spec, size=3, frames=32)
    batch = batches.draw(np.random.default_rng(0))
    bank = torch.tensor(mel_filterbank(spec))
    again = torch.log(
        ((torch.exp(2 * batch.log_magnitude) + spec.magnitude_eps) ** (spec.power / 2) @ bank.T).clamp(min=spec.floor)
    )
    loud = batch.mel > np.log(spec.floor) + 6  # far over the least magnitude that a target has
    assert (again - batch.mel)[loud].abs().max() < 0.05
    known = batch.known[0, 0].numpy() > 0
    edge = np.flatnonzero(known)[-1] * spec.sample_rate / spec.n_fft
    assert 7600 * 2**-0.25 - 30 < edge < min(spec.sample_rate / 2, 7600 * 2**0.25) + 30
    assert float(np.flatnonzero(batches.taught)[-1] * spec.sample_rate / spec.n_fft) >= 7600 - 30


def test_a_stretch_is_played_faster_with_its_pitch_and_its_bandwidth() -> None:
    rate = HIFIGAN.sample_rate
    sine = np.sin(2 * np.pi * 1000 / rate * np.arange(4 * rate)).astype(np.float32)
    batches = Batches([Recording("sine", sine, 8000.0)], {}, HIFIGAN, size=40, frames=32)
    batch = batches.draw(np.random.default_rng(0))
    hertz = rate / HIFIGAN.n_fft
    speeds = (batch.log_magnitude.mean(dim=1).argmax(dim=1) * hertz / 1000).numpy()
    edges = (batch.known[:, 0].sum(dim=1) * hertz).numpy()
    assert 0.3 < np.mean(np.abs(speeds - 1) > 0.02) < 0.6
    assert speeds.min() < 0.87
    assert speeds.max() > 1.15
    np.testing.assert_allclose(edges, np.minimum(0.95 * 8000 * speeds, rate / 2), atol=0.02 * 8000 + 2 * hertz)


def test_bins_without_a_band_get_the_mean_power_of_their_targets() -> None:
    speech = utterances(HIFIGAN)
    rng = np.random.default_rng(0)
    taught = {each.key: rng.normal(0, 0.1, len(each.waveform)).astype(np.float32) for each in speech}
    net, batches = net_of(HIFIGAN), Batches(speech, taught, HIFIGAN, size=8, frames=32)
    covered = net.uncovered.numpy() == 0
    before = net.head.bias.detach().numpy().copy()
    level(net, batches, rng)
    np.testing.assert_array_equal(net.head.bias.detach().numpy()[covered], before[covered])
    with torch.no_grad():
        drawn = [batches.draw(rng) for _ in range(16)]
        found = np.mean([torch.exp(2 * net(each.given)[1]).mean(dim=(0, 1)).numpy() for each in drawn], axis=0)
    wanted = np.mean([torch.exp(2 * each.log_magnitude).mean(dim=(0, 1)).numpy() for each in drawn], axis=0)
    assert np.abs(10 * np.log10(found / wanted)[~covered]).max() < 1.5
    assert np.abs(before[~covered] - net.head.bias.detach().numpy()[~covered]).min() > 0.5


def test_above_the_speech_the_target_is_the_level_of_the_teacher() -> None:
    speech = utterances(HIFIGAN)
    rng = np.random.default_rng(0)
    taught = {each.key: rng.normal(0, 0.1, len(each.waveform)).astype(np.float32) for each in speech}
    batches = Batches(speech, taught, HIFIGAN, size=8, frames=32)
    assert batches.taught.all()
    batch = batches.draw(rng)
    assert bool((batch.known == 1).all())
    above = batch.log_magnitude[:, :, 400:]
    assert float((above - above.mean(dim=(1, 2), keepdim=True)).std()) < 0.3  # a level: noise itself has 0.64
    assert not torch.equal(batch.given, batch.mel)


def test_the_loss_is_none_at_the_target_and_ignores_what_is_not_known() -> None:
    batch = Batches(utterances(HIFIGAN), {}, HIFIGAN, size=2, frames=32).draw(np.random.default_rng(0))
    bank = torch.tensor(mel_filterbank(HIFIGAN))
    here = float(loss(batch.log_magnitude, batch, bank, HIFIGAN))
    elsewhere = batch.log_magnitude + 3 * (1 - batch.known) * (torch.tensor(mel_filterbank(HIFIGAN)).sum(0) == 0)
    assert here < 0.02
    assert float(loss(elsewhere, batch, bank, HIFIGAN)) == pytest.approx(here, abs=1e-4)
    assert float(loss(batch.log_magnitude + 0.1, batch, bank, HIFIGAN)) > here + 0.3

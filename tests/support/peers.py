"""What the comparisons with the projects' own code share: their classes, random weights, mels, and the measures."""

from __future__ import annotations

import dataclasses
import importlib.util
import subprocess
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
from support.paths import PROMPTS

from pipeline.dsp.mel import log_mel
from pipeline.melspec import MelSpec
from pipeline.vocoders import Vocoder, load_vocoder
from pipeline.vocoders.onnx_vocoder import OnnxVocoder
from pipeline.vocoders.registry import vocoder_of
from pipeline.vocoders.windows import decode_windows

# Two right float32 implementations differ by 1e-5 to 1e-4: tests/data/reference/README.md.
TOLERANCE = 1e-4
MEDIAN_TOLERANCE = 3e-5
# A window differs from the whole by how kernels round blocks of other lengths.
ROUNDING = 1e-5
# So large that what depends on it through the outermost tap of every layer still shows, and finite in every layer.
_HUGE = 1e20


def class_in(package: str, file: str, name: str, stand_ins: Mapping[str, Mapping[str, Any]] = {}) -> Any:
    """A class out of one file of an installed package, without the package's own imports.

    Args:
        stand_ins: names in modules that the file imports and that are not installed.
    """
    location = importlib.util.find_spec(package).submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location(f"peer_{package}", Path(location) / file)
    module = importlib.util.module_from_spec(spec)
    before = dict(sys.modules)
    try:
        for dotted in stand_ins:
            parts = dotted.split(".")
            for depth in range(1, len(parts) + 1):
                sys.modules[".".join(parts[:depth])] = types.ModuleType(".".join(parts[:depth]))
        for dotted, names in stand_ins.items():
            vars(sys.modules[dotted]).update(names)
        spec.loader.exec_module(module)
    finally:
        for added in set(sys.modules) - set(before):
            if added.split(".")[0] in {dotted.split(".")[0] for dotted in stand_ins}:
                del sys.modules[added]
    return getattr(module, name)


def enlivened(module: torch.nn.Module, seed: int = 3) -> torch.nn.Module:
    """The module with random weights that keep a signal's size, so that it is neither silent nor saturated."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, values in module.named_parameters():
            if name.endswith(("weight_g", "original0")):
                values.uniform_(0.8, 1.3)
            elif name.endswith(("weight_v", "original1")):
                values.normal_()
            elif name.endswith(".weight"):
                values.normal_()
                norm = values.reshape(len(values), -1).norm(dim=1).reshape(-1, *(1,) * (values.ndim - 1))
                values.mul_(torch.empty_like(norm).uniform_(0.8, 1.3) / norm)
            else:
                values.normal_(0, 0.05)
    return module.eval()


def imported(checkpoint: Path, *options: str) -> Vocoder:
    """The vocoder that `melmill vocoder import` makes of a checkpoint, in onnxruntime, whose halo is the net's own."""
    out = checkpoint.parent / f"{checkpoint.name}.onnx"
    command = [sys.executable, "-m", "pipeline", "vocoder", "import", str(checkpoint), "-o", str(out), *options]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return load_vocoder(str(out), threads=2, runtime="onnxruntime")


def random_mel(spec: MelSpec, frames: int = 40) -> np.ndarray:
    """`[n_mels, frames] float32`, values as in normalized mels."""
    return np.random.default_rng(5).normal(-1, 2, (spec.n_mels, frames)).astype(np.float32)


def real_mel(spec: MelSpec) -> np.ndarray:
    """The mel of a prompt, `[n_mels, frames] float32` in the contract's values."""
    waveform, rate = soundfile.read(PROMPTS / "fr_CA_f_June" / "vm-sorry.flac", dtype="float32")
    return log_mel(soxr.resample(waveform, rate, spec.sample_rate), spec)


def assert_agrees(vocoder: Vocoder, theirs: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Their samples and ours, in every runtime, of a random and of a real mel: 1e-4 absolute, or 1e-4 of the peak.

    Args:
        theirs: mel `[1, n_mels, frames]` -> waveform of one channel.
    """
    for mel in (random_mel(vocoder.spec), real_mel(vocoder.spec)):
        with torch.no_grad():
            expected = theirs(torch.from_numpy(mel)[None]).reshape(-1).numpy()
        peak = np.abs(expected).max()
        assert 0.05 < expected.std() < 0.95, "neither silent nor saturated, or this would prove nothing"
        for each in (vocoder, *native_too(vocoder)):
            ours = each.decode(mel)
            assert ours.shape == expected.shape == (each.samples(mel.shape[1]),)
            assert np.abs(ours - expected).max() <= TOLERANCE * max(1.0, peak)


LARGE = 5_000_000
"""Number of weights from which a net is large: HiFi-GAN V1 has 14 million, V2 and V3 have fewer than 1.5 million."""


def assert_accurate(
    vocoder: OnnxVocoder,
    module: torch.nn.Module,
    theirs: Callable[[torch.Tensor], torch.Tensor] | None = None,
    longest: int = 300,
) -> None:
    """Samples of a HiFi-GAN in every runtime against its own class in double precision, which the class stays in.

    Args:
        theirs: mel `[1, n_mels, frames]` -> waveform of one channel, by the module; the module itself if None.
        longest: number of frames of the longest mel; a third of it for large nets, whose layers of 3,000 frames in
            double precision take many gigabytes.
    """
    longest = longest if parameters(module) < LARGE else max(300, longest // 3)
    assert_differences_small([vocoder, *native_too(vocoder)], hard_mels(vocoder, longest), module, theirs)


def assert_differences_small(
    vocoders: Sequence[Vocoder],
    mels: Sequence[np.ndarray],
    module: torch.nn.Module,
    theirs: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> None:
    """The largest differences of mels' samples: none is too large, and most are a third of that. pytest -rP shows them.

    The arguments are those of `assert_accurate`.
    """
    module.double()
    found: dict[str | None, list[float]] = {each.backend.runtime: [] for each in vocoders}
    assert found.keys() == {"onnxruntime", "native"}
    for mel in mels:
        with torch.no_grad():
            expected = (theirs or module)(torch.from_numpy(mel).double()[None]).reshape(-1).numpy()
        for each in vocoders:
            ours = each.decode(mel)
            assert ours.shape == expected.shape
            found[each.backend.runtime].append(float(np.abs(ours - expected).max()))
    for runtime, differences in found.items():
        print(f"{runtime}: {max(differences):.2e}, median {np.median(differences):.2e} of {len(differences)}")
        assert max(differences) <= TOLERANCE
        assert np.median(differences) <= MEDIAN_TOLERANCE


def hard_mels(vocoder: OnnxVocoder, longest: int) -> list[np.ndarray]:
    """Mels `[n_mels, frames]`, short and long, random, of silence, of noise and of noise at full scale."""
    spec = vocoder.spec
    least = vocoder._model.card.least_frames
    noise = np.random.default_rng(6).uniform(-1, 1, 100 * spec.hop_length).astype(np.float32)
    waves = [scale * each for scale, each in ((0, noise), (0.01, noise), (1, noise), (1, np.sign(noise)))]
    lengths = sorted({max(1, least), max(2, least), 13, 40, longest})
    return [*(random_mel(spec, frames) for frames in lengths), *(log_mel(wave, spec) for wave in waves)]


def native_too(vocoder: Vocoder) -> list[Vocoder]:
    """The same generator in native kernels; nothing of families that these do not know."""
    if not isinstance(vocoder, OnnxVocoder) or vocoder._model.generator is None:
        return []
    return [vocoder_of(vocoder._model, "native", vocoder.name)]


def assert_halo(vocoder: Vocoder, halo: tuple[int, int] | None = None) -> None:
    """Windows with the vocoder's halo give the samples of the whole, and with a frame less do not.

    A frame just outside the halo may hold anything; one just inside, however little the core depends on it, shows when
    it holds a huge value.

    Args:
        halo: the one that is known.
    """
    assert halo is None or vocoder.halo == halo
    mel = real_mel(vocoder.spec)
    pieces = decode_windows(vocoder, lambda start, stop: mel[:, start:stop], mel.shape[1], window=50)
    assert np.abs(np.concatenate(list(pieces)) - vocoder.decode(mel)).max() < ROUNDING
    for each in native_too(vocoder):
        pieces = decode_windows(each, lambda start, stop: mel[:, start:stop], mel.shape[1], window=50)
        np.testing.assert_array_equal(np.concatenate(list(pieces)), each.decode(mel))
    left, right = vocoder.halo
    start, stop = 2 * left + 8, 2 * left + 12
    mel = random_mel(vocoder.spec, stop + 2 * right + 8)
    for frame, needed in (
        (start - left - 1, False), (start - left, True), (stop + right, False), (stop + right - 1, True)
    ):  # fmt: skip
        changed = mel.copy()
        changed[:, frame] = _HUGE
        differs = np.abs(_core(vocoder, changed, start, stop) - _core(vocoder, mel, start, stop)).max()
        assert differs > 100 * ROUNDING if needed else differs < ROUNDING, (frame, differs)
    for shorter in ((left - 1, right), (left, right - 1)):
        edge = start - left if shorter[0] < left else stop + right - 1
        changed = mel.copy()
        changed[:, edge] = _HUGE
        whole = _core(vocoder, changed, start, stop)
        # Ten times as much: where huge values cancel, what is left of them is all rounding, and goes through the tanh.
        assert np.abs(_core(vocoder, changed, start, stop, (left, right)) - whole).max() < 10 * ROUNDING
        assert np.abs(_core(vocoder, changed, start, stop, shorter) - whole).max() > 100 * ROUNDING


def _core(vocoder: Vocoder, mel: np.ndarray, start: int, stop: int, halo: tuple[int, int] | None = None) -> np.ndarray:
    """The samples of frames start to stop, of the whole mel or of a window with that halo."""
    first, last = (0, mel.shape[1]) if halo is None else (start - halo[0], stop + halo[1])
    hop = vocoder.spec.hop_length
    return vocoder.decode(mel[:, first:last])[(start - first) * hop : (stop - first) * hop]


def parameters(module: torch.nn.Module) -> int:
    """Number of a generator's weights, weight norm folded."""
    lengths = ("weight_g", "original0")
    return sum(values.numel() for name, values in module.named_parameters() if not name.endswith(lengths))


def plain(value: Any) -> dict[str, Any]:
    """A dataclass as JSON values."""
    return {name: list(each) if isinstance(each, tuple) else each for name, each in dataclasses.asdict(value).items()}

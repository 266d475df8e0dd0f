"""Model B: a small regression net, whose mels are over-smooth in the way of an acoustic model's, by their content.

It gets what an acoustic model knows: a coarse content (the mean of the mel over every 8 frames, repeated), the F0,
whether there is one, and the energy of each frame; and it learns the mel of each frame by least squares, as Tacotron 2
does (arXiv 1712.05884). The least squared error is that of the mean of all mels that would fit, so what the inputs do
not tell is averaged away: harmonics, onsets and noise, each where it occurs. A filter smooths everywhere alike.

A net is judged only on voices that it has not heard: there is one for each voice. The weights are kept in build/, in a
file that is named by a digest of the speech, of this module and of torch's version.
"""

import functools
import hashlib
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import torch
from numpy.typing import NDArray
from support.paths import ROOT
from tools.quality.speech import GIVEN, SPEC, VOICES, Named, Wave, folder_paths, prompts, read
from torch import Tensor

from pipeline.dsp.mel import log_mel

KEPT = ROOT / "build" / "quality" / "model-b"
BLOCK = 8  # frames
LEAST_SECONDS, MOST_SECONDS = 15.0, 240.0
STEPS, BATCH, FRAMES, RATE = 400, 16, 64, 2e-3
WIDTH, LAYERS, KERNEL = 128, 3, 5
LOWEST, HIGHEST = 65.0, 500.0  # of F0 [Hz]
Mel = NDArray[np.float32]


@dataclass(frozen=True)
class Heard:
    """A recording to learn from: `[samples] float32` at the spec's rate, its name, and all that names its voice."""

    name: str
    voice: str
    wave: Wave


def corpus_speech(folder: Path | None) -> list[Heard]:
    """The shipped prompts; or recordings of a folder, whose folders name the voices, spread over `MOST_SECONDS`."""
    if folder is None:
        return [Heard(name, voice, wave) for voice, named in prompts(99).items() for name, wave in named]
    paths = folder_paths(folder)
    found, seconds = [], 0.0
    for path in np.random.default_rng(0).permutation(np.array(paths, dtype=object)):
        found.append(Heard(path.stem, path.parent.relative_to(folder).as_posix(), read(path)))
        seconds += len(found[-1].wave) / SPEC.sample_rate
        if seconds >= MOST_SECONDS:
            break
    return sorted(found, key=lambda each: (each.voice, each.name))


def unheard(voice: str, judged: Mapping[str, Named], corpus: Sequence[Heard]) -> list[Heard]:
    """What a net may learn that is judged on `voice`: nothing of this voice, and no recording that is judged as it.

    Args:
        voice: a voice that is judged.
        judged: by voice the recordings that are judged.
        corpus: what there is to learn from. A recording is of a voice if its `voice` has that voice's name in it.

    Raises:
        SystemExit: if less than `LEAST_SECONDS` are left.
    """
    same = {_digest(wave) for _, wave in judged[voice]}
    names = {name for name, _ in judged[voice]} if voice == GIVEN else set()
    own = [word.lower() for word in (voice, *VOICES.get(voice, ()))]
    kept = [
        each
        for each in corpus
        if not any(word in each.voice.lower() for word in own)
        and _digest(each.wave) not in same
        and each.name not in names
    ]
    seconds = sum(len(each.wave) for each in kept) / SPEC.sample_rate
    if seconds < LEAST_SECONDS:
        raise SystemExit(
            f"model B: {seconds:.0f} s of speech are left to learn from without the voice {voice}, and "
            f"{LEAST_SECONDS:.0f} are needed. Give --corpus a folder with speech of other voices"
        )
    return kept


def net_path(voice: str, judged: Mapping[str, Named], corpus: Sequence[Heard], folder: Path = KEPT) -> Path:
    """The weights of the net that has not heard a voice, trained where they are not kept yet."""
    heard = unheard(voice, judged, corpus)
    made_of = hashlib.sha256(Path(__file__).read_bytes() + torch.__version__.encode())
    for each in heard:
        made_of.update(_digest(each.wave))
    path = folder / f"{made_of.hexdigest()[:16]}.npz"
    if not path.exists():
        print(f"model B without {voice}: training on {len(heard)} recordings", file=sys.stderr, flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(f".{os.getpid()}.new")
        with new.open("wb") as file:
            np.savez(file, **{name: each.numpy() for name, each in trained(heard).state_dict().items()})
        new.rename(path)
    return path


def predicted(wave: Wave, path: Path) -> Mel:
    """The mel that a net makes of a recording's content, F0 and energy, `[n_mels, frames] float32`."""
    with torch.inference_mode():
        return _scaled_back(_loaded(path)(torch.tensor(features(wave))[None])[0]).numpy()


def trained(heard: Sequence[Heard]) -> torch.nn.Module:
    """A net from a seed, on one thread, so that it is the same again on the same machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    pairs = [(_features_of(each.wave.tobytes()), _scaled(log_mel(each.wave, SPEC))) for each in heard]
    given, wanted = (torch.tensor(np.concatenate([_at_least(each[i]) for each in pairs], axis=1)) for i in (0, 1))
    net = _net()
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        starts = random.integers(given.shape[1] - FRAMES + 1, size=BATCH)
        inputs, targets = (torch.stack([each[:, i : i + FRAMES] for i in starts]) for each in (given, wanted))
        loss = ((net(inputs) - targets) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    torch.set_num_threads(threads)
    return net.eval()


def features(wave: Wave) -> Mel:
    """Inputs of the net: means of the mel over blocks, F0, voicing, energy, `[n_mels + 3, frames] float32`."""
    mel = _scaled(log_mel(wave, SPEC))
    frames = mel.shape[1]
    starts = np.arange(0, frames, BLOCK)
    means = np.add.reduceat(mel, starts, axis=1) / np.diff(np.append(starts, frames))
    content = np.repeat(means, BLOCK, axis=1)[:, :frames]
    energy = np.log(np.exp(log_mel(wave, SPEC)).mean(axis=0, keepdims=True))
    f0 = _f0(wave, frames)[None]
    voiced = f0 > 0
    octaves = np.where(voiced, np.log2(np.maximum(f0, LOWEST) / math.sqrt(LOWEST * HIGHEST)), 0)
    return np.concatenate([content, octaves, voiced, _scaled(energy)]).astype(np.float32)


@functools.lru_cache(maxsize=1000)
def _features_of(wave: bytes) -> Mel:
    return features(np.frombuffer(wave, np.float32))


def _f0(wave: Wave, frames: int) -> NDArray[np.float64]:
    """F0 of each frame [Hz], 0 where it is not voiced, by probabilistic YIN over the frames of the mel."""
    padded = np.pad(wave, SPEC.padding, mode="reflect")
    found = librosa.pyin(
        padded, fmin=LOWEST, fmax=HIGHEST, sr=SPEC.sample_rate, frame_length=SPEC.n_fft, hop_length=SPEC.hop_length,
        center=False, resolution=0.2,
    )[0]  # fmt: skip
    return np.nan_to_num(found[:frames])


def _scaled(mel: NDArray[np.floating]) -> Mel:
    return ((mel + 5) / 3).astype(np.float32)


def _scaled_back(mel: Tensor) -> Tensor:
    return mel * 3 - 5


def _at_least(frames: Mel) -> Mel:
    return np.pad(frames, ((0, 0), (0, max(0, FRAMES - frames.shape[1]))), mode="edge")


def _digest(wave: Wave) -> bytes:
    return hashlib.sha256(wave.tobytes()).digest()


class _Residual(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv1d(WIDTH, WIDTH, KERNEL, padding=KERNEL // 2)

    def forward(self, given: Tensor) -> Tensor:
        return given + torch.nn.functional.gelu(self.convolution(given))


def _net() -> torch.nn.Module:
    """`[batch, n_mels + 3, frames]` to `[batch, n_mels, frames]`."""
    return torch.nn.Sequential(
        torch.nn.Conv1d(SPEC.n_mels + 3, WIDTH, KERNEL, padding=KERNEL // 2),
        *(_Residual() for _ in range(LAYERS)),
        torch.nn.Conv1d(WIDTH, SPEC.n_mels, 1),
    )


@functools.lru_cache(maxsize=8)
def _loaded(path: Path) -> torch.nn.Module:
    net = _net()
    with np.load(path) as kept:
        net.load_state_dict({name: torch.tensor(kept[name]) for name in kept.files})
    return net.eval()

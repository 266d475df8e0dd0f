"""What is timed: pieces of work by melmill and by others, each in a process of its own that works when it is told to.

    python -m tools.bench.works NAME ARGUMENT...

prepares the piece `NAME`, with everything that a long run does only once, then reads lines: `run` does the work and
prints its times as JSON, `result FILE.npy` saves what it makes. Standard output carries nothing else.
"""

import dataclasses
import json
import math
import os
import resource
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from support.hifigans import CONFIGS, random_state
from support.native import PUBLISHED, published_model
from support.packs import pack_audio
from tools.bench import loop_works, speech
from tools.bench.speech import SPEC

from pipeline.dsp.filterbank import mel_filterbank
from pipeline.dsp.mel import log_mel
from pipeline.dsp.mel_distance import MelDistance
from pipeline.melspec import PRESETS, MelSpec
from pipeline.vocoders import load_vocoder
from pipeline.vocoders.registry import hifigan_checkpoint
from pipeline.vocoders.windows import decode_windows

Arrays = list[NDArray[np.float32]]
Work = Callable[[], Arrays]
LEAST_SECONDS = 0.3
"""Work that takes less than this is repeated, so that the clock and the caches do not matter."""
MOST_OF_COMPILING = 10.0
"""Work whose first time takes more CPU time than this is not short work that compiles first [s]."""


def melmill(name: str, runtime: Any) -> Work:
    """Decodes in windows, as a run does."""
    vocoder = load_vocoder(name, SPEC, runtime=runtime)
    assert runtime == "auto" or vocoder.backend.runtime == runtime
    return lambda: [
        np.concatenate(list(decode_windows(vocoder, lambda start, stop, mel=mel: mel[:, start:stop], mel.shape[1])))
        for mel in speech.mels(vocoder.spec)
    ]


def torch_generator(name: str) -> Work:
    """The generator of HiFi-GAN's authors, without weight norm, as their inference.py runs it."""
    return _torch_work(_torch_net(name), SPEC)


def _torch_net(name: str) -> Any:
    import torch
    from hifi_gan.models import Generator

    torch.set_num_threads(1)
    if name in CONFIGS:
        config = dataclasses.asdict(CONFIGS[name])
        state = {key: torch.from_numpy(values) for key, values in random_state(CONFIGS[name]).items()}
    else:
        checkpoint, settings = hifigan_checkpoint(name)
        config = json.loads(settings.read_text())
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)["generator"]
    generator = Generator(types.SimpleNamespace(**config))
    generator.load_state_dict(state)
    generator.eval().remove_weight_norm()
    return generator


def torch_bigvgan(name: str) -> Work:
    """The generator of BigVGAN's authors, without weight norm and without its CUDA kernels."""
    import torch
    from bigvgan.bigvgan import BigVGAN
    from bigvgan.env import AttrDict

    torch.set_num_threads(1)
    (_, config), (_, state) = PUBLISHED[name], published_model(name)
    generator = BigVGAN(AttrDict(config))
    generator.eval().remove_weight_norm()
    generator.load_state_dict({key: torch.from_numpy(values) for key, values in state.items()})
    return _torch_work(generator, PRESETS["bigvgan-24k"])


def _torch_work(generator: Any, spec: MelSpec) -> Work:
    import torch

    inputs = [torch.from_numpy(mel)[None] for mel in speech.mels(spec)]

    def work() -> Arrays:
        with torch.inference_mode():
            return [generator(mel)[0, 0].numpy() for mel in inputs]

    return work


def torch_loop(store: str, name: str) -> Work:
    """The loop that people write with PyTorch. See `loop_works`."""
    return loop_works.torch_loop(store, name, _torch_net)


def openvino(path: str) -> Work:
    """The .onnx in OpenVINO, in single precision."""
    import openvino

    options = {
        "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32", "ENABLE_CPU_PINNING": False,
    }  # fmt: skip
    compiled = openvino.Core().compile_model(path, "CPU", options)
    mels = speech.mels(load_vocoder(path, runtime="onnxruntime").spec)
    return lambda: [compiled(mel[None])[0].reshape(-1).copy() for mel in mels]


def librosa_waveforms() -> Work:
    from support.librosa_griffin_lim import librosa_waveform

    return lambda: [librosa_waveform(mel, SPEC) for mel in speech.mels()]


def log_mels() -> Work:
    return lambda: [log_mel(waveform, SPEC) for waveform in speech.recordings()]


def librosa_log_mels() -> Work:
    analysis = _librosa_log_mel()
    return lambda: [analysis(waveform) for waveform in speech.recordings()]


def _librosa_log_mel() -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """The log-mel of HiFi-GAN's meldataset.py with librosa's STFT; the filterbank is made once."""
    import librosa

    bank = mel_filterbank(SPEC).astype(np.float32)  # librosa's own, as tests/dsp/test_mel.py holds

    def analysis(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        padded = np.pad(waveform, SPEC.padding, mode="reflect")
        spectrum = librosa.stft(padded, n_fft=SPEC.n_fft, hop_length=SPEC.hop_length, center=False)
        magnitude = np.sqrt(np.square(np.abs(spectrum)) + np.float32(SPEC.magnitude_eps))
        return np.log(np.maximum(bank @ magnitude, np.float32(SPEC.floor)))

    return analysis


def mel_distances() -> Work:
    quieter = [0.9 * waveform for waveform in speech.recordings()]

    def distance(mel: NDArray[np.float32], waveform: NDArray[np.float32]) -> float:
        measured = MelDistance(SPEC)
        measured.push_mel(mel)
        measured.push_audio(waveform)
        return measured.finish()[0]

    pairs = list(zip(speech.mels(), quieter, strict=True))
    return lambda: [np.array([distance(*pair) for pair in pairs], np.float32)]


def librosa_mel_distances() -> Work:
    analysis = _librosa_log_mel()
    pairs = [(mel, 0.9 * waveform) for mel, waveform in zip(speech.mels(), speech.recordings(), strict=True)]
    return lambda: [np.array([np.abs(mel - analysis(waveform)).mean() for mel, waveform in pairs], np.float32)]


def packing(folder: str) -> Work:
    """A store made by one worker process; the start of that process is part of the work."""

    def work() -> Arrays:
        with tempfile.TemporaryDirectory() as out:
            assert not pack_audio(folder, f"{out}/mels.zarr", SPEC, workers=1).failures
        return []

    return work


def librosa_packing(folder: str) -> Work:
    """The loop that people write: load, analyse, save."""
    import librosa

    analysis = _librosa_log_mel()
    paths = sorted(Path(folder).rglob("*.flac"))

    def work() -> Arrays:
        with tempfile.TemporaryDirectory() as out:
            for index, path in enumerate(paths):
                np.save(f"{out}/{index}.npy", analysis(librosa.load(path, sr=SPEC.sample_rate)[0]))
        return []

    return work


PIECES: dict[str, Callable[..., Work]] = {
    each.__name__: each
    for each in (
        melmill, torch_generator, torch_bigvgan, openvino, librosa_waveforms, log_mels, librosa_log_mels, mel_distances,
        librosa_mel_distances, packing, librosa_packing, torch_loop, loop_works.onnxruntime_loop,
        loop_works.careful_loop, loop_works.dask_bag, loop_works.webdataset_pool, loop_works.melmill_job,
        loop_works.bare_kernel, loop_works.reading,
    )
}  # fmt: skip


def cpu_seconds() -> float:
    """CPU time of this process, and of its child processes that have ended [s]."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def timed(work: Work, times: int) -> dict[str, float]:
    """Seconds that the work takes, once, as a mean over that number of times."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    for _ in range(times):
        work()
    return {"wall": (time.perf_counter() - wall) / times, "cpu": (cpu_seconds() - cpu) / times}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    name, *arguments = sys.argv[1:]
    work = PIECES[name](*arguments)
    begun = cpu_seconds()
    result = work()  # the first time it compiles, and fills caches
    long = cpu_seconds() - begun > MOST_OF_COMPILING
    times = 1 if long else math.ceil(LEAST_SECONDS / timed(work, 1)["cpu"])
    print(json.dumps({"times": times}), file=answers)
    for line in sys.stdin:
        order, _, path = line.strip().partition(" ")
        if order == "run":
            print(json.dumps(timed(work, times)), file=answers)
        else:
            np.save(path, np.concatenate([array.reshape(-1) for array in result]))
            print("{}", file=answers)


if __name__ == "__main__":
    main()

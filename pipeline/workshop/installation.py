"""What melmill has here to work with: versions, the processor, compiled kernels and their cache, and how fast it is."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.dsp.mel import log_mel
from pipeline.dsp.mel_distance import MelDistance
from pipeline.errors import MelmillError
from pipeline.kernels import cache
from pipeline.kernels.recipe import KeptCode, kept_code
from pipeline.kernels.target import available, compiler_versions, processor
from pipeline.melspec import PRESETS
from pipeline.vocoders import DEFAULT_VOCODER, load_vocoder
from pipeline.vocoders.registry import GRIFFIN_LIM
from pipeline.workshop.prompts import prompts

VOCODERS = (DEFAULT_VOCODER, "lift", GRIFFIN_LIM)
_ANY = PRESETS["hifigan-22k"]
_FRAMES = 96
"""Frames of a measurement: about a second of speech, which the slowest vocoder decodes in a quarter of a second."""
_PATIENCE = 0.25
"""CPU time after which a measurement is not repeated [s], so that all of them together take less than two seconds."""
_SLOW = "fused multiply-adds are emulated, which is slow and gives the same samples"


@dataclass(frozen=True)
class Speed:
    """How fast something is, on one core.

    Args:
        name: a vocoder, or `mel_distance`.
        times_real_time: seconds of audio for each second of CPU time; None if it cannot be used.
        problem: reason why it cannot be used; "" if it can.
    """

    name: str
    times_real_time: float | None
    problem: str = ""


@dataclass(frozen=True)
class Cache:
    """The files of compiled code and of transformed weights.

    Args:
        folder: path of their folder; "" if there is none.
        problem: reason why nothing can be kept there; "" if it can.
        files: number of files.
        bytes: their total size [bytes].
        code: what was compiled, and for what processor.
    """

    folder: str
    problem: str
    files: int
    bytes: int
    code: list[KeptCode]


@dataclass(frozen=True)
class Installation:
    """What melmill has to work with.

    Args:
        versions: name -> version of libraries.
        processor: LLVM's name of this machine's processor.
        cores: number of cores that this process may use.
        kernels: what kernels are compiled for; "" if there are none.
        kernels_problem: reason why there are no kernels, or why they are slow; "" if they are fast.
        cache: the files that are kept.
        speeds: how fast vocoders and the mel distance are.
    """

    versions: Mapping[str, str]
    processor: str
    cores: int
    kernels: str
    kernels_problem: str
    cache: Cache
    speeds: list[Speed]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dataclasses.asdict(self)


def examine(versions: Mapping[str, str]) -> Installation:
    """Finds out what there is to work with. This decodes a second of speech several times.

    Args:
        versions: name -> version of libraries; those of the compiler are added.

    Raises:
        ConfigError: if `$MELMILL_KERNELS` names no processor whose code this machine can run.
    """
    target = available()
    if isinstance(target, str):
        kernels, problem = "", target
    else:
        kernels, problem = target.name, _SLOW if target.slow else ""
    speeds = [_speed(name, lambda name=name: _decoding(name)) for name in VOCODERS]  # type: ignore[misc]
    speeds.append(_speed("mel_distance", _comparing))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    versions = {**versions, **compiler_versions()}
    return Installation(versions, processor(), cores, kernels, problem, _cache(), speeds)


def _cache() -> Cache:
    try:
        place, problem = cache.folder(), cache.trial()
        held = place.held()
        return Cache(str(place.path), problem, len(held), sum(each.bytes for each in held), kept_code())
    except OSError as error:  # there is no folder, or others may write it
        try:
            return Cache(str(cache.folder().path), error.strerror or str(error), 0, 0, [])
        except OSError:
            return Cache("", error.strerror or str(error), 0, 0, [])


def _speed(name: str, work: Callable[[], tuple[float, Callable[[], object]]]) -> Speed:
    """Speed of the call that `work` gives, with the seconds of audio of one call."""
    try:
        seconds, call = work()
        call()  # compiles, and allocates memory
        best, spent = float("inf"), 0.0
        while spent < _PATIENCE:
            before = time.process_time()
            call()
            took = time.process_time() - before
            best, spent = min(best, took), spent + took
    except MelmillError as error:
        return Speed(name, None, str(error))
    return Speed(name, round(seconds / best, 1))


def _decoding(name: str) -> tuple[float, Callable[[], object]]:
    vocoder = load_vocoder(name, _ANY if name == GRIFFIN_LIM else None)
    spec = vocoder.spec
    mel = np.ascontiguousarray(log_mel(_speech(spec.sample_rate), spec)[:, :_FRAMES])
    return vocoder.samples(mel.shape[1]) / spec.sample_rate, lambda: vocoder.decode(mel)


def _comparing() -> tuple[float, Callable[[], object]]:
    speech = _speech(_ANY.sample_rate)
    mel = log_mel(speech, _ANY)

    def compare() -> None:
        distance = MelDistance(_ANY)
        distance.push_mel(mel)
        distance.push_audio(speech)
        distance.finish()

    return len(speech) / _ANY.sample_rate, compare


def _speech(sample_rate: int) -> NDArray[np.float32]:
    return prompts(sample_rate)["english"]

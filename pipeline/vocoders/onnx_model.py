"""An ONNX model with a card of melmill: its checks, and one session for each process."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.checkpoints.model_card import Card
from pipeline.errors import BadMelError, CardError, ConfigError, VocoderError
from pipeline.kernels.hifigan.shape import HifiganShape, Precision
from pipeline.vocoders.cards import card_memory, visible_cards
from pipeline.vocoders.generator_in_onnx import read_generator
from pipeline.vocoders.node_chain import UnknownGraphError
from pipeline.vocoders.onnx_file import FLOAT32, read_onnx_file
from pipeline.vocoders.sessions import CARD_REMEDY, Device, Session, open_session

_HIFIGANS = ("hifigan", "pwg-hifigan", "speecht5-hifigan", "speechbrain-hifigan", "bigvgan", "istftnet")
"""Families whose graph the native kernels know."""
USER_FAMILY = "onnx"
"""The family in the card of a model that a user brought as ONNX. Such a model may take one mel at a time."""
# Part of a process's GPU memory that the activations of a batch may take: cuDNN's workspaces and the weights need the
# rest.
_SHARE_OF_CARD = 0.5
_MOST_AT_ONCE = 64
# Raise them whenever the native kernels give other samples of the same model.
_NATIVE: dict[Precision, str] = {"float32": "native 2", "mixed": "native mixed 2"}
_CUDA_MIXED = "cuda mixed 2"
# What stands before the content's digest if the model is not run by onnxruntime on the CPU -> keys of `vocoder` with
# which shards are kept that were made so. Early versions of melmill ran models in OpenVINO, too.
_ELSEWHERE = {
    _NATIVE["float32"]: {"runtime": "native"},
    _NATIVE["mixed"]: {"runtime": "native", "precision": "mixed"},
    "cuda": {"device": "cuda"},
    _CUDA_MIXED: {"device": "cuda", "precision": "mixed"},
    "cuda-or-cpu": {"device": "cuda-or-cpu"},
    "openvino": {},
}
# What onnxruntime says when the GPU fails or has no memory left; seen on an H100 with onnxruntime 1.31.
_CARD_AT_FAULT = re.compile(r"CUDA|CUDNN|CUBLAS|BFCArena|allocate memory|out of memory")


class OnnxModel:
    """A model with one input, mel `[batch, n_mels, frames] float32`, and one output, float32.

    The first `run` in a process makes the session, which several threads may use at once. A pickle of a model holds its
    path, not its weights.

    Args:
        path: the .onnx file.
        threads: number of onnxruntime's threads for one `run`.
        device: the device that the model runs on.
        batch: number of mels of one length to run at once. None for one on the CPU, and on a GPU for as many, up to 64,
            as half of this process's part of its memory holds.
        sharing: number of models, in all processes, that share the memory of this machine's GPUs.
        precision: precision of the products. "mixed" is for a HiFi-GAN on the device `cuda`; see `half_products`.

    Attributes:
        generator: shape of the model if it is a HiFi-GAN; None if it is not.
        why_unknown: why it is not, as text.

    Raises:
        ConfigError: if the file cannot be read, has no melmill card or keeps weights in other files, or if the input or
            the output is not that of the model's family.
    """

    def __init__(
        self,
        path: Path,
        threads: int = 1,
        device: Device = "cpu",
        batch: int | None = None,
        sharing: int = 1,
        precision: Precision = "float32",
    ) -> None:
        assert precision == "float32" or device == "cuda", device
        self.path, self.threads, self.device, self.precision = path, threads, device, precision
        self._batch, self._sharing = batch, sharing
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: this model cannot be read: {error}") from error
        try:
            self.card, self._single = _checked_card(content)
        except ConfigError as error:
            raise ConfigError(f"{path}: this model is refused: {error}") from error
        self._content = _digest(content)
        where = _CUDA_MIXED if precision == "mixed" else device
        self.digest = self._content if where == "cpu" else self._digest_elsewhere(where)
        self.generator, self.why_unknown = _generator(content, self.card)
        self.size = len(content)
        """Size of the file [bytes]."""
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._card_bytes: int | None = None
        self._process = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return OnnxModel, (self.path, self.threads, self.device, self._batch, self._sharing, self.precision)

    def native_digest(self, precision: Precision = "float32") -> str:
        """Digest of the model as the native kernels run it in a precision; the same on every processor."""
        return self._digest_elsewhere(_NATIVE[precision])

    def elsewhere(self, digest: str) -> dict[str, str]:
        """Digest of the same model in every other runtime, device and precision -> how its shards are kept.

        Args:
            digest: the digest that is not another one.
        """
        ways = {self._digest_elsewhere(where): keys for where, keys in _ELSEWHERE.items()}
        ways[self._content] = {"runtime": "onnxruntime"}
        mixed = self.precision == "mixed" or digest == self.native_digest("mixed")
        now = {"device": self.device, "precision": "mixed" if mixed else "float32"}
        return {other: _kept_by(keys, now) for other, keys in ways.items() if other != digest}

    def _digest_elsewhere(self, where: str) -> str:
        return _digest(f"{where} {self._content}".encode())

    def content(self) -> bytes:
        """The content of the model's file.

        Raises:
            ConfigError: if it has changed since the model was opened, or cannot be read.
        """
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{self.path}: this model cannot be read: {error}") from error
        if _digest(content) != self._content:
            raise ConfigError(f"{self.path}: this model has changed since it was opened")
        return content

    def check(self, mel: NDArray[np.float32], name: str, frames: int | None = None) -> None:
        """Checks that the model takes such mels.

        Args:
            mel: `[batch, n_mels, frames] float32`.
            name: name of the vocoder, for messages.
            frames: number of frames of the whole mel, if `mel` is a part of it.

        Raises:
            BadMelError: if the mels have another number of bands, too few frames, or values that are not finite.
        """
        bands, least = self.card.spec.n_mels, max(1, self.card.least_frames)
        if mel.ndim != 3 or mel.shape[1] != bands or (frames or mel.shape[2]) < least or not mel.size:
            raise BadMelError(
                f"the mel has the shape {list(mel.shape[1:])}; {name} takes [{bands}, frames], frames >= {least}"
            )
        if not np.isfinite(mel).all():
            raise BadMelError(f"the mel holds NaN or infinity; {name} takes finite values")

    def on_the_cpu(self) -> OnnxModel:
        """The same model, run on the CPU."""
        return self if self.device == "cpu" else OnnxModel(self.path, self.threads)

    @property
    def batched(self) -> bool:
        """Whether it will probably get several mels at once; known before there is a session."""
        return self._batch > 1 if self._batch is not None else self.device != "cpu"

    def batch(self, frames: int) -> int:
        """Number of mels of `frames` frames to run at once."""
        if self._batch is None and (self.device == "cpu" or self._own_session().device == "cpu"):
            return 1
        # Asked once: the memory of the first batch is used again for the next.
        if self._batch is None and self._card_bytes is None:
            free, total = card_memory(self._own_session().card) or (0, 0)
            on_one = -(-self._sharing // max(1, len(visible_cards())))
            self._card_bytes = int(_SHARE_OF_CARD * min(free, total / on_one))
        most = self._batch or _MOST_AT_ONCE
        return most if self._card_bytes is None else min(max(1, self._card_bytes // self._bytes(frames)), most)

    def _bytes(self, frames: int) -> int:
        return max(1, frames * self.card.frame_bytes)

    def run(self, mel: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        """The model's output for mels of one length.

        Args:
            mel: `[batch, n_mels, frames] float32`.
            name: name of the vocoder, for messages.

        Returns:
            Waveforms `[batch, samples] float32`. A "lift", which takes one mel at a time, gives levels
            `[frames, bins + n_mels] float32`; see `net_magnitude_blocks`.

        Raises:
            BadMelError: if the mels have another number of bands, too few frames, or values that are not finite.
            ConfigError: if the model's file has changed since it was opened, or onnxruntime cannot load it.
            CardError: if the GPU fails, or has too little memory.
            VocoderError: if onnxruntime fails.
        """
        self.check(mel, name)
        session = self._own_session()
        try:
            if self._single and len(mel) > 1:
                return np.concatenate([session.run(np.ascontiguousarray(one[None], np.float32)) for one in mel])
            return session.run(np.ascontiguousarray(mel, np.float32))
        except Exception as error:  # onnxruntime's exceptions have no base class in common
            mels = "a mel" if len(mel) == 1 else f"{len(mel)} mels"
            failed = f"{name}: onnxruntime failed on {mels} of {mel.shape[2]} frames: {error}"
            if session.device == "cuda" and _CARD_AT_FAULT.search(str(error)):
                if len(mel) > 1:  # batches are half as large from now on
                    self._card_bytes = len(mel) * self._bytes(mel.shape[2]) // 2
                raise CardError(f"{failed}. The GPU is at fault, not an utterance: {CARD_REMEDY}") from error
            raise VocoderError(failed) from error

    def _own_session(self) -> Session:
        with self._lock:
            # A session does not survive a fork: its threads exist only in the parent.
            if self._session is None or self._process != os.getpid():
                content, path = self.content(), self.path
                if self.precision == "mixed":
                    from pipeline.checkpoints.half_products import cached_half_products

                    assert self.generator is not None
                    path = cached_half_products(content, self._content, self.generator)
                self._session = open_session(path, self.threads, self.device)
                self._process = os.getpid()
            return self._session


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _kept_by(keys: dict[str, str], now: dict[str, str]) -> str:
    """How to keep shards that were made with these keys of `vocoder`, where others of them have the values `now`."""
    if not keys:
        return "the same net in OpenVINO, which melmill no longer uses"
    plain = {"device": "cpu", "precision": "float32"}
    back = {key: value for key, value in plain.items() if key not in keys and now[key] != value}
    settings = " ".join(f"--set vocoder.{key}={value}" for key, value in {**keys, **back}.items())
    return f"the same net, run in another way; {settings} keeps these shards"


def _generator(content: bytes, card: Card) -> tuple[HifiganShape | None, str]:
    """The shape of the model if it is a HiFi-GAN, else None, and why it is not one, as text."""
    if card.family == USER_FAMILY:
        return None, "there are no native kernels for models that another tool made"
    if card.family not in _HIFIGANS:
        return None, f"there are no native kernels for {card.family}"
    try:
        shape = read_generator(content).shape
    except UnknownGraphError as error:
        return None, f"the native kernels do not know its graph: {error}"
    if (shape.mels, shape.samples(1)) != (card.spec.n_mels, card.spec.hop_length + card.extra_samples):
        return None, f"its graph makes {shape.samples(1)} samples of a frame of {shape.mels} bands, against its card"
    return shape, ""


def _checked_card(content: bytes) -> tuple[Card, bool]:
    """The model's card, and whether the model takes one mel at a time."""
    try:
        file = read_onnx_file(content)
    except ValueError as error:
        raise ConfigError("it is not an ONNX model, or it is damaged") from error
    card = Card.from_metadata(file.metadata)
    if file.external:
        raise ConfigError("it keeps weights in other files (external data)")
    mels, bins = card.spec.n_mels, 1 + card.spec.n_fft // 2
    batch: int | None = None
    result: tuple[int | None, ...] = (None, None)
    name, words = "waveform", "waveform [batch, samples]"
    if card.family == "lift":
        levels = bins + mels
        batch, name, result, words = 1, "levels", (None, levels), f"levels [frames, {levels}]"
    elif card.family == USER_FAMILY and file.inputs and file.inputs[0][2][:1] == (1,):
        batch = 1
    elif card.istft is not None:
        bins = 1 + card.istft.n_fft // 2
        name, result, words = "spectrum", (None, 2, None, bins), f"spectrum [batch, 2, frames, {bins}]"
    wanted = (("mel", FLOAT32, (batch, mels, None)),), ((name, FLOAT32, result),)
    if (file.inputs, file.outputs) != wanted:
        raise ConfigError(
            f"it should take mel [{batch or 'batch'}, {mels}, frames] float32 and give {words} float32; "
            f"it takes {list(file.inputs)} and gives {list(file.outputs)} (name, element type, shape)"
        )
    return card, batch == 1

"""A vocoder that runs an ONNX model of ours in onnxruntime, on the CPU."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from pipeline.errors import BadMelError, ConfigError, MelmillError
from pipeline.vocoders.checkpoints.card import Card

# Measured on HiFi-GAN V1 with onnxruntime 1.32: the weights as read, and once more in the layout of the kernels.
_COPIES_OF_WEIGHTS = 2


class OnnxVocoder:
    """A `Vocoder` from an .onnx file that melmill made from a checkpoint.

    The session is made at the first `decode`, one for each process, and may be used by several threads at once. A
    pickle of a vocoder holds its path and not its weights.

    Args:
        path: the .onnx file.
        name: what to call it; the file's stem if None.
        threads: onnxruntime's threads for one decode.

    Raises:
        ConfigError: if the file cannot be read, has no melmill card, keeps weights in other files, or does not take
            mel `[1, n_mels, frames] float32` and give waveform `[samples] float32`.
    """

    def __init__(self, path: Path, name: str | None = None, threads: int = 1) -> None:
        self.name = path.stem if name is None else name
        self.path = path
        self.threads = threads
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: this model cannot be read: {error}") from error
        try:
            self._card = _checked_card(content)
        except ConfigError as error:
            raise ConfigError(f"{path}: this model is refused: {error}") from error
        self.digest = _digest(content)
        self.spec = self._card.spec
        self.halo = self._card.halo
        self._size = len(content)
        self._lock = threading.Lock()
        self._session: onnxruntime.InferenceSession | None = None
        self._process = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return OnnxVocoder, (self.path, self.name, self.threads)

    def samples(self, frames: int) -> int:
        """Length of the waveform [samples] that `frames` frames give."""
        return frames * self.spec.hop_length + self._card.extra_samples

    def memory(self, frames: int) -> int:
        """See Vocoder."""
        return _COPIES_OF_WEIGHTS * self._size + frames * self._card.frame_bytes

    def decode(self, mel: NDArray[np.float32], first_frame: int = 0) -> NDArray[np.float32]:
        """The waveform of one mel, or of one window of it.

        Args:
            mel: `[n_mels, frames] float32`, finite, in the values of `spec`.
            first_frame: not used: these models draw no noise.

        Returns:
            `[samples(frames)] float32`.

        Raises:
            BadMelError: if the mel has another width, no frames, or values that are not finite.
            ConfigError: if the model's file was changed after it was opened, or onnxruntime cannot load it.
            MelmillError: if onnxruntime fails, or gives a waveform of another length.
        """
        if mel.ndim != 2 or mel.shape[0] != self.spec.n_mels or mel.shape[1] == 0:
            raise BadMelError(f"a mel of shape {mel.shape}; {self.name} takes [{self.spec.n_mels}, frames], frames > 0")
        if not np.isfinite(mel).all():
            raise BadMelError(f"a mel with NaN or infinity; {self.name} takes finite values")
        session = self._own_session()
        frames = mel.shape[1]
        try:
            waveform: NDArray[np.float32] = session.run(None, {"mel": np.ascontiguousarray(mel[None], np.float32)})[0]
        except Exception as error:  # onnxruntime's exceptions have no common base of their own
            raise MelmillError(f"{self.name}: onnxruntime failed on a mel of {frames} frames: {error}") from error
        if waveform.shape != (self.samples(frames),):
            raise MelmillError(
                f"{self.name}: {frames} frames gave a waveform of shape {waveform.shape}, not [{self.samples(frames)}]"
            )
        return waveform

    def _own_session(self) -> onnxruntime.InferenceSession:
        with self._lock:
            # A session does not survive a fork: its threads stay behind in the parent.
            if self._session is None or self._process != os.getpid():
                self._session = self._open_session()
                self._process = os.getpid()
            return self._session

    def _open_session(self) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 4  # fatal: errors come as exceptions
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # A pattern is remembered for each length of mel; without, V1 peaks 80 MB lower at the same speed.
        options.enable_mem_pattern = False
        try:
            # From the path: a session made from bytes keeps them.
            if _digest(self.path.read_bytes()) != self.digest:
                raise ConfigError(f"{self.path}: this model was changed after it was opened")
            return onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        except ConfigError:
            raise
        except Exception as error:  # onnxruntime's exceptions have no common base of their own
            raise ConfigError(f"{self.path}: onnxruntime cannot load this model: {error}") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _checked_card(content: bytes) -> Card:
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's, whose class depends on its implementation
        raise ConfigError("it is no ONNX model, or a damaged one") from error
    card = Card.read(model)
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(model)):
        raise ConfigError("it keeps weights in other files (external data)")
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [_described(value) for value in model.graph.input if value.name not in weights]
    outputs = [_described(value) for value in model.graph.output]
    float32 = onnx.TensorProto.FLOAT
    if inputs != [("mel", float32, (1, card.spec.n_mels, None))] or outputs != [("waveform", float32, (None,))]:
        raise ConfigError(
            f"it should take mel [1, {card.spec.n_mels}, frames] float32 and give waveform [samples] float32; "
            f"it takes {inputs} and gives {outputs} (name, element type, shape)"
        )
    return card


def _described(value: onnx.ValueInfoProto) -> tuple[str, int, tuple[int | None, ...]]:
    tensor = value.type.tensor_type
    sizes = tuple(size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim)
    return value.name, tensor.elem_type, sizes


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor in the model: initializers, attributes of nodes, and those of graphs and functions inside."""
    nodes = [node for function in model.functions for node in function.node]
    graphs = [model.graph]
    while graphs or nodes:
        while graphs:
            graph = graphs.pop()
            nodes.extend(graph.node)
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
        while nodes:
            for attribute in nodes.pop().attribute:
                graphs.extend([attribute.g, *attribute.graphs])
                yield from (attribute.t, *attribute.tensors)
                for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                    yield from (sparse.values, sparse.indices)

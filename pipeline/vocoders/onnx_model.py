"""An ONNX model of ours: its card, its checks, and one session for each process, in onnxruntime or OpenVINO."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from pipeline.errors import BadMelError, ConfigError, MelmillError
from pipeline.vocoders.checkpoints.card import Card

Runtime = Literal["onnxruntime", "openvino"]


class OnnxModel:
    """A model with one input, mel `[batch, n_mels, frames] float32`, and one output, float32.

    The session is made at the first `run`, one for each process, and may be used by several threads at once. A pickle
    of a model holds its path and not its weights.

    Args:
        path: the .onnx file.
        threads: the runtime's threads for one `run`.
        runtime: that runs it.

    Raises:
        ConfigError: if the runtime is not installed, or the file cannot be read, has no melmill card, keeps weights in
            other files, or its input or output is another one than its family's.
    """

    def __init__(self, path: Path, threads: int = 1, runtime: Runtime = "onnxruntime") -> None:
        self.path, self.threads, self.runtime = path, threads, runtime
        if importlib.util.find_spec(runtime) is None:
            raise ConfigError(f"vocoder.runtime: {runtime} is not installed: pip install 'melmill[{runtime}]'")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: this model cannot be read: {error}") from error
        try:
            self.card = _checked_card(content)
        except ConfigError as error:
            raise ConfigError(f"{path}: this model is refused: {error}") from error
        self._content = _digest(content)
        # Another runtime rounds in another way, and so gives other samples.
        self.digest = self._content if runtime == "onnxruntime" else _digest(f"{runtime} {self._content}".encode())
        self.size = len(content)
        """Of the file [bytes]."""
        self._lock = threading.Lock()
        self._run: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None = None
        self._process = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return OnnxModel, (self.path, self.threads, self.runtime)

    def run(self, mel: NDArray[np.float32], name: str) -> NDArray[np.float32]:
        """The model's output for mels of one length.

        Args:
            mel: `[batch, n_mels, frames] float32`.
            name: of the vocoder, for messages.

        Returns:
            A waveform `[batch, samples] float32`; of a "lift", which takes a batch of one, magnitudes
            `[frames, bins] float32`.

        Raises:
            BadMelError: if the mels have another width, too few frames, or values that are not finite.
            ConfigError: if the model's file was changed after it was opened, or the runtime cannot load it.
            MelmillError: if the runtime fails.
        """
        bands, least = self.card.spec.n_mels, max(1, self.card.least_frames)
        if mel.ndim != 3 or mel.shape[1] != bands or mel.shape[2] < least or not len(mel):
            raise BadMelError(f"a mel of shape {mel.shape[1:]}; {name} takes [{bands}, frames], frames >= {least}")
        if not np.isfinite(mel).all():
            raise BadMelError(f"a mel with NaN or infinity; {name} takes finite values")
        run = self._own_session()
        try:
            return run(np.ascontiguousarray(mel, np.float32))
        except Exception as error:  # the runtimes' exceptions have no common base of their own
            raise MelmillError(f"{name}: {self.runtime} failed on a mel of {mel.shape[2]} frames: {error}") from error

    def _own_session(self) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        with self._lock:
            # A session does not survive a fork: its threads stay behind in the parent.
            if self._run is None or self._process != os.getpid():
                if _digest(self.path.read_bytes()) != self._content:
                    raise ConfigError(f"{self.path}: this model was changed after it was opened")
                open_session = _onnxruntime if self.runtime == "onnxruntime" else _openvino
                try:
                    self._run = open_session(self.path, self.threads)
                except Exception as error:  # see above
                    raise ConfigError(f"{self.path}: {self.runtime} cannot load this model: {error}") from error
                self._process = os.getpid()
            return self._run


def _onnxruntime(path: Path, threads: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # fatal: errors come as exceptions
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A pattern is remembered for each length of mel; without, HiFi-GAN V1 peaks 80 MB lower at the same speed.
    options.enable_mem_pattern = False
    # From the path: a session made from bytes keeps them.
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def run(mel: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = session.run(None, {"mel": mel})[0]
        return result

    return run


def _openvino(path: Path, threads: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    import openvino

    # Its own default may be bfloat16 where the processor has it.
    settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
    compiled = openvino.Core().compile_model(path, "CPU", settings)

    def run(mel: NDArray[np.float32]) -> NDArray[np.float32]:
        # A request of its own for each call: several threads may call.
        result: NDArray[np.float32] = compiled.create_infer_request().infer({"mel": mel})[0]
        return result.copy()

    return run


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
    float32, mels, bins = onnx.TensorProto.FLOAT, card.spec.n_mels, 1 + card.spec.n_fft // 2
    batch: int | None = None
    result: tuple[int | None, ...] = (None, None)
    name, words = "waveform", "waveform [batch, samples]"
    if card.family == "lift":
        batch, name, result, words = 1, "magnitude", (None, bins), f"magnitude [frames, {bins}]"
    elif card.istft is not None:
        bins = 1 + card.istft.n_fft // 2
        name, result, words = "spectrum", (None, 2, None, bins), f"spectrum [batch, 2, frames, {bins}]"
    if inputs != [("mel", float32, (batch, mels, None))] or outputs != [(name, float32, result)]:
        raise ConfigError(
            f"it should take mel [{batch or 'batch'}, {mels}, frames] float32 and give {words} float32; "
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

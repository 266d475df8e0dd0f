"""Sessions that run a net in onnxruntime, on the CPU or on a CUDA GPU.

Onnxruntime is imported by the first of them: a run whose vocoder needs no session does without it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import CardError, ConfigError
from pipeline.vocoders.cards import card_memory, own_card

if TYPE_CHECKING:
    import onnxruntime

logger = logging.getLogger(__name__)

Device = Literal["cpu", "cuda", "cuda-or-cpu"]
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]

_CUDA = "CUDAExecutionProvider"
# TF32 keeps 10 bits of a product's factors. In all layers of HiFi-GAN V1 its noise would be 34 to 43 dB below the
# samples if it rounds to the nearest, and 29 to 36 dB if it cuts bits off (six prompts, in PyTorch). A search for the
# best kernels, at every new length of mel, would take longer than decoding the mel.
_CUDA_OPTIONS = {
    "use_tf32": "0",
    "cudnn_conv_algo_search": "HEURISTIC",
    "arena_extend_strategy": "kSameAsRequested",
}
_INSTALL = "pip uninstall onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]'"
_LEAST_FREE_BYTES = 2**29
"""About what CUDA's own libraries take of a GPU's memory before there is a net; 0.4 GiB was seen on an H100."""
_OUT_OF_MEMORY = re.compile(r"out of memory|allocate memory|ALLOC_FAILED|BFCArena", re.I)
CARD_REMEDY = (
    "see with nvidia-smi which other processes use its memory, or use fewer workers (cluster.workers) or shorter "
    "windows (vocoder.window). What was committed is kept; run again to resume"
)


@dataclass(frozen=True)
class Session:
    """A net that is loaded.

    Args:
        run: function from mel `[batch, n_mels, frames] float32` to the net's output, float32; several threads may call
            it at once.
        device: the device that the net is on.
        card: number of its card among those that this process sees; 0 on the CPU.
    """

    run: Run
    device: Literal["cpu", "cuda"]
    card: int = 0


def check_device(device: Device) -> None:
    """Checks that this process can use the device, as far as that can be told without using it.

    Raises:
        ConfigError: if it is `cuda`, and the installed onnxruntime was built without CUDA.
    """
    if device != "cuda":
        return
    import onnxruntime

    if _CUDA not in (found := onnxruntime.get_available_providers()):
        raise ConfigError(
            f"vocoder.device: cuda needs onnxruntime's {_CUDA}; the one installed, {onnxruntime.__version__}, has "
            f"{', '.join(found)}. Install onnxruntime-gpu ({_INSTALL}), or set vocoder.device to cpu, or "
            "to cuda-or-cpu, which uses the CPU where there is no GPU"
        )


def open_session(path: Path, threads: int, device: Device) -> Session:
    """The model at `path`, loaded.

    Args:
        path: the .onnx file.
        threads: number of CPU threads for one `run`.
        device: the device that the model runs on. With `cuda-or-cpu`, where CUDA cannot be used, it is the CPU, with a
            warning in the log. Of several GPUs it is the one of `own_card`.

    Raises:
        ConfigError: if the device cannot be used, or onnxruntime cannot load the model.
        CardError: if the GPU has no room for the model.
    """
    try:
        if device == "cpu":
            return Session(_onnxruntime(path, threads), "cpu")
        try:
            return _onnxruntime_on_cuda(path, threads)
        except (ConfigError, CardError) as error:
            if device == "cuda":
                raise
            logger.warning("vocoding on the CPU: %s", error)
            return Session(_onnxruntime(path, threads), "cpu")
    except (ConfigError, CardError):
        raise
    except Exception as error:  # onnxruntime's exceptions have no base class in common
        raise ConfigError(f"{path}: onnxruntime cannot load this model: {error}") from error


def _options(threads: int) -> onnxruntime.SessionOptions:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # fatal only: errors come as exceptions
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # A memory pattern is kept for each length of mel; without them HiFi-GAN V1 peaks 80 MB lower at the same speed.
    options.enable_mem_pattern = False
    return options


def _onnxruntime(path: Path, threads: int) -> Run:
    import onnxruntime

    # From the path: a session that is made from bytes keeps them.
    return _runner(onnxruntime.InferenceSession(path, _options(threads), providers=["CPUExecutionProvider"]))


def _onnxruntime_on_cuda(path: Path, threads: int) -> Session:
    import onnxruntime

    check_device("cuda")
    card = own_card()
    ordinal = 0 if card is None else card.ordinal
    if hasattr(onnxruntime, "preload_dlls"):  # finds CUDA libraries that were installed as wheels
        onnxruntime.preload_dlls()
    try:
        session = onnxruntime.InferenceSession(path, _options(threads), providers=[_provider(ordinal)])
        # Without CUDA's libraries or a GPU, onnxruntime goes on with the CPU and only prints a message.
        used = session.get_providers()
        why = f"it used {', '.join(used)} instead"
    except Exception as error:  # see open_session
        used, why = [], str(error)
    if _CUDA not in used:
        memory = card_memory(ordinal)
        if (memory is not None and memory[0] < _LEAST_FREE_BYTES) or _OUT_OF_MEMORY.search(why):
            free = f", of which {memory[0] / 2**20:.0f} of {memory[1] / 2**20:.0f} MiB are free," if memory else ""
            raise CardError(f"vocoder.device: cuda: the GPU{free} has no room for {path.name} ({why}): {CARD_REMEDY}")
        raise ConfigError(
            f"vocoder.device: cuda: onnxruntime {onnxruntime.__version__} could not use {_CUDA} ({why}). Check that "
            "nvidia-smi lists a GPU, and that CUDA and cuDNN of onnxruntime's major versions are installed "
            f"({_INSTALL}); or set vocoder.device to cpu or cuda-or-cpu"
        )
    session.disable_fallback()  # an error on the GPU must stay an error
    return Session(_runner(session), "cuda", ordinal)


def _provider(ordinal: int) -> tuple[str, dict[str, str]]:
    """What onnxruntime is asked for on a card."""
    return _CUDA, {**_CUDA_OPTIONS, "device_id": str(ordinal)}


def _runner(session: onnxruntime.InferenceSession) -> Run:
    def run(mel: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = session.run(None, {"mel": mel})[0]
        return result

    return run

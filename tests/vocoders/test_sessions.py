"""Where a net runs. No card is needed: what is chosen, refused, and fallen back from is seen without one."""

from __future__ import annotations

import logging
import pickle
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from support.corpora import assert_whole
from support.families import CONFIGS, random_model
from support.native import MODELS, write_native

import pipeline
from pipeline.checkpoints.half_products import with_half_products
from pipeline.config import JobConfig
from pipeline.errors import CardError, ConfigError, VocoderError
from pipeline.planning.prepare import prepare
from pipeline.vocoders import load_vocoder, onnx_model, sessions
from pipeline.vocoders.cards import CudaCard
from pipeline.vocoders.generator_in_onnx import read_generator
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.vocoders.onnx_vocoder import OnnxVocoder
from pipeline.vocoders.sessions import check_device

OUT_OF_CARD = [
    "Failed to allocate memory for requested buffer of size 1073741824",
    "CUDA failure 2: out of memory ; GPU=0",
    "CUDNN failure 5000: CUDNN_STATUS_EXECUTION_FAILED ; GPU=0",
]
"""What onnxruntime says of a card; the first was seen on one."""
OPERATORS_ON_A_CARD = {
    "Add", "Concat", "Conv", "ConvTranspose", "Cos", "Div", "Erf", "Exp", "LayerNormalization", "LeakyRelu", "MatMul",
    "Min", "Mul", "Pad", "Reciprocal", "Reshape", "Sin", "Slice", "Tanh", "Tile", "Transpose", "Unsqueeze",
}  # fmt: skip
"""What onnxruntime's CUDA provider was seen to run itself, by tests/cuda; it has no Mean, for one."""
CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


@pytest.fixture
def mel() -> NDArray[np.float32]:
    return np.random.default_rng(5).normal(-1, 2, (20, 50)).astype(np.float32)


@pytest.fixture
def built_for_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """An onnxruntime that says that it was built with CUDA; this one is not, so its sessions come out on the CPU."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.delattr(onnxruntime, "preload_dlls", raising=False)


@pytest.fixture
def on_a_card(built_for_cuda: None, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The same, whose sessions also say that they are on the card; what they were asked for, and what they did then."""
    asked: list[Any] = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, path: Path, options: Any, providers: list[Any]) -> None:
            asked.append(providers)
            super().__init__(path, options, providers=[CPU])
            self.asked = providers

        def get_providers(self) -> list[str]:
            return [each if isinstance(each, str) else each[0] for each in self.asked]

        def disable_fallback(self) -> None:
            asked.append("no fallback")

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnx_model, "card_memory", lambda ordinal: (8 * 2**30, 8 * 2**30))
    return asked


def test_cuda_is_asked_for_by_name_alone_in_full_precision_and_without_fallback(
    small_model: Path, mel: NDArray[np.float32], on_a_card: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "own_card", lambda: CudaCard(1, ""))
    OnnxVocoder(OnnxModel(small_model, device="cuda")).decode(mel)
    ((name, options),), then = on_a_card
    assert (name, options["use_tf32"], options["cudnn_conv_algo_search"], then) == (
        CUDA,
        "0",
        "HEURISTIC",
        "no fallback",
    )
    assert options["device_id"] == "1"


@pytest.mark.parametrize("name", [each for each in MODELS if "hifigan" in each])
def test_mixed_precision_on_a_card_makes_little_noise(name: str, tmp_path: Path, on_a_card: list[Any]) -> None:
    """As far as that can be seen without a card: the CPU rounds where the card does, and multiplies in float32."""
    path = write_native(name, tmp_path / "model.onnx")
    mel = np.random.default_rng(3).normal(-1, 2, (20, 200)).astype(np.float32)
    plain, mixed = (
        load_vocoder(str(path), device="cuda", precision=precision) for precision in ("float32", "mixed")
    )  # fmt: skip
    assert (plain.backend.precision, mixed.backend.precision) == ("float32", "mixed")
    wanted = plain.decode(mel).astype(np.float64)
    noise = mixed.decode(mel) - wanted
    assert 45 < 10 * np.log10(np.sum(wanted**2) / np.sum(noise**2)) < 80


def test_convolutions_that_bfloat16_would_make_too_noisy_stay_in_float32_on_a_card_too(tmp_path: Path) -> None:
    content = write_native("hifigan", tmp_path / "model.onnx").read_bytes()
    shape = read_generator(content).shape
    model = onnx.load_from_string(with_half_products(content, shape))
    weights = {each.name: each for each in model.graph.initializer}
    kinds = {weights[node.input[1]].data_type for node in model.graph.node if node.op_type == "ConvTranspose"}
    assert kinds == {onnx.TensorProto.FLOAT}
    half = defaultdict(int)
    for node in model.graph.node:
        if node.op_type == "Conv":
            outputs, _, _, taps = weights[node.input[1]].dims
            half[outputs, taps] += weights[node.input[1]].data_type == onnx.TensorProto.FLOAT16
    assert dict(half) == {
        (32, 7): 0, (16, 3): 6, (16, 7): 6, (16, 11): 0, (8, 3): 6, (8, 7): 6, (8, 11): 6, (4, 3): 6, (4, 7): 6,
        (4, 11): 6, (1, 7): 0,
    }  # fmt: skip
    # One before and one after each residual unit; the first units of a stage's branches share the one before.
    assert sum(node.op_type == "Cast" for node in model.graph.node) == 8 * 3 * 2 - (1 + 2 + 2)
    assert with_half_products(content, shape) == model.SerializeToString(deterministic=True)


@pytest.mark.parametrize("family", CONFIGS)
def test_no_part_of_a_net_would_be_left_to_the_cpu(family: str, tmp_path: Path) -> None:
    """What the provider does not have is copied from the card and back: HiFi-GAN was four times slower for one."""
    model = onnx.load(random_model(family, tmp_path / "random.onnx"))
    assert {node.op_type for node in model.graph.node} <= OPERATORS_ON_A_CARD


def test_an_onnxruntime_without_cuda_is_refused_with_what_to_install(
    small_model: Path, mel: NDArray[np.float32]
) -> None:
    assert CUDA not in onnxruntime.get_available_providers()  # as the one that pyproject.toml asks for
    for refused in (
        lambda: check_device("cuda"),
        lambda: OnnxVocoder(OnnxModel(small_model, device="cuda")).decode(mel),
    ):
        with pytest.raises(
            ConfigError, match=r"device: cuda needs .*CPUExecutionProvider.*pip install 'onnxruntime-gpu"
        ):
            refused()
    check_device("cuda-or-cpu")
    check_device("cpu")


def test_a_session_that_did_not_come_out_on_the_card_is_refused(
    small_model: Path, mel: NDArray[np.float32], built_for_cuda: None
) -> None:
    with pytest.raises(ConfigError, match=r"could not use CUDAExecutionProvider .* Check that nvidia-smi lists a GPU"):
        OnnxVocoder(OnnxModel(small_model, device="cuda")).decode(mel)


@pytest.mark.parametrize("built", [True, False])
def test_it_falls_back_to_the_cpu_with_a_warning_where_it_is_told_to(
    small_model: Path,
    mel: NDArray[np.float32],
    built: bool,
    request: pytest.FixtureRequest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if built:
        request.getfixturevalue("built_for_cuda")
    vocoder = OnnxVocoder(OnnxModel(small_model, device="cuda-or-cpu"))
    with caplog.at_level(logging.WARNING):
        waveform = vocoder.decode(mel)
    np.testing.assert_array_equal(waveform, OnnxVocoder(OnnxModel(small_model)).decode(mel))
    assert "vocoding on the CPU: vocoder.device: cuda" in caplog.text
    assert vocoder.batch(100) == 1


def test_another_device_is_another_vocoder_and_another_batch_is_not(small_model: Path) -> None:
    digests = {device: OnnxModel(small_model, device=device).digest for device in ("cpu", "cuda", "cuda-or-cpu")}
    mixed = OnnxModel(small_model, device="cuda", precision="mixed")
    assert len({*digests.values(), mixed.digest}) == 4
    assert "vocoder.device=cuda --set vocoder.precision=float32 keeps" in mixed.elsewhere(mixed.digest)[digests["cuda"]]
    ours = OnnxModel(small_model, device="cuda").elsewhere(digests["cuda"])
    assert "vocoder.device=cuda --set vocoder.precision=mixed keeps" in ours[mixed.digest]
    assert OnnxModel(small_model, batch=8).digest == digests["cpu"]
    again = pickle.loads(pickle.dumps(OnnxModel(small_model, device="cuda", batch=8)))  # noqa: S301
    assert (again.device, again.batch(10), again.digest) == ("cuda", 8, digests["cuda"])
    assert pickle.loads(pickle.dumps(mixed)).digest == mixed.digest  # noqa: S301


@pytest.mark.parametrize(("fitting", "wanted"), [(0.0, 1), (0.9, 1), (3.1, 3), (1000.0, 64)])
def test_a_batch_takes_half_of_the_cards_free_memory(
    small_model: Path, on_a_card: list[Any], monkeypatch: pytest.MonkeyPatch, fitting: float, wanted: int
) -> None:
    model = OnnxModel(small_model, device="cuda")
    wanted_bytes = int(2 * fitting * 256 * model.card.frame_bytes)
    monkeypatch.setattr(onnx_model, "card_memory", lambda ordinal: (wanted_bytes, 10 * wanted_bytes))
    assert model.batch(256) == wanted
    monkeypatch.setattr(onnx_model, "card_memory", lambda ordinal: (0, 0))
    assert model.batch(256) == wanted  # asked once
    assert model.batch(128) >= wanted


@pytest.mark.parametrize(("sharing", "cards"), [(4, 0), (4, 1), (7, 2)])
def test_processes_that_share_a_card_take_their_part_of_it_each(
    small_model: Path, on_a_card: list[Any], monkeypatch: pytest.MonkeyPatch, sharing: int, cards: int
) -> None:
    """Those of a machine spread over its cards."""
    monkeypatch.setattr(onnx_model, "visible_cards", lambda: cards * (CudaCard(0, ""),))
    model = OnnxModel(small_model, device="cuda", sharing=sharing)
    whole = 2 * 4 * 3 * 256 * model.card.frame_bytes  # half of a quarter is three windows
    monkeypatch.setattr(onnx_model, "card_memory", lambda ordinal: (whole, whole))
    assert model.batch(256) == 3
    again = pickle.loads(pickle.dumps(model))  # noqa: S301
    assert (again.batch(256), again.digest) == (3, OnnxModel(small_model, device="cuda").digest)


def test_a_card_that_fails_is_no_utterances_fault(
    small_model: Path, mel: NDArray[np.float32], on_a_card: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    vocoder = OnnxVocoder(OnnxModel(small_model, device="cuda"))
    vocoder.decode(mel)
    for message in OUT_OF_CARD:
        monkeypatch.setattr(onnxruntime.InferenceSession, "run", raising(RuntimeError(message)))
        with pytest.raises(CardError, match="The GPU is at fault, not an utterance: see with nvidia-smi") as raised:
            vocoder.decode(mel)
        assert (raised.value.exit_code, message in str(raised.value)) == (6, True)
    failed = RuntimeError("Non-zero status code returned while running Reshape node")
    monkeypatch.setattr(onnxruntime.InferenceSession, "run", raising(failed))
    with pytest.raises(VocoderError, match="running Reshape node"):
        vocoder.decode(mel)


@pytest.mark.parametrize("free", [2**30, 100 * 2**20])
def test_a_card_without_room_for_the_net_is_no_wrong_installation(
    small_model: Path, mel: NDArray[np.float32], built_for_cuda: None, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    """Onnxruntime says so, or it takes the CPU in place of a card that is full."""
    monkeypatch.setattr(sessions, "card_memory", lambda ordinal: (free, 80 * 2**30))
    if free == 2**30:
        monkeypatch.setattr(onnxruntime, "InferenceSession", raising(RuntimeError(OUT_OF_CARD[1])))
    with pytest.raises(CardError, match=rf"{free >> 20} of 81920 MiB are free, has no room .* with nvidia-smi which"):
        OnnxVocoder(OnnxModel(small_model, device="cuda")).decode(mel)


def test_batches_that_a_card_cannot_hold_get_smaller_for_windows_of_any_length(
    small_model: Path, on_a_card: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = OnnxModel(small_model, device="cuda")
    monkeypatch.setattr(onnx_model, "card_memory", lambda ordinal: (160 * model.card.frame_bytes, 2**40))
    assert (model.batch(10), model.batch(20)) == (8, 4)
    monkeypatch.setattr(onnxruntime.InferenceSession, "run", raising(RuntimeError(OUT_OF_CARD[0])))
    with pytest.raises(CardError):
        model.run(np.zeros((8, 20, 10), np.float32), "small")
    assert (model.batch(10), model.batch(20), model.batch(100)) == (4, 2, 1)


def raising(error: Exception) -> Callable[..., None]:
    def raises(*arguments: Any, **more: Any) -> None:
        raise error

    return raises


def test_a_run_whose_card_fails_ends_and_quarantines_nobody(
    job: Callable[..., JobConfig], on_a_card: list[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Batches too large for the card are halved and their windows decoded alone; then those do not fit, either."""
    plain, sizes, room = onnxruntime.InferenceSession.run, [], [3]

    def run(self: Any, names: Any, given: dict[str, NDArray[np.float32]]) -> Any:
        sizes.append(len(given["mel"]))
        if sizes[-1] > room[0]:
            raise RuntimeError(OUT_OF_CARD[0])
        return plain(self, names, given)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", run)
    config = {"vocoder__device": "cuda", "vocoder__batch": 8, "vocoder__window": 16}
    pipeline.run(job(**config))
    assert_whole(tmp_path / "audio", 24)
    assert {8, 4, 2} <= set(sizes)
    assert max(sizes[sizes.index(2) :]) == 2
    room[0] = 0
    with pytest.raises(CardError, match="run again to resume"):
        pipeline.run(job(**config, output__url=str(tmp_path / "full")))
    assert not (tmp_path / "full" / "failures.jsonl").exists()


def test_the_window_is_shorter_in_batches(small_model: Path) -> None:
    windows = [OnnxVocoder(OnnxModel(small_model, device="cuda", batch=batch)).window for batch in (None, 1, 2)]
    assert windows == [256, 512, 256]


def test_a_local_job_on_a_card_that_is_not_there_is_refused_before_any_work(job: Callable[..., JobConfig]) -> None:
    with pytest.raises(ConfigError, match="pip install 'onnxruntime-gpu"):
        prepare(job(vocoder__device="cuda"))
    elsewhere = {"cluster__kind": "dask", "cluster__address": "tcp://127.0.0.1:1"}
    assert len(prepare(job(vocoder__device="cuda", **elsewhere)).plan.todo) > 0


def test_a_card_that_is_missed_only_at_work_ends_the_run_with_what_to_do(
    job: Callable[..., JobConfig], built_for_cuda: None, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="Check that nvidia-smi lists a GPU"):
        pipeline.run(job(vocoder__device="cuda"))
    assert not (tmp_path / "audio" / "manifest.jsonl").exists()


def test_a_job_that_may_fall_back_is_done_on_the_cpu(
    job: Callable[..., JobConfig], built_for_cuda: None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline.run(job(vocoder__device="cuda-or-cpu"))
    assert_whole(tmp_path / "audio", 24)
    assert "vocoding on the CPU" in caplog.text

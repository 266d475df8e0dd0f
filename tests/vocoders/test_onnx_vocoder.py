from __future__ import annotations

import json
import multiprocessing
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from pipeline.errors import BadMelError, ConfigError, MelmillError
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.vocoders.onnx_vocoder import OnnxVocoder


@pytest.fixture
def small_mel() -> NDArray[np.float32]:
    return np.random.default_rng(5).normal(-1, 2, (20, 50)).astype(np.float32)


@pytest.fixture
def changed(small_model: Path, tmp_path: Path) -> Callable[[Callable[[onnx.ModelProto], Any]], Path]:
    """The path of the small model after a change."""

    def changed(change: Callable[[onnx.ModelProto], Any]) -> Path:
        model = onnx.load_model(small_model)
        change(model)
        path = tmp_path / "changed.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return changed


Changed = Callable[[Callable[[onnx.ModelProto], Any]], Path]


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[onnxruntime.SessionOptions]:
    """The options of every session that is made."""
    made: list[onnxruntime.SessionOptions] = []
    plain = onnxruntime.InferenceSession

    def make(path: Any, options: onnxruntime.SessionOptions, **rest: Any) -> Any:
        made.append(options)
        return plain(path, options, **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", make)
    return made


def test_a_vocoder_says_what_its_card_says(small: OnnxVocoder, small_model: Path) -> None:
    assert (small.name, small.spec.n_mels, small.spec.hop_length) == ("small", 20, 16)
    assert small.samples(10) == 166
    assert len(small.digest) == 32
    assert OnnxVocoder(OnnxModel(small_model)).digest == small.digest


def test_the_digest_follows_the_file(small: OnnxVocoder, changed: Changed) -> None:
    assert OnnxVocoder(OnnxModel(changed(lambda model: setattr(model, "doc_string", "x")))).digest != small.digest


def test_the_session_is_made_at_the_first_decode_and_kept(
    small: OnnxVocoder, small_mel: NDArray[np.float32], sessions: list[onnxruntime.SessionOptions]
) -> None:
    assert sessions == []
    small.decode(small_mel)
    small.decode(small_mel)
    assert len(sessions) == 1


def test_the_session_has_the_threads_asked_for_and_none_that_spin(
    small_model: Path, small_mel: NDArray[np.float32], sessions: list[onnxruntime.SessionOptions]
) -> None:
    OnnxVocoder(OnnxModel(small_model, threads=3)).decode(small_mel)
    (options,) = sessions
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 1)
    assert options.execution_mode == onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_threads_share_one_session_and_get_the_same_samples(
    small: OnnxVocoder, small_mel: NDArray[np.float32], sessions: list[onnxruntime.SessionOptions]
) -> None:
    found: dict[int, NDArray[np.float32]] = {}
    start = threading.Barrier(8)

    def decode(number: int) -> None:
        start.wait()
        found[number] = small.decode(small_mel[:, : 10 + number % 4 * 10])

    threads = [threading.Thread(target=decode, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sessions) == 1
    for number in range(8):
        np.testing.assert_array_equal(found[number], small.decode(small_mel[:, : 10 + number % 4 * 10]))


def test_a_pickle_holds_the_path_and_no_weights(small: OnnxVocoder, small_mel: NDArray[np.float32]) -> None:
    waveform = small.decode(small_mel)
    content = pickle.dumps(small)
    assert len(content) < 500
    again = pickle.loads(content)  # noqa: S301
    assert (again.name, again.digest) == (small.name, small.digest)
    np.testing.assert_array_equal(again.decode(small_mel), waveform)


def _decode_in_child(vocoder: OnnxVocoder, mel: NDArray[np.float32], found: Any) -> None:
    made = []
    plain = onnxruntime.InferenceSession

    def make(*rest: Any, **named: Any) -> Any:
        made.append(1)
        return plain(*rest, **named)

    onnxruntime.InferenceSession = make
    found.put((len(made), vocoder.decode(mel), len(made)))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_makes_its_own_session(small: OnnxVocoder, small_mel: NDArray[np.float32]) -> None:
    waveform = small.decode(small_mel)
    context = multiprocessing.get_context("fork")
    found = context.Queue()
    child = context.Process(target=_decode_in_child, args=(small, small_mel, found))
    child.start()
    before, theirs, after = found.get(timeout=60)
    child.join()
    assert (before, after) == (0, 1)
    np.testing.assert_array_equal(theirs, waveform)


@pytest.mark.parametrize(
    ("mel", "words"),
    [
        (np.zeros((80, 5), np.float32), r"shape \[80, 5\]; small takes \[20, frames\]"),
        (np.zeros((20, 0), np.float32), r"shape \[20, 0\]"),
        (np.zeros(20, np.float32), r"shape \[20\]"),
        (np.full((20, 5), np.nan, np.float32), "NaN"),
        (np.full((20, 5), np.inf, np.float32), "infinity"),
    ],
)
def test_a_bad_mel_is_refused(small: OnnxVocoder, mel: NDArray[np.float32], words: str) -> None:
    with pytest.raises(BadMelError, match=words):
        small.decode(mel)


def test_a_mel_in_another_memory_order_gives_the_same_samples(
    small: OnnxVocoder, small_mel: NDArray[np.float32]
) -> None:
    np.testing.assert_array_equal(small.decode(np.asfortranarray(small_mel)), small.decode(small_mel))


def _card(model: onnx.ModelProto, **changes: Any) -> None:
    plain = json.loads(model.metadata_props[0].value)
    model.metadata_props[0].value = json.dumps({**plain, **changes})


def _external(tensor: onnx.TensorProto) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def _external_constant(model: onnx.ModelProto) -> None:
    """A constant inside a branch of an If, far from the initializers."""
    value = onnx.numpy_helper.from_array(np.zeros(1, np.float32))
    _external(value)
    branch = onnx.helper.make_graph([onnx.helper.make_node("Constant", [], ["c"], value=value)], "inner", [], [])
    model.graph.node.append(onnx.helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda model: model.ClearField("metadata_props"), "no melmill metadata"),
        (lambda model: _card(model, version=2), "version 2; this melmill reads 1"),
        (lambda model: setattr(model.metadata_props[0], "value", "{"), "damaged"),
        (lambda model: setattr(model.metadata_props[0], "value", "[]"), "damaged"),
        (lambda model: _card(model, halo=[-1, 2]), "whole number"),
        (lambda model: _card(model, halo=[1]), "damaged"),
        (lambda model: _card(model, mel={}), "mel contract: missing key"),
        (lambda model: _external(model.graph.initializer[0]), "external data"),
        (_external_constant, "external data"),
        (lambda model: setattr(model.graph.input[0], "name", "x"), "it should take mel"),
        (lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", 11), "it should take mel"),
        (lambda model: setattr(model.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 80), "None, 80, None"),
        (lambda model: setattr(model.graph.input[0].type.tensor_type.shape.dim[2], "dim_value", 9), "None, 20, 9"),
        (lambda model: model.graph.input.append(model.graph.input[0]), "it should take mel"),
        (lambda model: model.graph.ClearField("output"), "it should take mel"),
    ],
)
def test_a_model_that_is_not_ours_is_refused_in_words(
    changed: Changed, change: Callable[[onnx.ModelProto], Any], words: str
) -> None:
    path = changed(change)
    with pytest.raises(ConfigError, match=f"changed.onnx: .*{words}"):
        OnnxVocoder(OnnxModel(path))


@pytest.mark.parametrize("content", [b"", b"no protobuf", b"\xff" * 40])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"bad\.onnx: this model is refused"):
        OnnxVocoder(OnnxModel(path))


def test_a_missing_model_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.onnx: this model cannot be read"):
        OnnxVocoder(OnnxModel(tmp_path / "none.onnx"))


def test_a_model_changed_after_it_was_opened_is_refused(changed: Changed, small_mel: NDArray[np.float32]) -> None:
    vocoder = OnnxVocoder(OnnxModel(changed(lambda model: None)))
    changed(lambda model: setattr(model, "doc_string", "x"))
    with pytest.raises(ConfigError, match="has changed since it was opened"):
        vocoder.decode(small_mel)


def test_a_graph_that_onnxruntime_cannot_load_is_a_config_error(
    changed: Changed, small_mel: NDArray[np.float32]
) -> None:
    vocoder = OnnxVocoder(OnnxModel(changed(lambda model: setattr(model.graph.node[3], "op_type", "NoSuchOperator"))))
    with pytest.raises(ConfigError, match="onnxruntime cannot load"):
        vocoder.decode(small_mel)


def test_a_graph_that_fails_in_onnxruntime_is_an_error_of_ours(
    changed: Changed, small_mel: NDArray[np.float32], capfd: pytest.CaptureFixture[str]
) -> None:
    def three_channels(model: onnx.ModelProto) -> None:
        flat = next(tensor for tensor in model.graph.initializer if tensor.name == "flat")
        flat.CopyFrom(onnx.numpy_helper.from_array(np.array([0, 997], np.int64), "flat"))

    vocoder = OnnxVocoder(OnnxModel(changed(three_channels)))
    with pytest.raises(MelmillError, match="onnxruntime failed on a mel of 50 frames"):
        vocoder.decode(small_mel)
    assert capfd.readouterr().err == ""


def test_a_waveform_of_another_length_is_an_error(changed: Changed, small_mel: NDArray[np.float32]) -> None:
    vocoder = OnnxVocoder(OnnxModel(changed(lambda model: _card(model, extra_samples=0))))
    with pytest.raises(MelmillError, match=r"50 frames gave a waveform of shape \(806,\), not \[800\]"):
        vocoder.decode(small_mel)

"""ONNX models of others: what is refused before it runs, and that the rest gives the samples that it gave."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from support.user_models import SPEC, appended, run_theirs, saved, user_model
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.errors import ConfigError
from pipeline.vocoders import decode_windows, load_vocoder
from pipeline.vocoders.onnx_vocoder import OnnxVocoder
from pipeline.workshop.import_onnx import import_onnx

Change = Callable[[onnx.ModelProto], Any]


@pytest.fixture
def their_mel() -> NDArray[np.float32]:
    return np.random.default_rng(5).normal(-4, 2, (20, 90)).astype(np.float32)


def imported(path: Path, **options: Any) -> OnnxVocoder:
    made = path.with_name(f"ours-{path.name}")
    made.write_bytes(import_onnx(path, SPEC, **options).model.SerializeToString())
    vocoder = load_vocoder(str(made))
    assert isinstance(vocoder, OnnxVocoder)
    return vocoder


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("frames_first", [False, True])
@pytest.mark.parametrize("batch", [1, "batch"])
def test_a_model_in_any_usual_shape_gives_the_samples_that_it_gave(
    tmp_path: Path, their_mel: NDArray[np.float32], frames_first: bool, axes: int, batch: int | str
) -> None:
    path = saved(tmp_path / "theirs.onnx", user_model(frames_first=frames_first, axes=axes, batch=batch))
    vocoder = imported(path)
    waveform = vocoder.decode(their_mel)
    np.testing.assert_array_equal(waveform, run_theirs(path, their_mel, frames_first))
    assert vocoder.spec == SPEC
    pieces = decode_windows(vocoder, lambda start, stop: their_mel[:, start:stop], 90, 20)
    np.testing.assert_allclose(np.concatenate(list(pieces)), waveform, atol=1e-6)
    both = vocoder.decode_batch(np.stack([their_mel, their_mel[:, ::-1]]))
    np.testing.assert_allclose(both, [waveform, vocoder.decode(their_mel[:, ::-1])], atol=1e-6)


def test_the_halo_and_the_length_rule_are_found_and_written_into_the_copy(tmp_path: Path) -> None:
    path = saved(tmp_path / "theirs.onnx", user_model(left=24, right=1, cut=16))
    made = import_onnx(path, SPEC)
    assert made.heard == (24, 1)
    assert made.card.halo == (24 + 3, 1 + 2)
    assert made.card.extra_samples == -16
    assert (made.card.family, made.card.least_frames, made.batched, made.embedded) == ("onnx", 1, True, 0)
    assert made.card.frame_bytes == 8 * 16 * 4  # eight tensors of 16 float32
    assert import_onnx(path, SPEC).model.SerializeToString(deterministic=True) == made.model.SerializeToString(
        deterministic=True
    )


def test_a_halo_that_is_given_is_taken_if_it_is_large_enough(tmp_path: Path) -> None:
    path = saved(tmp_path / "theirs.onnx", user_model(left=3, right=1))
    assert import_onnx(path, SPEC, halo=(3, 1)).card.halo == (3, 1)
    with pytest.raises(
        ConfigError, match=r"--halo 2,1 is too small: .* the samples of up to 3 frames after it and 1 before it"
    ):
        import_onnx(path, SPEC, halo=(2, 1))


def test_a_model_whose_names_are_ours_is_no_other(tmp_path: Path, their_mel: NDArray[np.float32]) -> None:
    model = user_model(frames_first=True, names=("waveform", "mel"))
    branch = helper.make_graph(
        [helper.make_node("Identity", ["before"], ["inner"])], "b",
        [], [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )  # fmt: skip
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    output, model.graph.node[-1].output[0] = model.graph.node[-1].output[0], "before"
    model.graph.node.append(helper.make_node("If", ["always"], [output], then_branch=branch, else_branch=branch))
    path = saved(tmp_path / "theirs.onnx", model)
    np.testing.assert_array_equal(imported(path).decode(their_mel), run_theirs(path, their_mel, frames_first=True))


def test_a_model_that_mixes_its_batch_decodes_one_mel_at_a_time(tmp_path: Path, their_mel: NDArray[np.float32]) -> None:
    model = user_model()
    model.graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), "batch_axis"))
    appended("ReduceSum", "batch_axis", keepdims=1)(model)
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "one"
    path = saved(tmp_path / "theirs.onnx", model)
    assert not import_onnx(path, SPEC).batched
    vocoder = imported(path)
    alone = vocoder.decode(their_mel)
    np.testing.assert_array_equal(vocoder.decode_batch(np.stack([their_mel] * 2)), [alone, alone])


def test_axes_of_any_size_are_asked_for(tmp_path: Path, their_mel: NDArray[np.float32]) -> None:
    model = user_model(frames_first=True)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "bands"
    path = saved(tmp_path / "theirs.onnx", model)
    with pytest.raises(ConfigError, match="pass --axis mels-first or frames-first"):
        import_onnx(path, SPEC)
    np.testing.assert_array_equal(
        imported(path, axis="frames-first").decode(their_mel), run_theirs(path, their_mel, frames_first=True)
    )
    with pytest.raises(ConfigError, match="does not decode 64 frames"):
        import_onnx(path, SPEC, axis="mels-first")


def test_a_contract_is_never_assumed_and_that_of_an_earlier_import_is_kept(tmp_path: Path) -> None:
    path = saved(tmp_path / "theirs.onnx", user_model())
    with pytest.raises(ConfigError, match=r"does not guess them: name them with --mel"):
        import_onnx(path)
    with pytest.raises(ConfigError, match=r"no melmill metadata: .* melmill vocoder import FILE --mel PRESET"):
        load_vocoder(str(path))
    again = saved(tmp_path / "again.onnx", import_onnx(path, SPEC).model)
    assert import_onnx(again).card.spec == SPEC
    other = dataclasses.replace(SPEC, floor=1e-4)
    assert import_onnx(again, other).card.spec == other


def test_a_model_of_ours_needs_no_import(small_model: Path) -> None:
    with pytest.raises(ConfigError, match=r"melmill made this model \(hifigan\)"):
        import_onnx(small_model)


def test_metadata_of_others_is_kept(tmp_path: Path) -> None:
    model = user_model()
    model.metadata_props.add(key="author", value="somebody")
    made = import_onnx(saved(tmp_path / "theirs.onnx", model), SPEC).model
    assert {entry.key for entry in made.metadata_props} == {"melmill", "author"}


def _weight(model: onnx.ModelProto) -> onnx.TensorProto:
    return model.graph.initializer[0]


def _external(location: str, **entries: object) -> Change:
    def change(model: onnx.ModelProto) -> None:
        tensor = _weight(model)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **entries}.items():
            tensor.external_data.add(key=key, value=str(value))

    return change


def test_weights_beside_the_model_are_taken_into_the_copy(tmp_path: Path, their_mel: NDArray[np.float32]) -> None:
    model = user_model()
    content = _weight(model).raw_data
    wanted = run_theirs(saved(tmp_path / "whole.onnx", model), their_mel)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_bytes(b"12345678" + content)
    _external("weights/w.bin", offset=8, length=len(content))(model)
    path = saved(tmp_path / "theirs.onnx", model)
    assert import_onnx(path, SPEC).embedded == 1
    vocoder = imported(path)
    (tmp_path / "weights" / "w.bin").unlink()
    np.testing.assert_array_equal(vocoder.decode(their_mel), wanted)


@pytest.mark.parametrize(
    ("location", "entries", "words"),
    [
        ("../secret.bin", {}, r"outside the model's folder; such files are not opened"),
        ("/etc/hostname", {}, "outside the model's folder"),
        ("inside/../../secret.bin", {}, "outside the model's folder"),
        ("link.bin", {}, "outside the model's folder"),
        ("none.bin", {}, "'none.bin', which is not there"),
        ("inside", {}, "which is not a file"),
        ("", {}, "outside the model's folder"),
        ("a\0b", {}, "which is not there"),
        ("short.bin", {}, r"of 6400 bytes should be 6400 bytes at 0 of 'short.bin', which has 10"),
        ("long.bin", {"offset": 9000}, "at 9000 of 'long.bin', which has 10000"),
        ("long.bin", {"offset": -8}, "at -8 of"),
        ("long.bin", {"offset": 1, "length": 9}, "should be 9 bytes"),
        ("long.bin", {"offset": "x"}, "is damaged"),
    ],
)
def test_weights_elsewhere_are_not_opened(
    tmp_path: Path, location: str, entries: dict[str, object], words: str
) -> None:
    folder = tmp_path / "models"
    (folder / "inside").mkdir(parents=True)
    (tmp_path / "secret.bin").write_bytes(bytes(10_000))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "short.bin").write_bytes(bytes(10))
    (folder / "long.bin").write_bytes(bytes(10_000))
    model = user_model(left=3, right=1)  # a weight of 16 * 20 * 5 float32
    _external(location, **entries)(model)
    with pytest.raises(ConfigError, match=f"theirs.onnx: this model is refused: .*{words}"):
        import_onnx(saved(folder / "theirs.onnx", model), SPEC)


def _domain(model: onnx.ModelProto) -> None:
    model.opset_import.add(domain="com.example", version=1)
    appended("Gain")(model)
    model.graph.node[-1].domain = "com.example"


def _hidden_domain(model: onnx.ModelProto) -> None:
    node = helper.make_node("Gain", ["before"], ["inner"], domain="com.example")
    branch = helper.make_graph([node], "b", [], [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)])
    appended("If")(model)
    del model.graph.node[-1].input[:]
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    model.graph.node[-1].input.append("always")
    model.graph.node[-1].attribute.extend(
        [helper.make_attribute("then_branch", branch), helper.make_attribute("else_branch", branch)]
    )


def _function(model: onnx.ModelProto) -> None:
    model.functions.append(
        helper.make_function(
            "here", "Gain", ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])], [helper.make_opsetid("", 17)]
        )
    )


def _opset(version: int) -> Change:
    return lambda model: setattr(model.opset_import[0], "version", version)


def _size(port: str, axis: int, size: int) -> Change:
    return lambda model: setattr(getattr(model.graph, port)[0].type.tensor_type.shape.dim[axis], "dim_value", size)


def _speaker(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("speaker", TensorProto.INT64, [1]))


def _two_outputs(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("loud", TensorProto.FLOAT, None))


def _dims(*dims: int) -> Change:
    def change(model: onnx.ModelProto) -> None:
        del _weight(model).dims[:]
        _weight(model).dims.extend(dims)

    return change


def _flat_input(model: onnx.ModelProto) -> None:
    del model.graph.input[0].type.tensor_type.shape.dim[0]


def _noise(model: onnx.ModelProto) -> None:
    appended("RandomNormalLike")(model)


def _over_time(model: onnx.ModelProto) -> None:
    """Subtracts the mean of the whole waveform."""
    output, model.graph.node[-1].output[0] = model.graph.node[-1].output[0], "before"
    model.graph.node.append(helper.make_node("ReduceMean", ["before"], ["mean"], axes=[1], keepdims=1))
    model.graph.node.append(helper.make_node("Sub", ["before", "mean"], [output]))


def _uneven(model: onnx.ModelProto) -> None:
    """Pads the waveform by as many samples as it has frames of 3."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([3], np.int64), "three"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([0, 0, 0], np.int64), "zeros"))
    output, model.graph.node[-1].output[0] = model.graph.node[-1].output[0], "before"
    model.graph.node.extend(
        [
            helper.make_node("Shape", ["frames"], ["count"], start=1, end=2),
            helper.make_node("Div", ["count", "three"], ["thirds"]),
            helper.make_node("Concat", ["zeros", "thirds"], ["padding"], axis=0),
            helper.make_node("Pad", ["before", "padding"], [output]),
        ]
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_domain, r"operators that are not ONNX's own: com\.example\.Gain"),
        (_hidden_domain, r"operators that are not ONNX's own: com\.example\.Gain"),
        (_function, r"its own functions \(Gain\)"),
        (_opset(6), "its opset is 6; melmill reads 7 to"),
        (_opset(999), "its opset is 999; melmill reads 7 to"),
        (lambda model: model.ClearField("opset_import"), "its opset is not stated"),
        (_noise, r"draws random numbers \(RandomNormalLike\)"),
        (_speaker, r"takes spectrogram \[batch, 20, frames\] float32, speaker \[1\] int64"),
        (
            _two_outputs,
            r"gives audio \[batch, n\] float32, loud of any shape float32; a vocoder takes one mel and",
        ),
        (lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", 10), "float16 is not float32"),
        (lambda model: setattr(model.graph.output[0].type.tensor_type, "elem_type", 5), "int16 is not float32"),
        (_size("input", 0, 4), "4 mels at a time"),
        (_size("input", 2, 512), "mels of 512 frames only"),
        (_size("input", 1, 80), "none of its axes has the 20 bands"),
        (_flat_input, "a mel has three axes"),
        (_dims(2**40, 20, 5), r"has the shape \[1099511627776, 20, 5\], too large for a file of"),
        (_dims(-16, -20, 5), r"has the shape \[-16, -20, 5\]"),
        (lambda model: setattr(model.graph.node[1], "op_type", "NoSuchOperator"), "not valid ONNX"),
        (lambda model: model.graph.ClearField("node"), "not an ONNX model, or it is damaged"),
        (_over_time, "depend on the whole mel"),
        (_uneven, "does not make a whole number of samples"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(tmp_path: Path, change: Change, words: str) -> None:
    model = user_model()
    change(model)
    with pytest.raises(ConfigError, match=f"theirs.onnx: .*{words}"):
        import_onnx(saved(tmp_path / "theirs.onnx", model), SPEC)


def test_a_waveform_whose_shape_is_not_stated_is_taken(tmp_path: Path, their_mel: NDArray[np.float32]) -> None:
    model = user_model(axes=3)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    path = saved(tmp_path / "theirs.onnx", model)
    np.testing.assert_array_equal(imported(path).decode(their_mel), run_theirs(path, their_mel))


def test_a_stereo_model_is_refused(tmp_path: Path) -> None:
    model = user_model(axes=3)
    _size("output", 1, 2)(model)
    with pytest.raises(ConfigError, match=r"\[batch, 2, n\] float32; a waveform is"):
        import_onnx(saved(tmp_path / "theirs.onnx", model), SPEC)


def test_a_contract_of_another_hop_is_refused_with_both_values(tmp_path: Path) -> None:
    path = saved(tmp_path / "theirs.onnx", user_model(hop=12))
    with pytest.raises(ConfigError, match="makes 12 samples of a frame; the mel contract has a hop of 16"):
        import_onnx(path, SPEC)


def test_a_file_larger_than_any_model_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    path.touch()
    os.truncate(path, 2**31)
    with pytest.raises(ConfigError, match=r"it has 2147483648 bytes; an ONNX model has at most 2147483647"):
        import_onnx(path, SPEC)


@pytest.mark.parametrize("content", [b"", b"no protobuf", b"\xff" * 40])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "theirs.onnx"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"theirs\.onnx: it is not an ONNX model"):
        import_onnx(path, SPEC)


# Models as exporters leave them: nodes in any order, full scales of integers.


def _shuffled(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes[i] for i in np.random.default_rng(seed).permutation(len(nodes)))
    return model


@pytest.mark.parametrize("seed", range(4))
def test_nodes_in_any_order_are_sorted(seed: int, tmp_path: Path, their_mel: NDArray[np.float32]) -> None:
    plain = saved(tmp_path / "plain.onnx", user_model(frames_first=True, cut=16))
    mixed = saved(tmp_path / "mixed.onnx", _shuffled(user_model(frames_first=True, cut=16), seed))
    expected = imported(plain)
    np.testing.assert_array_equal(imported(mixed).decode(their_mel), expected.decode(their_mel))
    ours, theirs = import_onnx(mixed, SPEC).model, import_onnx(plain, SPEC).model
    assert list(ours.graph.node) == list(theirs.graph.node)


def _with_branch(model: onnx.ModelProto) -> None:
    """An If as the last node, whose inner nodes are out of order, and take a value from outside that is no input."""
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    output, model.graph.node[-1].output[0] = model.graph.node[-1].output[0], "before"
    branch = helper.make_graph(
        [helper.make_node("Neg", ["turned"], ["inner"]), helper.make_node("Neg", ["before"], ["turned"])], "b",
        [], [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
    )  # fmt: skip
    model.graph.node.append(helper.make_node("If", ["always"], [output], then_branch=branch, else_branch=branch))


def test_inner_graphs_are_sorted_and_what_they_take_comes_first(tmp_path: Path, their_mel: NDArray[np.float32]) -> None:
    wanted = run_theirs(saved(tmp_path / "plain.onnx", user_model()), their_mel)
    model = user_model()
    _with_branch(model)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in reversed(model.graph.node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    np.testing.assert_array_equal(imported(saved(tmp_path / "theirs.onnx", model)).decode(their_mel), wanted)


def test_nodes_in_a_circle_are_refused(tmp_path: Path) -> None:
    model = user_model()
    model.graph.node[0].input[0] = model.graph.node[1].output[0]
    with pytest.raises(ConfigError, match=r"refused: 4 of its nodes need each other's values.*Conv \(y\)"):
        import_onnx(saved(tmp_path / "theirs.onnx", model), SPEC)


def _times(factor: float, **options: Any) -> onnx.ModelProto:
    model = user_model(**options)
    model.graph.initializer.append(numpy_helper.from_array(np.float32(factor), "factor"))
    appended("Mul", "factor")(model)
    return model


@pytest.mark.parametrize(
    ("factor", "needed"), [(32768, "1/32768"), (32767, "1/32768"), (127, "1/128"), (2**31, "1/2147483648")]
)
def test_samples_far_beyond_full_scale_are_refused_with_the_scale_they_need(
    factor: float, needed: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=rf"dB over full scale.*It seems to need --scale {needed}, .*integers"):
        import_onnx(saved(tmp_path / "theirs.onnx", _times(factor)), SPEC)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_scale_is_part_of_the_model(axes: int, tmp_path: Path, their_mel: NDArray[np.float32]) -> None:
    wanted = run_theirs(saved(tmp_path / "plain.onnx", user_model(axes=axes)), their_mel)
    loud = saved(tmp_path / "loud.onnx", _times(32768, axes=axes))
    vocoder = imported(loud, scale=1 / 32768)
    np.testing.assert_array_equal(vocoder.decode(their_mel), wanted)  # a power of two changes no bit
    model = import_onnx(loud, SPEC, scale=1 / 32768).model
    assert import_onnx(loud, SPEC, scale=1 / 65536).model.SerializeToString() != model.SerializeToString()
    again = saved(tmp_path / "again.onnx", model)
    np.testing.assert_array_equal(imported(again).decode(their_mel), wanted)


def test_a_scale_that_is_not_enough_is_refused_with_the_one_that_is(tmp_path: Path) -> None:
    loud = saved(tmp_path / "loud.onnx", _times(32768))
    with pytest.raises(ConfigError, match=r"need --scale 1/32768, .* \(this was with --scale 0\.01\)"):
        import_onnx(loud, SPEC, scale=0.01)


def test_no_scale_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    nodes = import_onnx(saved(tmp_path / "theirs.onnx", user_model()), SPEC).model.graph.node
    assert [node.op_type for node in nodes][-1] == "Reshape"


@pytest.mark.parametrize("given", ["0", "-1", "x", "1/0", "nan", "1/"])
def test_a_scale_that_is_no_factor_is_an_error(given: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "theirs.onnx", user_model())
    done = CliRunner().invoke(app, ["vocoder", "import", str(path), "-o", str(tmp_path / "o.onnx"), "--scale", given])
    assert isinstance(done.exception, ConfigError) or done.exit_code == 2
    assert not (tmp_path / "o.onnx").exists()


def test_the_command_takes_a_fraction(tmp_path: Path) -> None:
    (tmp_path / "mel.yaml").write_text(json.dumps(SPEC.to_dict()))
    path, out = saved(tmp_path / "theirs.onnx", _times(32768)), tmp_path / "o.onnx"
    arguments = ["vocoder", "import", str(path), "-o", str(out), "--mel", str(tmp_path / "mel.yaml")]
    done = CliRunner().invoke(app, [*arguments, "--scale", "1/32768"])
    assert done.exit_code == 0, done.output
    assert "scale      samples are multiplied by 1/32768" in done.output
    assert out.is_file()

"""What is read of a file without `onnx` is what `onnx` reads of it; damage is an error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from support.families import CONFIGS, random_model

from pipeline.vocoders.onnx_file import OnnxFile, OnnxPort, read_onnx_file
from pipeline.vocoders.registry import LIFTS


def slow(content: bytes) -> OnnxFile:
    """The same through the library."""
    model = onnx.load_model_from_string(content)
    weights = {tensor.name for tensor in model.graph.initializer}
    return OnnxFile(
        metadata=tuple((entry.key, entry.value) for entry in model.metadata_props),
        inputs=tuple(port(value) for value in model.graph.input if value.name not in weights),
        outputs=tuple(port(value) for value in model.graph.output),
        external=any(tensor.data_location == TensorProto.EXTERNAL for tensor in tensors(model)),
    )


def port(value: onnx.ValueInfoProto) -> OnnxPort:
    tensor = value.type.tensor_type
    sizes = tuple(size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim)
    return value.name, tensor.elem_type, sizes


def tensors(message: object) -> Iterator[TensorProto]:
    """Every tensor in a message, in any depth."""
    if isinstance(message, TensorProto):
        yield message
    for field, value in message.ListFields():  # type: ignore[attr-defined]
        if field.message_type is not None:
            for each in value if hasattr(value, "add") else [value]:
                yield from tensors(each)


@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_of_models_is_read_as_onnx_reads_it(family: str, tmp_path: Path) -> None:
    content = random_model(family, tmp_path / "model.onnx").read_bytes()
    assert read_onnx_file(content) == slow(content)


@pytest.mark.parametrize("path", sorted({path for path, _ in LIFTS.values()}), ids=lambda path: path.stem)
def test_the_shipped_weights_are_read_as_onnx_reads_them(path: Path) -> None:
    assert read_onnx_file(path.read_bytes()) == slow(path.read_bytes())


def usual() -> onnx.ModelProto:
    """A model with weights among its inputs, as of old, axes of every kind, and metadata that is not ours."""
    weight = numpy_helper.from_array(np.zeros((2, 3), np.float32), "w")
    ports = [
        helper.make_tensor_value_info("mel", TensorProto.FLOAT16, [1, -1, "frames", None]),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, [2, 3]),
        helper.make_tensor_value_info("scalar", TensorProto.INT64, []),
        helper.make_tensor_sequence_value_info("listed", TensorProto.FLOAT, ["a"]),
        helper.make_tensor_value_info("of any shape", TensorProto.DOUBLE, None),
    ]
    graph = helper.make_graph([helper.make_node("Identity", ["mel"], ["out"])], "g", ports, ports[:1], [weight])
    model = helper.make_model(graph)
    helper.set_model_props(model, {"melmill": "{}", "thème": "été"})
    return model


def external(model: onnx.ModelProto, where: str) -> None:
    """Puts a tensor that lies in another file into the model."""
    tensor = numpy_helper.from_array(np.zeros(1, np.float32), "elsewhere")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    inner = helper.make_graph([], "inner", [], [], [tensor])
    sparse = onnx.SparseTensorProto(values=tensor)
    attributes = {
        "t": {"value": tensor}, "tensors": {"value": [tensor]}, "g": {"value": inner}, "graphs": {"value": [inner]},
        "sparse": {"value": sparse}, "sparses": {"value": [sparse]},
    }  # fmt: skip
    if where == "initializer":
        model.graph.initializer.append(tensor)
    elif where == "sparse initializer":
        model.graph.sparse_initializer.append(sparse)
    elif where == "function":
        node = helper.make_node("Constant", [], ["c"], value=tensor)
        model.functions.append(helper.make_function("d", "f", [], ["c"], [node], model.opset_import))
    else:
        model.graph.node.append(helper.make_node("Constant", [], ["c"], **attributes[where]))


PLACES = ["initializer", "sparse initializer", "function", "t", "tensors", "g", "graphs", "sparse", "sparses"]


@pytest.mark.parametrize("where", ["", *PLACES])
def test_ports_metadata_and_external_tensors_are_those_that_onnx_reads(where: str) -> None:
    model = usual()
    if where:
        external(model, where)
    content = model.SerializeToString()
    found = read_onnx_file(content)
    assert found == slow(content)
    assert found.external == bool(where)


def test_parts_of_a_graph_that_stand_apart_are_one_graph() -> None:
    """As protobuf merges them; a tensor in the second part is not overlooked."""
    first, second = usual(), onnx.ModelProto()
    external(second, "initializer")
    second.graph.output.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    content = first.SerializeToString() + second.SerializeToString()
    assert read_onnx_file(content) == slow(content)
    assert read_onnx_file(content).external
    assert [name for name, _, _ in read_onnx_file(content).outputs] == ["mel", "more"]


@given(st.data())
def test_damage_is_a_value_error_or_changes_what_is_read_as_it_does_for_onnx(data: st.DataObject) -> None:
    content = bytearray(usual().SerializeToString())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] = data.draw(st.integers(0, 255))
    damaged = bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        expected = slow(damaged)
    except Exception:  # what onnx refuses may lie in a part that is passed over here
        try:
            read_onnx_file(damaged)
        except ValueError:
            return
    else:
        try:
            assert read_onnx_file(damaged) == expected
        except ValueError:  # as for a field of a group, which protobuf passes over
            return


@pytest.mark.parametrize("content", [b"no protobuf", b"\xff" * 40, b"\x3a\x05abc", b"\x03", b"\x02\x00"])
def test_what_is_no_message_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"field|number"):
        read_onnx_file(content)

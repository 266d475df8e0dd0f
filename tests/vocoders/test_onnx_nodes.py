"""Nodes and constants that are read of a file without `onnx` are those that `onnx` reads; damage is an error."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from support.families import CONFIGS, random_model
from support.native import native_model
from support.small_lift import small_lift

from pipeline.vocoders.onnx_nodes import OnnxNode, OnnxNodes, read_onnx_nodes


def assert_same(found: OnnxNodes, model: onnx.ModelProto) -> None:
    """What was read is what the library reads."""
    assert found.opset == model.opset_import[0].version
    assert len(found.nodes) == len(model.graph.node)
    for ours, node in zip(found.nodes, model.graph.node, strict=True):
        attributes = {each.name: value(each) for each in node.attribute}
        assert ours == OnnxNode(node.op_type, tuple(node.input), tuple(node.output), attributes)
    assert list(found.tensors) == [tensor.name for tensor in model.graph.initializer]
    for tensor in model.graph.initializer:
        wanted, constant = numpy_helper.to_array(tensor), found.tensors[tensor.name]
        assert constant.shape == wanted.shape
        if wanted.dtype == np.int64:
            assert constant.integers() == tuple(wanted.reshape(-1).tolist())
            with pytest.raises(ValueError, match="not float32"):
                constant.floats()
        elif wanted.dtype == np.float16:
            np.testing.assert_array_equal(constant.halves(), wanted)
        else:
            np.testing.assert_array_equal(constant.floats(), wanted)
            with pytest.raises(ValueError, match="not float16"):
                constant.halves()
            with pytest.raises(ValueError, match="not int64"):
                constant.integers()


def value(attribute: onnx.AttributeProto) -> Any:
    given = helper.get_attribute_value(attribute)
    if isinstance(given, bytes):
        return given.decode()
    return tuple(given) if attribute.type == onnx.AttributeProto.INTS else given


@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_of_models_is_read_as_onnx_reads_it(family: str, tmp_path: Path) -> None:
    path = random_model(family, tmp_path / "model.onnx")
    assert_same(read_onnx_nodes(path.read_bytes()), onnx.load_model(path))


def test_lift_is_read_as_onnx_reads_it() -> None:
    model = small_lift()
    assert_same(read_onnx_nodes(model.SerializeToString()), model)


@given(
    st.dictionaries(
        st.text("abc", min_size=1),
        st.one_of(
            st.integers(-(2**63), 2**63 - 1), st.floats(width=32, allow_nan=False), st.text(),
            st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1),
        ),
    ),
    st.lists(st.text(), max_size=3),
)  # fmt: skip
def test_attributes_of_every_value_are_read(attributes: dict[str, Any], inputs: list[str]) -> None:
    node = helper.make_node("Some", inputs, ["y"], **attributes)
    graph = helper.make_graph([node], "g", [], [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    assert_same(read_onnx_nodes(model.SerializeToString()), model)


def _foreign_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.microsoft"


def _two_opsets(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def _function(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("own", "F", [], [], [], [helper.make_opsetid("", 17)]))


def _sparse(model: onnx.ModelProto) -> None:
    values, indices = (numpy_helper.from_array(np.zeros(1, kind), "s") for kind in (np.float32, np.int64))
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [3]))


def _twice(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(model.graph.initializer[0])


def _float_data(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("plain", TensorProto.FLOAT, [2], [1.0, 2.0]))


def _double(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(2, np.float64), "double"))


def _short(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.raw_data = tensor.raw_data[:-4]


def _external(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def _tensor_attribute(model: onnx.ModelProto) -> None:
    value = numpy_helper.from_array(np.zeros(1, np.float32))
    model.graph.node[0].attribute.append(helper.make_attribute("value", value))


def _floats_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("scales", [1.0, 2.0]))


def _referring_attribute(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.add(name="alpha", type=1, ref_attr_name="slope")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_foreign_operator, "an operator of com.microsoft"),
        (_two_opsets, "the operators are those of"),
        (lambda model: model.ClearField("opset_import"), "the operators are those of"),
        (_function, "functions of its own"),
        (_sparse, "sparse constants"),
        (_twice, "two constants are named"),
        (_float_data, "plain is not raw float32, float16 or int64"),
        (_double, "double is not raw float32, float16 or int64"),
        (_short, "has .* bytes"),
        (_external, "has .* bytes"),
        (_tensor_attribute, "value is of an unknown kind"),
        (_floats_attribute, "scales is of an unknown kind"),
        (_referring_attribute, "alpha is of an unknown kind"),
    ],
)
def test_what_cannot_be_expressed_is_an_error(change: Callable[[onnx.ModelProto], Any], words: str) -> None:
    model, _ = native_model("speecht5-hifigan")
    change(model)
    with pytest.raises(ValueError, match=words):
        read_onnx_nodes(model.SerializeToString())


@given(st.integers(0, 3000), st.integers(0, 255))
def test_damage_is_an_error_or_changes_what_is_read_and_nothing_worse(position: int, byte: int) -> None:
    content = bytearray(native_model("speecht5-hifigan")[0].SerializeToString())
    content[position] = byte
    with contextlib.suppress(ValueError):
        read_onnx_nodes(bytes(content))

"""The generator that is read from a model's nodes is the one that was built; a model of another kind is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from support.families import random_model
from support.hifigans import CONFIGS, random_state
from support.native import BANDS, MODELS, native_model

from pipeline.checkpoints.hifigan import build_hifigan
from pipeline.kernels.hifigan.inverse_transform import InverseTransform
from pipeline.kernels.hifigan.shape import HifiganShape
from pipeline.vocoders.generator_in_onnx import read_generator
from pipeline.vocoders.node_chain import UnknownGraphError

_UNITS = ((1, 3, 5), (1, 2, 4))
_DILATIONS = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
SHAPES = {
    "hifigan": HifiganShape(
        BANDS, 32, (4, 2, 2), (8, 4, 4), (3, 7, 11), _DILATIONS, True, cuts=((2, 2), (1, 1), (1, 1))
    ),
    "hifigan, ResBlock2": HifiganShape(
        BANDS, 32, (4, 2, 2), (8, 4, 4), (3, 7, 11), ((1, 2), (2, 6), (3, 12)), False, cuts=((2, 2), (1, 1), (1, 1))
    ),
    "hifigan, odd kernels and channels": HifiganShape(
        BANDS, 44, (4, 2, 2), (9, 5, 4), (3, 7, 11), _DILATIONS, True, cuts=((2, 2), (1, 1), (1, 1))
    ),
    "pwg-hifigan": HifiganShape(
        BANDS, 32, (5, 3), (10, 6), (3, 7), ((1, 3), (1, 2)), True, cuts=((3, 2), (2, 1)), edge=5, slope=0.2
    ),
    "pwg-hifigan without biases": HifiganShape(
        BANDS, 32, (5, 3), (10, 6), (3, 7), ((1, 3), (1, 2)), False, cuts=((3, 2), (2, 1)), edge=5, slope=0.2
    ),
    "speecht5-hifigan": HifiganShape(
        BANDS, 32, (4, 4), (8, 8), (3, 5), ((1, 2), (1, 3)), True, cuts=((2, 2), (2, 2)), normalized=True, slope=0.15
    ),
    "speecht5-hifigan as it is": HifiganShape(
        BANDS, 32, (4, 4), (8, 8), (3, 5), ((1, 2), (1, 3)), True, cuts=((2, 2), (2, 2)), slope=0.15
    ),
    "speechbrain-hifigan": HifiganShape(
        BANDS, 32, (4, 2, 2), (8, 4, 4), (3, 5), ((1, 2), (2, 3)), True, cuts=((2, 2), (1, 1), (1, 1)), mirrored=True
    ),
    "bigvgan": HifiganShape(
        BANDS, 32, (4, 2, 2), (8, 4, 4), (3, 5), _UNITS, True, cuts=((2, 2), (1, 1), (1, 1)), snakes="log"
    ),
    "bigvgan v2, linear, odd kernels and channels": HifiganShape(
        BANDS,
        44,
        (4, 2, 2),
        (9, 5, 4),
        (3, 5),
        _UNITS,
        True,
        cuts=((2, 2), (1, 1), (1, 1)),
        snakes="linear",
        clipped=True,
    ),
    "bigvgan, block 2": HifiganShape(
        BANDS, 32, (4, 2, 2), (8, 4, 4), (3, 5), ((1, 2), (3, 5)), False, cuts=((2, 2), (1, 1), (1, 1)), snakes="log"
    ),
    "istftnet": HifiganShape(
        BANDS, 32, (2, 2), (4, 4), (3, 11), _UNITS, True, cuts=((1, 1), (1, 1)), transform=InverseTransform(16, 4)
    ),
    "istftnet, block 2, no ends": HifiganShape(
        BANDS,
        44,
        (2, 2),
        (4, 4),
        (3, 11),
        ((1, 2), (3, 5)),
        False,
        cuts=((1, 1), (1, 1)),
        transform=InverseTransform(8, 4),
    ),
    "speechbrain-hifigan, ResBlock2": HifiganShape(
        BANDS, 32, (4, 2, 2), (8, 4, 4), (3, 5), ((1, 2), (2, 3)), False, cuts=((2, 2), (1, 1), (1, 1)), mirrored=True
    ),
}


def content(model: onnx.ModelProto) -> bytes:
    plain: bytes = model.SerializeToString(deterministic=True)
    return plain


@pytest.mark.parametrize("name", MODELS)
def test_the_shape_is_the_configs_whatever_a_project_calls_its_layers(name: str) -> None:
    found = read_generator(content(native_model(name)[0]))
    assert found.shape == SHAPES[name]


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_is_there_once_under_the_name_that_the_kernels_know(name: str) -> None:
    model, state = native_model(name)
    found = read_generator(content(model))
    shapes = found.shape.weight_shapes()
    assert {each.removesuffix(".weight") for each in found.weights if each.endswith(".weight")} == shapes.keys()
    # Builders ask for the weights in the order of the layers; kernels name them in the same order.
    asked = [each for key, each in state.items() if key.endswith("weight")]
    for key, wanted in zip(shapes, asked, strict=True):
        np.testing.assert_array_equal(found.weights[f"{key}.weight"], wanted)
    biases = [each for key, each in state.items() if key.endswith("bias")]
    assert [name for name in found.weights if name.endswith(".bias")] == [f"{key}.bias" for key in shapes]
    missing = [np.float32(0)] * (len(shapes) - len(biases))  # all of them, or the last one
    for key, wanted in zip(shapes, [*biases, *missing], strict=True):
        bias = found.weights[f"{key}.bias"]
        np.testing.assert_array_equal(bias, np.broadcast_to(wanted, bias.shape))
    assert ("mean" in found.weights) == ("scale" in found.weights) == found.shape.normalized
    if found.shape.normalized:
        np.testing.assert_array_equal(found.weights["mean"], state["mean"])
        np.testing.assert_array_equal(found.weights["scale"], state["scale"])


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith("bigvgan")])
def test_every_snake_is_there_under_the_name_of_the_layer_that_it_is_before(name: str) -> None:
    model, state = native_model(name)
    found = read_generator(content(model))
    shapes = found.shape.snake_shapes()
    assert {each for each in found.weights if each.rpartition(".")[2] not in ("weight", "bias")} == shapes.keys()
    layers = [each.removesuffix(".alpha") for each in shapes if each.endswith(".alpha")]
    # Builders ask for the snakes in the order of the layers.
    for part, last, factor in (
        ("alpha", "act.alpha", 1), ("up", "upsample.filter", 2), ("down", "downsample.lowpass.filter", 1)
    ):  # fmt: skip
        asked = [values.reshape(-1) for key, values in state.items() if key.endswith(last)]
        for layer, wanted in zip(layers, asked, strict=True):
            np.testing.assert_array_equal(found.weights[f"{layer}.{part}"], np.float32(factor) * wanted)
    divisors = [values for key, values in state.items() if key.endswith("act.beta")]
    for number, layer in enumerate(layers):
        wanted = divisors[number] if divisors else found.weights[f"{layer}.alpha"]
        np.testing.assert_array_equal(found.weights[f"{layer}.beta"], wanted)


@pytest.mark.parametrize("name", ["hifigan", "bigvgan", "istftnet"])
def test_a_mean_may_be_one_node_as_in_the_first_models(name: str) -> None:
    model, _ = native_model(name)
    plain = read_generator(content(model))
    nodes = model.graph.node
    made = {node.output[0]: node for node in nodes}
    for node in [node for node in nodes if node.op_type == "Div"]:
        ends, total = list[str](), made[node.input[0]]
        while len(ends) < len(plain.shape.kernels) - 2:
            ends.insert(0, total.input[1])
            nodes.remove(total)
            total = made[total.input[0]]
        nodes.remove(total)
        node.op_type, node.input[:] = "Mean", [*total.input, *ends]
    found = read_generator(content(model))
    assert found.shape == plain.shape
    assert found.weights.keys() == plain.weights.keys()


@pytest.mark.parametrize("size", CONFIGS)
def test_the_published_sizes_are_known(size: str) -> None:
    config = CONFIGS[size]
    shape = read_generator(content(build_hifigan(random_state(config), config, "0" * 64))).shape
    assert (shape.rates, shape.kernels, shape.dilations) == (
        config.upsample_rates, config.resblock_kernel_sizes, config.resblock_dilation_sizes,
    )  # fmt: skip
    assert (shape.channels, shape.pairs) == (config.upsample_initial_channel, config.resblock == "1")


def test_another_family_is_not_taken_for_hifigan(tmp_path: Path) -> None:
    with pytest.raises(UnknownGraphError):
        read_generator(random_model("vocos", tmp_path / "model.onnx").read_bytes())


def _changes(model: onnx.ModelProto) -> Iterator[tuple[str, onnx.ModelProto]]:
    """The model with one thing changed, at every node."""

    def copy() -> onnx.ModelProto:
        other = onnx.ModelProto()
        other.CopyFrom(model)
        return other

    for number, node in enumerate(model.graph.node):
        where = f"{node.op_type} {number}"
        other = copy()
        other.graph.node[number].op_type = "Sigmoid" if node.op_type == "Tanh" else "Tanh"
        yield f"{where}: another operator", other
        other = copy()
        del other.graph.node[number]
        yield f"{where}: missing", other
        other = copy()
        other.graph.node.insert(number, helper.make_node("Identity", ["mel"], ["more"]))
        yield f"{where}: a node before it", other
        other = copy()
        other.graph.node[number].output.append("more")
        yield f"{where}: another output", other
        for each in range(len(node.input)):
            other = copy()
            other.graph.node[number].input[each] = "mel" if node.input[each] != "mel" else "waveform"
            yield f"{where}: input {each}", other
        for each, attribute in enumerate(node.attribute):
            other = copy()
            del other.graph.node[number].attribute[each]
            yield f"{where}: no {attribute.name}", other
            for change in _other_values(attribute):
                other = copy()
                other.graph.node[number].attribute[each].CopyFrom(change)
                yield f"{where}: {attribute.name} {helper.get_attribute_value(change)}", other
        other = copy()
        other.graph.node[number].attribute.append(helper.make_attribute("auto_pad", "SAME_LOWER"))
        yield f"{where}: auto_pad", other


def _other_values(attribute: onnx.AttributeProto) -> Iterator[onnx.AttributeProto]:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        yield helper.make_attribute(attribute.name, "edge" if value != b"edge" else "reflect")
    elif isinstance(value, int):
        yield helper.make_attribute(attribute.name, value + 1)
    elif isinstance(value, float):
        yield helper.make_attribute(attribute.name, value / 2)
    else:
        for number in range(len(value)):
            yield helper.make_attribute(attribute.name, [each + (at == number) for at, each in enumerate(value)])


_MEANT = ("LeakyRelu", "ConvTranspose")
"""Nodes with numbers that make another generator: the last slope, rates, what is cut off."""


_FEW_LAYERS: dict[str, Any] = {
    "resblock": "2", "upsample_rates": [4], "upsample_kernel_sizes": [8], "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 2]],
}  # fmt: skip
_FEW_SNAKES: dict[str, Any] = _FEW_LAYERS | {
    "upsample_rates": [16], "upsample_kernel_sizes": [16], "resblock_dilation_sizes": [[1]], "activation": "snakebeta",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("speecht5-hifigan", {}),
        ("pwg-hifigan", {}),
        ("speechbrain-hifigan", {}),
        ("bigvgan, block 2", _FEW_SNAKES),
        ("istftnet", _FEW_LAYERS),
    ],
)
def test_a_model_in_which_anything_is_different_is_refused_or_read_as_it_is(name: str, changes: dict[str, Any]) -> None:
    model, _ = native_model(name, **changes)
    plain = read_generator(content(model)).shape
    refused = 0
    for words, other in _changes(model):
        try:
            shape = read_generator(content(other)).shape
        except UnknownGraphError:
            refused += 1
            continue
        assert shape != plain, words
        assert words.startswith(_MEANT), words
        assert shape.last_slope != plain.last_slope or shape.cuts != plain.cuts or shape.rates != plain.rates, words
    assert refused > 250


@pytest.mark.parametrize(
    ("name", "changes"), [("speechbrain-hifigan", {}), ("bigvgan, block 2", _FEW_SNAKES), ("istftnet", {})]
)
def test_constants_that_are_not_what_the_chain_needs_are_refused(name: str, changes: dict[str, Any]) -> None:
    model, _ = native_model(name, **changes)
    for tensor in model.graph.initializer:
        if tensor.name.endswith(("weight", "bias", ".alpha", ".beta", ".first", ".last")):
            continue
        other = onnx.ModelProto()
        other.CopyFrom(model)
        (found,) = [each for each in other.graph.initializer if each.name == tensor.name]
        found.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + 1, tensor.name))
        with pytest.raises(UnknownGraphError):
            read_generator(content(other))


@pytest.mark.parametrize(
    ("channels", "column", "words"), [(3, 2, "several filters"), (slice(None), 6, "more than 12 taps")]
)
def test_a_snake_with_several_filters_or_more_taps_is_refused(channels: Any, column: int, words: str) -> None:
    model, _ = native_model("bigvgan, block 2", **_FEW_SNAKES)
    snakes = [each for each in model.graph.initializer if each.name.endswith((".up", ".down"))]
    for tensor in snakes:
        plain = numpy_helper.to_array(tensor)
        values = plain.copy()
        values[channels, 0, 1, column] += 0.1
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        with pytest.raises(UnknownGraphError, match=words):
            read_generator(content(model))
        tensor.CopyFrom(numpy_helper.from_array(plain, tensor.name))
    assert len(snakes) == 4


def test_weights_of_another_shape_or_that_are_not_there_are_refused() -> None:
    model, _ = native_model("hifigan")
    for number, tensor in enumerate(model.graph.initializer):
        if not tensor.name.endswith(("weight", "bias")):
            continue
        for shape in ([*tensor.dims, 1], [tensor.dims[0] + 1, *tensor.dims[1:]]):
            other = onnx.ModelProto()
            other.CopyFrom(model)
            values = np.zeros(shape, np.float32)
            other.graph.initializer[number].CopyFrom(numpy_helper.from_array(values, tensor.name))
            with pytest.raises(UnknownGraphError):
                read_generator(content(other))
        other = onnx.ModelProto()
        other.CopyFrom(model)
        del other.graph.initializer[number]
        with pytest.raises(UnknownGraphError):
            read_generator(content(other))


@pytest.mark.parametrize("version", [13, 18])
def test_operators_of_another_version_may_have_another_meaning(version: int) -> None:
    model, _ = native_model("hifigan")
    model.opset_import[0].version = version
    with pytest.raises(UnknownGraphError, match=f"its operators are of version {version}, not 17"):
        read_generator(content(model))

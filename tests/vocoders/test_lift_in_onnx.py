"""lift's net as it is read from a model's nodes and compiled, compared with onnxruntime; other models are refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from support.families import random_model
from support.kernels import TARGETS
from support.small_lift import BANDS, CONTRACTS, small_lift, write_small_lift

from pipeline.errors import ConfigError
from pipeline.vocoders.lift_in_onnx import read_lift
from pipeline.vocoders.lift_net import LevelNet
from pipeline.vocoders.node_chain import UnknownGraphError
from pipeline.vocoders.onnx_model import OnnxModel
from pipeline.vocoders.onnx_nodes import OnnxNode, OnnxNodes, read_onnx_nodes
from pipeline.vocoders.registry import LIFTS


def mel_of(bands: int, frames: int) -> NDArray[np.float32]:
    """Values as those of speech, and some that no audio has."""
    rng = np.random.default_rng(frames)
    return (rng.normal(-4, 3, (bands, frames)) + rng.normal(0, 2, frames)).astype(np.float32)


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("frames", [1, 200])
def test_levels_of_every_contract_are_those_of_onnxruntime(contract: str, frames: int, tmp_path: Path) -> None:
    model = OnnxModel(write_small_lift(tmp_path / "net.onnx", contract))
    mel = mel_of(BANDS, frames)
    wanted = model.run(mel[None], "net")
    found = LevelNet(model).levels(mel)
    assert found.shape == wanted.shape == (frames, 513 + BANDS)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    assert len({LevelNet(model, target).levels(mel).tobytes() for target in TARGETS}) == 1


@pytest.mark.parametrize("name", ["lift", "lift-speecht5-16k"])
def test_levels_of_the_weights_that_are_shipped_are_those_of_onnxruntime(name: str) -> None:
    model = OnnxModel(LIFTS[name][0])
    mel = mel_of(80, 150)
    wanted = model.run(mel[None], name)
    found = LevelNet(model).levels(mel)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=5e-6 * np.abs(wanted).max())
    shape = read_lift(model.content()).shape
    assert (shape.context, shape.context) == model.card.halo


def _changes(graph: OnnxNodes) -> Iterator[tuple[str, OnnxNodes]]:
    """The graph with one thing changed, at every node."""
    nodes = graph.nodes
    for number, node in enumerate(nodes):
        others: dict[str, tuple[OnnxNode, ...]] = {
            "another operator": (replace(node, operator="Tanh"),),
            "missing": (),
            "a node before it": (OnnxNode("Abs", ("mel",), ("z",), {}), node),
            "another output": (replace(node, outputs=(*node.outputs, "more")),),
        }
        for i in range(len(node.inputs)):
            others[f"input {i}"] = (replace(node, inputs=(*node.inputs[:i], "nothing", *node.inputs[i + 1 :])),)
        for name in node.attributes:
            without = {key: value for key, value in node.attributes.items() if key != name}
            others[f"without {name}"] = (replace(node, attributes=without),)
            others[f"another {name}"] = (replace(node, attributes={**node.attributes, name: 17}),)
        for what, instead in others.items():
            yield (
                f"{node.operator} {number}: {what}",
                replace(graph, nodes=(*nodes[:number], *instead, *nodes[number + 1 :])),
            )
    yield "other operators", replace(graph, opset=19)


def test_a_model_with_any_node_changed_is_not_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = read_onnx_nodes(small_lift("normalized as a whole, floor added").SerializeToString())
    changed = graph
    monkeypatch.setattr("pipeline.vocoders.lift_in_onnx.read_onnx_nodes", lambda content: changed)
    assert read_lift(b"").shape.blocks == 4
    for where, changed in _changes(graph):  # noqa: B007 - the function above reads it
        try:
            read_lift(b"")
        except UnknownGraphError:
            continue
        pytest.fail(f"{where}: the model is taken")


def _constant(model: onnx.ModelProto, node: str, which: int, values: NDArray[Any]) -> onnx.ModelProto:
    """The model with another constant as an input of the first node of that operator."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    name = next(each.input[which] for each in other.graph.node if each.op_type == node)
    tensor = next(each for each in other.graph.initializer if each.name == name)
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    return other


@pytest.mark.parametrize(
    ("node", "which", "values", "words"),
    [
        ("Slice", 1, np.array([1]), r"it takes frames \[1, -6, 0\] \(first, last, axis\), not \[0, -6, 0\]"),
        ("Pad", 1, np.array([3, 0, 2, 0]), r"its frames are padded by \(3, 0, 2, 0\)"),
        ("Squeeze", 1, np.array([1]), r"is \(1,\), not \(0,\)"),
        ("LayerNormalization", 1, np.ones(31, np.float32), "its layers do not fit together"),
        ("Cast", 0, np.ones((140, 32), np.float32), "a constant is not float16"),
        ("Max", 1, np.ones((20, 1), np.float32), "is not a constant of 1 axes"),
    ],
)
def test_constants_that_mean_another_thing_are_not_understood(
    node: str, which: int, values: NDArray[Any], words: str
) -> None:
    with pytest.raises(UnknownGraphError, match=words):
        read_lift(_constant(small_lift(), node, which, values).SerializeToString())


def test_other_families_are_not_taken_for_lift(tmp_path: Path) -> None:
    with pytest.raises(UnknownGraphError):
        read_lift(random_model("vocos", tmp_path / "model.onnx").read_bytes())


def test_a_model_that_is_not_understood_is_refused_with_its_path(tmp_path: Path) -> None:
    changed = onnx.load_model(write_small_lift(tmp_path / "net.onnx"))
    next(each for each in changed.graph.node if each.op_type == "Gelu").op_type = "Tanh"
    onnx.save_model(changed, tmp_path / "other.onnx")
    with pytest.raises(ConfigError, match=r"other\.onnx: this is not the net of a lift that melmill trained: node \d+"):
        LevelNet(OnnxModel(tmp_path / "other.onnx"))

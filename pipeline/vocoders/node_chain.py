"""The nodes of a model, followed one by one: each must be the one that is expected, or the model is not understood."""

from __future__ import annotations

from pipeline.vocoders.onnx_nodes import OnnxAttribute, OnnxNode, OnnxNodes, OnnxTensor


class UnknownGraphError(ValueError):
    """The model is not of the kind that was expected; says where it differs."""


class NodeChain:
    """The nodes of a model, taken one after the other.

    Args:
        graph: the model.
        opset: the version of the operators in which melmill writes such models; in others they may mean another thing.

    Raises:
        UnknownGraphError: if the model has another version; and by each method, if the next node or a constant is not
            the expected one.
    """

    def __init__(self, graph: OnnxNodes, opset: int) -> None:
        if graph.opset != opset:
            raise UnknownGraphError(f"its operators are of version {graph.opset}, not {opset}")
        self._tensors, self._nodes, self._position = graph.tensors, graph.nodes, 0

    @property
    def at_end(self) -> bool:
        """Whether all nodes are taken."""
        return self._position == len(self._nodes)

    @property
    def node(self) -> OnnxNode:
        """The next node."""
        self.demand(self._position < len(self._nodes), "its chain of nodes has no end")
        return self._nodes[self._position]

    @property
    def operator(self) -> str:
        """Operator of the next node; "nothing" after the last."""
        return self._nodes[self._position].operator if self._position < len(self._nodes) else "nothing"

    def input(self, number: int) -> str:
        """Name of an input of the next node."""
        inputs = self.node.inputs
        self.demand(number < len(inputs), f"a node {self.operator} has {len(inputs)} inputs")
        return inputs[number]

    def take(self, operator: str, *inputs: str, **attributes: OnnxAttribute) -> str:
        """The output of the next node, which must be this one and have no other attributes."""
        node = self.node
        self.demand(
            (node.operator, node.inputs, node.attributes) == (operator, inputs, attributes) and len(node.outputs) == 1,
            f"node {self._position} is {node.operator}({', '.join(node.inputs)}) with {dict(node.attributes)}, "
            f"not {operator}({', '.join(inputs)}) with {attributes}",
        )
        self._position += 1
        return node.outputs[0]

    def tensor(self, name: str, *shape: int) -> OnnxTensor:
        """The constant of that name, which must have this shape; -1 for an axis of any length above 0."""
        tensor = self._tensors.get(name)
        if tensor is None or len(tensor.shape) != len(shape):
            raise UnknownGraphError(f"{name} is not a constant of {len(shape)} axes")
        fits = (found == size or (size == -1 and found > 0) for found, size in zip(tensor.shape, shape, strict=True))
        self.demand(all(fits), f"{name} has the shape {list(tensor.shape)}, not {list(shape)}")
        return tensor

    def integers(self, values: tuple[int, ...], number: int = 1) -> str:
        """The name of an input of the next node, the second one if no other is named: a constant that must have these
        values."""
        name = self.input(number)
        found = self.tensor(name, len(values)).integers()
        self.demand(found == values, f"{name} is {found}, not {values}")
        return name

    def number(self, value: float, number: int = 1) -> str:
        """The same for a single float."""
        name = self.input(number)
        found = float(self.tensor(name, 1).floats()[0])
        self.demand(found == value, f"{name} is {found}, not {value}")
        return name

    def demand(self, holds: bool, words: str) -> None:
        """Raises an error of these words unless the condition holds."""
        if not holds:
            raise UnknownGraphError(words)

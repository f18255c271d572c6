"""What takes the place of one ONNX node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from edgepack.types import Array, Shape


class Parts:
    """A node, what is known about its inputs, and the nodes and constants that replace it.

    Attributes:
        inputs, outputs: names; an absent one is "".
        operator: the node's.
        attributes: as helper.get_attribute_value gives them.
        opset: of the model; it decides whether `axes` are an attribute or an input.
    """

    def __init__(
        self,
        node: Any,
        shapes: Mapping[str, Shape],
        constants: Mapping[str, Array],
        types: Mapping[str, int],
        opset: int,
    ) -> None:
        from onnx import helper

        self.name, self.operator, self.opset = node.name, node.op_type, opset
        self.inputs, self.outputs = list(node.input), list(node.output)
        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self.nodes: list[Any] = []
        self.made: list[Any] = []
        self._shapes, self._constants, self._types = shapes, constants, types

    def shape(self, position: int = 0) -> Shape:
        """The shape of an input."""
        value = self.value(position)
        return self._shapes[self.inputs[position]] if value is None else tuple(value.shape)

    def output_shape(self) -> Shape:
        """The shape of the first output."""
        return self._shapes[self.outputs[0]]

    def kind(self, position: int) -> int:
        """The element type of an input (TensorProto.DataType); 0 where it is not known."""
        return self._types.get(self.inputs[position], 0)

    def has(self, position: int) -> bool:
        """Whether an input is given."""
        return len(self.inputs) > position and bool(self.inputs[position])

    def value(self, position: int) -> Array | None:
        """An input's value if it is a constant."""
        return self._constants.get(self.inputs[position]) if self.has(position) else None

    def text(self, name: str, default: str) -> str:
        """An attribute that is a string."""
        found = self.attributes.get(name)
        return default if found is None else bytes(found).decode()

    def constant(self, value: Array) -> str:
        """A new constant; its name."""
        from onnx import numpy_helper

        name = f"{self.name}/constant_{len(self.made)}"
        self.made.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def number(self, value: float) -> str:
        """A float32 constant."""
        return self.constant(np.array(value, np.float32))

    def integers(self, values: Sequence[int]) -> str:
        """A vector of int64."""
        return self.constant(np.array(values, np.int64))

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """A new node; the name of its one output, made up unless `output` gives it."""
        from onnx import helper

        made = output or f"{self.name}/part_{len(self.nodes)}"
        name = f"{self.name}/{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [made], name=name, **attributes))
        return made

    def several(
        self, kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> None:
        """A new node with any number of outputs."""
        from onnx import helper

        name = f"{self.name}/{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, outputs, name=name, **attributes))

    def reduce(
        self, kind: str, x: str, axes: Sequence[int], keep: bool = True, output: str = ""
    ) -> str:
        """A reduction over axes, given as this operator set takes them."""
        since = 13 if kind == "ReduceSum" else 18  # Operators.md: axes became an input
        if self.opset >= since:
            return self.node(kind, x, self.integers(axes), output=output, keepdims=int(keep))
        return self.node(kind, x, output=output, axes=list(axes), keepdims=int(keep))


Rewrite = Callable[[Parts], bool]

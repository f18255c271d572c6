"""ONNX operators in the parts that onnx2tf converts well, with the same results.

All of them follow the definitions in onnx's Operators.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgepack.types import Array


class Parts:
    """What takes the place of one node: its nodes and constants, named after it."""

    def __init__(self, node: Any) -> None:
        self.name = node.name
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Array) -> str:
        from onnx import numpy_helper

        name = f"{self.name}/constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def number(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    def node(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        made = output or f"{self.name}/part_{len(self.nodes)}"
        name = f"{self.name}/{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [made], name=name, **attributes))
        return made


def split_up(proto: Any, shapes: dict[str, tuple[int, ...]]) -> None:
    """Replace every node that has a row in `REWRITES`; `shapes` are those of the values."""
    from onnx import helper

    opset = next(o.version for o in proto.opset_import if o.domain in ("", "ai.onnx"))
    kept = []
    for node in proto.graph.node:
        rewrite = REWRITES.get(node.op_type)
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        parts = Parts(node)
        if rewrite is None or not rewrite(parts, node, attributes, shapes, opset):
            kept.append(node)
            continue
        kept += parts.nodes
        proto.graph.initializer.extend(parts.constants)
    nodes = list(kept)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


Rewrite = Callable[[Parts, Any, dict[str, Any], dict[str, tuple[int, ...]], int], bool]


def _relu6_of(p: Parts, x: str) -> str:
    return p.node("Clip", x, p.number(0.0), p.number(6.0))


def _hard_sigmoid(
    p: Parts, node: Any, attributes: dict[str, Any], shapes: dict[str, tuple[int, ...]], opset: int
) -> bool:
    """max(0, min(1, alpha * x + beta)) as RELU6: TFLite Micro has no bounds of 0 and 1."""
    alpha, beta = float(attributes.get("alpha", 0.2)), float(attributes.get("beta", 0.5))
    x = p.node("Mul", node.input[0], p.number(6 * alpha))
    shifted = p.node("Add", x, p.number(6 * beta))
    p.node("Mul", _relu6_of(p, shifted), p.number(1 / 6), output=node.output[0])
    return True


def _hard_swish(
    p: Parts, node: Any, attributes: dict[str, Any], shapes: dict[str, tuple[int, ...]], opset: int
) -> bool:
    """x * RELU6(x + 3) / 6, which becomes TFLite's HARD_SWISH."""
    gate = _relu6_of(p, p.node("Add", node.input[0], p.number(3.0)))
    product = p.node("Mul", node.input[0], gate)
    p.node("Mul", product, p.number(1 / 6), output=node.output[0])
    return True


REWRITES: dict[str, Rewrite] = {
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
}

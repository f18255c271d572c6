"""Channel shuffles (Zhang et al. 2017, ShuffleNet): Reshape, Transpose, Reshape -> one Gather.

Only channels change places, so with the channels last no image has to be transposed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgepack.types import Shape


def gather_shuffles(proto: Any, shapes: Mapping[str, Shape]) -> int:
    """Replace every channel shuffle of images; how many there were."""
    from onnx import helper, numpy_helper

    makers = {name: node for node in proto.graph.node for name in node.output}
    uses: dict[str, int] = {}
    for node in proto.graph.node:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
    outputs = {value.name for value in proto.graph.output}
    found = 0
    for node in proto.graph.node:
        chain = _chain(node, makers)
        if chain is None:
            continue
        first, middle = chain
        inner = (first.output[0], middle.output[0])
        if any(uses[name] != 1 or name in outputs for name in inner):
            continue
        order = _order(first, middle, node, shapes)
        if order is None:
            continue
        indices = f"{node.name}/channels"
        proto.graph.initializer.append(numpy_helper.from_array(order, indices))
        made = helper.make_node(
            "Gather", [first.input[0], indices], list(node.output), name=node.name, axis=1
        )
        node.CopyFrom(made)
        found += 1
    return found


def _chain(node: Any, makers: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """The Reshape and the Transpose in front of a Reshape."""
    middle = makers.get(node.input[0]) if node.op_type == "Reshape" else None
    first = makers.get(middle.input[0]) if middle is not None else None
    if middle is None or first is None:
        return None
    is_chain = middle.op_type == "Transpose" and first.op_type == "Reshape"
    return (first, middle) if is_chain else None


def _order(first: Any, middle: Any, last: Any, shapes: Mapping[str, Shape]) -> Any:
    """Which channel each channel of the result is; None where more than channels move."""
    names = (first.input[0], first.output[0], last.output[0])
    if any(name not in shapes for name in names):
        return None
    before, inside, after = (shapes[name] for name in names)
    if len(before) != 4 or before != after or inside[0] != before[0] or inside[-2:] != before[-2:]:
        return None
    axes = next((list(a.ints) for a in middle.attribute if a.name == "perm"), [])
    kept = [0, len(inside) - 2, len(inside) - 1]
    if len(axes) != len(inside) or [axes[0], *axes[-2:]] != kept:
        return None
    places = np.arange(before[1], dtype=np.int64).reshape(inside[1:-2])
    return places.transpose([axis - 1 for axis in axes[1:-2]]).reshape(-1)

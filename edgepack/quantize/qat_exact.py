"""Operators whose integers come from the executable specification of edgepack/ops, in training too.

Additions, products and transcendental functions go through tables and several roundings that no
formula on real numbers gives to the last bit. Their forward pass is the numpy reference that the C
kernels are tested against; backward it is the smooth function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgepack.ir import Node as IrNode
from edgepack.ir import Tensor
from edgepack.ir.tensor import Quantization
from edgepack.ops.shared.base import NodeView
from edgepack.ops.table import OPS
from edgepack.quantize.qat_graph import Node
from edgepack.quantize.qat_numbers import Grid, Value
from edgepack.types import Array

EXACT = frozenset(
    {"ADD", "ELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MUL", "SOFTMAX", "SUB", "TANH"}
)


def has_reference(node: Node, read: Sequence[Value], grid: Grid | None) -> bool:
    """Whether an operator computes on integers that its reference knows."""
    return (
        node.op in EXACT
        and grid is not None
        and all(v.grid is not None and v.grid.dtype in OPS[node.op].types for v in read)
    )


def reference_units(node: Node, read: Sequence[Value], grid: Grid) -> Any:
    """The output in units, as the kernel computes it; without a gradient.

    Args:
        node: one with a reference.
        read: its inputs, in units.
        grid: of the output.
    """
    import tensorflow as tf

    attributes = OPS[node.op].attributes(node.options)
    grids = [*(v.grid for v in read if v.grid is not None), grid]

    def compute(*values: Array) -> Array:
        count = len(read)
        stored, numbers = values[:count], values[count:]
        forms = [
            Quantization((float(numbers[2 * i]),), (int(numbers[2 * i + 1]),))
            for i in range(count + 1)
        ]
        batch = max(len(array) if array.ndim else 1 for array in stored)
        shapes = [*(array.shape for array in stored), (batch, *node.shape[1:])]
        tensors = tuple(
            Tensor(index, "", shape, g.dtype, form)
            for index, (shape, g, form) in enumerate(zip(shapes, grids, forms, strict=True))
        )
        ids = tuple(range(count))
        made = IrNode(node.op, ids, (count,), attributes, node.position)
        view = NodeView(made, tensors[:count], tensors[count:])
        inputs = [a.astype(g.dtype.numpy) for a, g in zip(stored, grids, strict=False)]
        (result,) = OPS[node.op].reference(view, inputs)
        return np.asarray(result, np.float32) - np.float32(forms[-1].zero_point[0])

    numbers = [n for g in grids for n in (g.scale, g.zero)]
    arguments = [tf.stop_gradient(n) for n in (*(v.stored for v in read), *numbers)]
    units = tf.numpy_function(compute, arguments, tf.float32)
    return tf.ensure_shape(units, (None, *node.shape[1:]))

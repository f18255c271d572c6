"""Weights and biases of a quantized ONNX graph as TFLite's int8 kernels take them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgepack.convert.qdq.graph import Constant, Op, Quant
from edgepack.convert.qdq.moves import constant_of
from edgepack.convert.qdq.writer import Writer
from edgepack.convert.wide_weights import around_zero, grouped, read_again, read_channels, split
from edgepack.types import Array


@dataclass(frozen=True)
class Placed:
    """Tensors of a layer: its input, which may read channels again, and its weights."""

    source: int
    filters: int
    is_depthwise: bool = False


def ordinary(w: Writer, op: Op, value: Array, quant: Quant | None, source: int) -> Placed:
    """Weights with outputs in the first axis, inputs in the last; `source` is what they multiply.

    Raises:
        UnsupportedError: they need nine bits, over an input that cannot be read again.
    """
    if quant is None or not quant.zero.any():
        return Placed(source, _tensor(w, op, value, quant, 0))
    made, extra = split(around_zero(value, quant.zero, 0), value.ndim - 1)
    if extra:
        gather, source = read_again(w.editor, w.graph, source, extra, value.shape[-1])
        w.graph.operators.append(gather)
        _tell(w, op, len(extra))
    return Placed(source, _tensor(w, op, made, quant, 0))


def depthwise(w: Writer, op: Op, value: Array, quant: Quant | None, source: int) -> Placed:
    """Weights of a depthwise convolution, outputs in the last axis.

    Those that need nine bits become a convolution with a group per input channel.
    """
    if quant is None or not quant.zero.any():
        return Placed(source, _tensor(w, op, value, quant, 3), is_depthwise=True)
    real = around_zero(value, quant.zero, 3)
    if (real == real.astype(np.int8)).all():
        return Placed(source, _tensor(w, op, real.astype(np.int8), quant, 3), is_depthwise=True)
    channels = w.editor.shape(w.graph, source)[-1]
    made, order = grouped(real, value.shape[3] // channels)
    gather, source = read_channels(w.editor, w.graph, source, order)
    w.graph.operators.append(gather)
    _tell(w, op, len(order) - channels)
    return Placed(source, _tensor(w, op, made, quant, 0))


def _tensor(w: Writer, op: Op, value: Array, quant: Quant | None, axis: int) -> int:
    """Weights whose zero point is 0 by now and whose scales count along `axis`."""
    placed = None
    if quant is not None:
        zero = np.zeros(quant.scale.size, np.int64)
        placed = Quant(quant.scale, zero, axis if quant.scale.size > 1 else 0)
    return w.tensor(op.inputs[1], value.shape, placed, np.ascontiguousarray(value))


def _tell(w: Writer, op: Op, count: int) -> None:
    w.notes.append(
        f"{op} reads {count} input channels again, because its asymmetric weights need nine bits: "
        "this costs multiplications, but no accuracy"
    )


def bias(w: Writer, op: Op, weights: Constant, count: int) -> list[int]:
    """The bias as int32 at the product of the two scales (the specification above), or as float."""
    source = w.quant(op.inputs[0])
    if len(op.inputs) < 3 or not op.inputs[2]:
        if op.kind != "Conv" or source is None or weights.quant is None:
            return []
        # LiteRT's int8 convolutions demand a bias
        zeros = Constant(np.zeros(count, np.float32))
        op = replace(op, inputs=[*op.inputs[:2], f"{op.output}/bias"])
        w.source.constants[op.inputs[2]] = zeros
    found = constant_of(w, op, 2)
    if source is None or weights.quant is None:
        value = np.broadcast_to(found.real.reshape(-1), (count,)).astype(np.float32)
        return [w.tensor(op.inputs[2], (count,), None, value)]
    scale = (weights.quant.scale.astype(np.float32) * source.scale[0]).astype(np.float32)
    quant = Quant(scale, np.zeros(scale.size, np.int64), 0)
    # ONNX Runtime computes the scale in another precision: the integers are what counts
    if found.quant is not None and np.allclose(found.quant.scale, scale, rtol=1e-5):
        stored = found.value.reshape(-1)
    else:
        stored = np.rint(found.real.reshape(-1).astype(np.float64) / scale)
    stored = np.broadcast_to(np.clip(stored, -(2**31), 2**31 - 1), (count,)).astype(np.int32)
    return [w.tensor(op.inputs[2], (count,), quant, stored)]

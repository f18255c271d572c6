"""Which values each channel of a quantized tensor can take, for any input at all.

The input's channels span their whole type; every op below is monotone in each operand, so intervals
go through its own integer arithmetic exactly. Ops that are not listed here give the whole type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgepack.ir import Graph, Tensor
from edgepack.ops.conv_2d import Conv2DAttributes
from edgepack.ops.depthwise_conv_2d import DepthwiseConv2DAttributes
from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.fixed_point import INTEGER_RANGE
from edgepack.ops.shared.weighted import requantize_output
from edgepack.types import Array, DType

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ChannelRange:
    """Lowest and highest value of each index of the last dimension: int64 [channels]."""

    low: I64
    high: I64

    def constant(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.low == self.high)


def channel_ranges(graph: Graph) -> dict[int, ChannelRange]:
    """Tensor id -> range, for the int8 activations of a graph."""
    found: dict[int, ChannelRange] = {}
    for tensor in graph.tensors.values():
        if tensor.dtype is DType.INT8 and not tensor.is_const and tensor.shape:
            found[tensor.id] = _whole(tensor)
    for node in graph.nodes:
        view = NodeView.of(graph, node)
        if not node.inputs or not node.outputs:
            continue
        if node.outputs[0] in found and node.inputs[0] in found:
            result = _through(view, found[view.node.inputs[0]])
            if result is not None:
                found[view.node.outputs[0]] = result
    return found


def _whole(tensor: Tensor) -> ChannelRange:
    low, high = INTEGER_RANGE[tensor.dtype]
    channels = tensor.shape[-1]
    return ChannelRange(np.full(channels, low, np.int64), np.full(channels, high, np.int64))


def _through(view: NodeView, source: ChannelRange) -> ChannelRange | None:
    """The output's range given the first input's, or None where the op is not known here."""
    match view.node.op:
        case "CONV_2D":
            return _conv(view, source)
        case "DEPTHWISE_CONV_2D":
            return _depthwise(view, source)
        case "AVERAGE_POOL_2D" | "MAX_POOL_2D" | "RESHAPE":
            same = view.input(0).shape[-1:] == view.output().shape[-1:]
            return source if same and _clamps_nothing(view) else None
        case _:
            return None


def _clamps_nothing(view: NodeView) -> bool:
    return getattr(view.node.attrs, "activation", "NONE") == "NONE"


def _conv(view: NodeView, source: ChannelRange) -> ChannelRange | None:
    weights, bias, attrs = view.input(1).data, view.optional(2), view.node.attrs
    assert isinstance(attrs, Conv2DAttributes)
    if weights is None or weights.shape[3] != view.input(0).shape[3] or _computed(bias):
        return None
    low, high = offset_range(view, source, padded=attrs.padding == "SAME")
    flat = weights.astype(np.int64)  # [out, h, w, in]
    return _requantized(view, *_sums(flat, low, high, axes=(1, 2, 3)))


def _depthwise(view: NodeView, source: ChannelRange) -> ChannelRange | None:
    weights, bias, attrs = view.input(1).data, view.optional(2), view.node.attrs
    assert isinstance(attrs, DepthwiseConv2DAttributes)
    if weights is None or weights.shape[3] != view.input(0).shape[3] or _computed(bias):
        return None
    low, high = offset_range(view, source, padded=attrs.padding == "SAME")
    flat = weights[0].astype(np.int64)  # [h, w, channels]
    return _requantized(view, *_sums(flat, low, high, axes=(0, 1)))


def _sums(
    weights: I64, low: I64, high: I64, *, axes: tuple[int, ...]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The smallest and largest sum of weights times values between low and high."""
    smallest = np.where(weights >= 0, weights * low, weights * high).sum(axis=axes)
    largest = np.where(weights >= 0, weights * high, weights * low).sum(axis=axes)
    return smallest, largest


def _computed(bias: Tensor | None) -> bool:
    return bias is not None and bias.data is None


def offset_range(view: NodeView, source: ChannelRange, *, padded: bool) -> tuple[I64, I64]:
    """The range of input minus zero point; positions in the padding contribute 0."""
    zero_point = view.input(0).zero_point
    low, high = source.low - zero_point, source.high - zero_point
    if padded:
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    return low, high


def _requantized(view: NodeView, low: Array, high: Array) -> ChannelRange | None:
    bias = view.optional(2)
    base = bias.data.astype(np.int64) if bias is not None and bias.data is not None else 0
    low, high = low + base, high + base
    if max(abs(int(low.min())), abs(int(high.max()))) >= 1 << 31:
        return None  # the accumulator could wrap, and then nothing is monotone
    activation = getattr(view.node.attrs, "activation", "NONE")
    out = view.output()
    if out.dtype is not DType.INT8:
        return None
    return ChannelRange(
        requantize_output(view, low, activation).astype(np.int64),
        requantize_output(view, high, activation).astype(np.int64),
    )

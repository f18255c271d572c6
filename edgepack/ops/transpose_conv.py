"""TRANSPOSE_CONV: NHWC input, OHWI weights, optional bias; the gradient of a convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.conv_geometry import window_fields
from edgepack.ops.shared.fixed_point import FLOAT_ACTIVATION_RANGE, float_activation
from edgepack.ops.shared.kernel import Isa, Lowered
from edgepack.ops.shared.weighted import (
    Slots,
    check_symmetric_int16,
    check_weights,
    lower_weighted,
    requantize_output,
)
from edgepack.ops.shared.window import ACTIVATIONS, PADDINGS, window
from edgepack.types import Array, DType, Shape

_SLOTS = Slots(x=2, weights=1, bias=3)
_WEIGHT_TYPES = {
    DType.INT8: (DType.INT8,),
    DType.INT16: (DType.INT8,),
    DType.FLOAT32: (DType.FLOAT32,),
}


@dataclass(frozen=True)
class TransposeConvAttributes(Attributes):
    """Strides, padding and fused activation."""

    padding: str = "VALID"
    stride_h: int = 1
    stride_w: int = 1
    activation: str = "NONE"


class TransposeConv(Op):
    """Every input adds weights * input to the window of outputs that starts at its stride."""

    name = "TRANSPOSE_CONV"
    types = (DType.INT8, DType.INT16, DType.FLOAT32)
    type_slot = 2
    arity = (3, 4)
    notes = "int8 weights, per channel or per tensor, constant; 16x8 with an INT64 bias or none"

    def attributes(self, options: Any) -> Attributes:
        return TransposeConvAttributes(
            padding=PADDINGS[options.padding],
            stride_h=options.strideH,
            stride_w=options.strideW,
            activation=ACTIVATIONS[options.fusedActivationFunction],
        )

    def check(self, view: NodeView) -> None:
        super().check(view)
        x, w, attrs = view.input(2), view.input(1), self._attrs(view)
        if len(x.shape) != 4 or len(w.shape) != 4 or len(view.output().shape) != 4:
            raise unsupported(view, "input, weights and output must have 4 dimensions")
        if w.shape[3] != x.shape[3]:
            raise unsupported(view, f"weights for {w.shape[3]} of {x.shape[3]} input channels")
        if attrs.activation not in FLOAT_ACTIVATION_RANGE:
            raise unsupported(view, f"no kernel with fused activation {attrs.activation}")
        if attrs.stride_h < 1 or attrs.stride_w < 1:
            raise unsupported(view, f"strides {attrs.stride_h} and {attrs.stride_w}")
        check_weights(view, w.shape[0], _SLOTS, weight_types=_WEIGHT_TYPES)
        check_symmetric_int16(view, _SLOTS)
        bias = view.optional(3)
        if x.dtype is DType.INT16 and bias is not None and bias.dtype is DType.INT32:
            raise unsupported(view, "16x8 with an INT32 bias (TFLM reads it as INT64)")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        wanted, filters = view.input(0).data, view.input(1).shape[0]
        recorded = view.output().shape
        height, width = recorded[1:3] if wanted is None else (int(d) for d in wanted[1:3])
        return ((view.input(2).shape[0], height, width, filters),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        x, w, bias = inputs[2], inputs[1], inputs[3] if len(inputs) > 3 else None
        assert x is not None and w is not None
        attrs, out = self._attrs(view), view.output()
        is_float = out.dtype is DType.FLOAT32
        wide = x.astype(np.float32 if is_float else np.int64) - view.input(2).zero_point
        pad_top, pad_left = self._padding(view)
        _, height, width, _ = out.shape
        rows = max(height + pad_top, (x.shape[1] - 1) * attrs.stride_h + w.shape[1])
        columns = max(width + pad_left, (x.shape[2] - 1) * attrs.stride_w + w.shape[2])
        acc = np.zeros((x.shape[0], rows, columns, w.shape[0]), wide.dtype)
        for ky in range(w.shape[1]):
            for kx in range(w.shape[2]):
                part = wide @ w[:, ky, kx, :].T.astype(wide.dtype)
                y_end, x_end = (
                    ky + (x.shape[1] - 1) * attrs.stride_h + 1,
                    kx + (x.shape[2] - 1) * attrs.stride_w + 1,
                )
                acc[:, ky : y_end : attrs.stride_h, kx : x_end : attrs.stride_w] += part
        acc = acc[:, pad_top : pad_top + height, pad_left : pad_left + width]
        if bias is not None:
            acc = acc + bias.astype(acc.dtype)
        if is_float:
            return (ensure_shape(float_activation(acc, attrs.activation), out),)
        return (ensure_shape(requantize_output(view, acc, attrs.activation, None, _SLOTS), out),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        x, w, out, attrs = view.input(2), view.input(1), view.output(), self._attrs(view)
        geometry = window_fields(
            x.shape,
            out.shape,
            (w.shape[1], w.shape[2]),
            (attrs.stride_h, attrs.stride_w),
            self._padding(view),
            after_out=(("out_c", out.shape[3]),),
        )
        macs = self.macs(view)
        return lower_weighted(
            view, "ep_transpose_conv", attrs.activation, geometry, macs, slots=_SLOTS
        )

    def macs(self, view: NodeView) -> int:
        filters, kh, kw, _ = view.input(1).shape
        return view.input(2).elements * filters * kh * kw

    def _attrs(self, view: NodeView) -> TransposeConvAttributes:
        assert isinstance(view.node.attrs, TransposeConvAttributes)
        return view.node.attrs

    def _padding(self, view: NodeView) -> tuple[int, int]:
        """Output rows and columns cut off at the top and left: the forward convolution's pads."""
        out, w, attrs = view.output().shape, view.input(1).shape, self._attrs(view)
        return (
            window(out[1], w[1], attrs.stride_h, 1, attrs.padding).pad,
            window(out[2], w[2], attrs.stride_w, 1, attrs.padding).pad,
        )

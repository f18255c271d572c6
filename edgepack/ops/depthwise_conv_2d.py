"""DEPTHWISE_CONV_2D: NHWC input, 1HWC weights, any depth multiplier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.conv_geometry import window_fields
from edgepack.ops.shared.depthwise_dsp import lower_depthwise_dsp
from edgepack.ops.shared.depthwise_mul import lower_depthwise_mul
from edgepack.ops.shared.depthwise_mve import lower_depthwise_mve
from edgepack.ops.shared.fixed_point import FLOAT_ACTIVATION_RANGE, float_activation
from edgepack.ops.shared.kernel import Isa, Lowered
from edgepack.ops.shared.mul import uses_mul
from edgepack.ops.shared.streaming import window_overlap
from edgepack.ops.shared.weighted import (
    check_symmetric_int16,
    check_weights,
    lower_weighted,
    requantize_output,
)
from edgepack.ops.shared.window import ACTIVATIONS, PADDINGS, Window, patches, window
from edgepack.types import Array, DType, Shape


@dataclass(frozen=True)
class DepthwiseConv2DAttributes(Attributes):
    """Strides, dilations, padding and fused activation."""

    padding: str = "VALID"
    stride_h: int = 1
    stride_w: int = 1
    dilation_h: int = 1
    dilation_w: int = 1
    activation: str = "NONE"


class DepthwiseConv2D(Op):
    """One filter per channel; output channel c reads input channel c // depth_multiplier."""

    name = "DEPTHWISE_CONV_2D"
    types = (DType.INT8, DType.INT16, DType.FLOAT32)
    arity = (2, 3)
    variants = ("mul", "dsp", "mve")
    notes = "int8 or packed int4 weights, per channel or per tensor; weights constant"

    def attributes(self, options: Any) -> Attributes:
        return DepthwiseConv2DAttributes(
            padding=PADDINGS[options.padding],
            stride_h=options.strideH,
            stride_w=options.strideW,
            dilation_h=options.dilationHFactor,
            dilation_w=options.dilationWFactor,
            activation=ACTIVATIONS[options.fusedActivationFunction],
        )

    def check(self, view: NodeView) -> None:
        super().check(view)
        x, w, attrs = view.input(0), view.input(1), self._attrs(view)
        if len(x.shape) != 4 or len(w.shape) != 4 or w.shape[0] != 1:
            raise unsupported(view, "input must be NHWC and weights 1HWC")
        if x.shape[3] == 0 or w.shape[3] % x.shape[3]:
            raise unsupported(view, f"{w.shape[3]} filters for {x.shape[3]} input channels")
        if attrs.activation not in FLOAT_ACTIVATION_RANGE:
            raise unsupported(view, f"no kernel with fused activation {attrs.activation}")
        check_weights(view, w.shape[3])
        check_symmetric_int16(view)
        if x.dtype is DType.INT16 and (bias := view.optional(2)) and bias.dtype is DType.INT32:
            raise unsupported(view, "16x8 with an INT32 bias (TFLM has an INT64 bias only)")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        vertical, horizontal = self._windows(view)
        return ((view.input(0).shape[0], vertical.out, horizontal.out, view.input(1).shape[3]),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        x, w, bias = inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None
        assert x is not None and w is not None
        attrs, out = self._attrs(view), view.output()
        is_float = out.dtype is DType.FLOAT32
        wide = x.astype(np.float32 if is_float else np.int64) - view.input(0).zero_point
        windows = patches(
            np.repeat(wide, w.shape[3] // x.shape[3], axis=3),
            (w.shape[1], w.shape[2]),
            (attrs.stride_h, attrs.stride_w),
            (attrs.dilation_h, attrs.dilation_w),
            *self._windows(view),
            0,
        )
        acc = np.einsum("nyxhwc,hwc->nyxc", windows, w[0].astype(wide.dtype), optimize=True)
        if bias is not None:
            acc = acc + bias.astype(acc.dtype)
        if is_float:
            return (ensure_shape(float_activation(acc, attrs.activation), out),)
        return (ensure_shape(requantize_output(view, acc, attrs.activation), out),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        x, w, out, attrs = view.input(0), view.input(1), view.output(), self._attrs(view)
        vertical, horizontal = self._windows(view)
        strides = (attrs.stride_h, attrs.stride_w)
        pads = (vertical.pad, horizontal.pad)
        geometry = window_fields(
            x.shape,
            out.shape,
            (w.shape[1], w.shape[2]),
            strides,
            pads,
            dilations=(attrs.dilation_h, attrs.dilation_w),
            after_out=(("depth_multiplier", w.shape[3] // x.shape[3]),),
        )
        if isa.has("mve"):
            fast = lower_depthwise_mve(view, geometry, attrs.activation, self.macs(view))
            if fast is not None:
                return fast
        if isa.has("dsp"):
            fast = lower_depthwise_dsp(view, geometry, attrs.activation, self.macs(view))
            if fast is not None:
                return fast
        if uses_mul(isa):
            fast = lower_depthwise_mul(view, geometry, attrs.activation, self.macs(view), isa)
            if fast is not None:
                return fast
        by_channel = w.shape[3] == x.shape[3]
        overlap = window_overlap(view, strides, pads, by_channel=by_channel)
        return lower_weighted(
            view,
            "ep_depthwise_conv2d",
            attrs.activation,
            geometry,
            self.macs(view),
            overlaps=(overlap,),
        )

    def macs(self, view: NodeView) -> int:
        _, kh, kw, _ = view.input(1).shape
        return view.output().elements * kh * kw

    def _attrs(self, view: NodeView) -> DepthwiseConv2DAttributes:
        assert isinstance(view.node.attrs, DepthwiseConv2DAttributes)
        return view.node.attrs

    def _windows(self, view: NodeView) -> tuple[Window, Window]:
        x, w, attrs = view.input(0).shape, view.input(1).shape, self._attrs(view)
        return (
            window(x[1], w[1], attrs.stride_h, attrs.dilation_h, attrs.padding),
            window(x[2], w[2], attrs.stride_w, attrs.dilation_w, attrs.padding),
        )

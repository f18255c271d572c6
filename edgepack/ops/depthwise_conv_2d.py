"""DEPTHWISE_CONV_2D: NHWC input, 1HWC weights, any depth multiplier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, unsupported
from edgepack.ops.shared.conv_geometry import Fields
from edgepack.ops.shared.depthwise_dsp import lower_depthwise_dsp
from edgepack.ops.shared.depthwise_mul import lower_depthwise_mul
from edgepack.ops.shared.depthwise_mve import lower_depthwise_mve
from edgepack.ops.shared.weighted import check_symmetric_int16, check_weights
from edgepack.ops.shared.windowed import FastKernels, WindowAttributes, WindowedOp
from edgepack.types import Array, DType, Shape


@dataclass(frozen=True)
class DepthwiseConv2DAttributes(WindowAttributes):
    """Strides, dilations, padding and fused activation."""


class DepthwiseConv2D(WindowedOp):
    """One filter per channel; output channel c reads input channel c // depth_multiplier."""

    name = "DEPTHWISE_CONV_2D"
    notes = "int8 or packed int4 weights, per channel or per tensor; weights constant"
    family = "ep_depthwise_conv2d"
    fast = FastKernels(lower_depthwise_mve, lower_depthwise_dsp, lower_depthwise_mul)

    def attributes(self, options: Any) -> Attributes:
        return DepthwiseConv2DAttributes(**self.window_attributes(options))

    def check(self, view: NodeView) -> None:
        super().check(view)
        x, w = view.input(0), view.input(1)
        if len(x.shape) != 4 or len(w.shape) != 4 or w.shape[0] != 1:
            raise unsupported(view, "input must be NHWC and weights 1HWC")
        if x.shape[3] == 0 or w.shape[3] % x.shape[3]:
            raise unsupported(view, f"{w.shape[3]} filters for {x.shape[3]} input channels")
        self.check_activation(view)
        check_weights(view, w.shape[3])
        check_symmetric_int16(view)
        if x.dtype is DType.INT16 and (bias := view.optional(2)) and bias.dtype is DType.INT32:
            raise unsupported(view, "16x8 with an INT32 bias (TFLM has an INT64 bias only)")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        vertical, horizontal = self.windows(view)
        return ((view.input(0).shape[0], vertical.out, horizontal.out, view.input(1).shape[3]),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        x, w = inputs[0], inputs[1]
        assert x is not None and w is not None
        repeated = np.repeat(self.centred(view, x), w.shape[3] // x.shape[3], axis=3)
        windows = self.patches(view, repeated)
        acc = np.einsum("nyxhwc,hwc->nyxc", windows, w[0].astype(windows.dtype), optimize=True)
        return (self.finish(view, acc, inputs),)

    def geometry(self, view: NodeView) -> Fields:
        multiplier = view.input(1).shape[3] // view.input(0).shape[3]
        return self.fields(view, (("depth_multiplier", multiplier),))

    def by_channel(self, view: NodeView) -> bool:
        return view.input(1).shape[3] == view.input(0).shape[3]

    def macs(self, view: NodeView) -> int:
        _, kh, kw, _ = view.input(1).shape
        return view.output().elements * kh * kw

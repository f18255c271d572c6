"""CONV_2D: NHWC input, OHWI weights, optional bias; dilation and groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, unsupported
from edgepack.ops.shared.conv_dsp import lower_conv_dsp
from edgepack.ops.shared.conv_geometry import Fields
from edgepack.ops.shared.conv_mul import lower_conv_mul
from edgepack.ops.shared.conv_mve import lower_conv_mve
from edgepack.ops.shared.kernel import Isa, KernelCall, Lowered
from edgepack.ops.shared.sparse import offer_sparse_conv
from edgepack.ops.shared.weighted import check_symmetric_int16, check_weights
from edgepack.ops.shared.windowed import FastKernels, WindowAttributes, WindowedOp
from edgepack.types import Array, DType, Shape


@dataclass(frozen=True)
class Conv2DAttributes(WindowAttributes):
    """Strides, dilations, padding and fused activation."""

    bias_dtype: DType = DType.INT64  # of a missing bias in 16x8: the accumulator's width


class Conv2D(WindowedOp):
    """Accumulates input * weights over the window, adds the bias, requantizes per channel."""

    name = "CONV_2D"
    notes = "int8 or packed int4 weights, per channel or per tensor; groups; weights constant"
    family = "ep_conv2d"
    fast = FastKernels(lower_conv_mve, lower_conv_dsp, lower_conv_mul)

    def attributes(self, options: Any) -> Attributes:
        return Conv2DAttributes(
            **self.window_attributes(options),
            bias_dtype=DType.INT32 if options.quantizedBiasType == 2 else DType.INT64,
        )

    def check(self, view: NodeView) -> None:
        super().check(view)
        x, w = view.input(0), view.input(1)
        if len(x.shape) != 4 or len(w.shape) != 4:
            raise unsupported(view, "input and weights must have 4 dimensions")
        if w.shape[3] == 0 or x.shape[3] % w.shape[3] or w.shape[0] % (x.shape[3] // w.shape[3]):
            raise unsupported(view, f"{x.shape[3]} input channels do not divide into groups")
        self.check_activation(view)
        check_weights(view, w.shape[0])
        check_symmetric_int16(view)

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        vertical, horizontal = self.windows(view)
        return ((view.input(0).shape[0], vertical.out, horizontal.out, view.input(1).shape[0]),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        x, w = inputs[0], inputs[1]
        assert x is not None and w is not None
        windows = self.patches(view, self.centred(view, x))
        groups = x.shape[3] // w.shape[3]
        n, oh, ow, kh, kw, _ = windows.shape
        grouped = windows.reshape(n, oh, ow, kh, kw, groups, w.shape[3])
        filters = w.astype(windows.dtype).reshape(groups, -1, kh, kw, w.shape[3])
        acc = np.einsum("nyxhwgc,gohwc->nyxgo", grouped, filters, optimize=True)
        return (self.finish(view, acc.reshape(n, oh, ow, -1), inputs),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        plain = super().lower(view, isa)
        assert isinstance(plain, KernelCall)
        activation = self.attrs(view).activation
        return offer_sparse_conv(view, plain, self.geometry(view), activation, isa)

    def geometry(self, view: NodeView) -> Fields:
        out_c, _, _, group_c = view.input(1).shape
        return self.fields(view, (("out_c", out_c),), (("group_c", group_c),))

    def by_channel(self, view: NodeView) -> bool:
        return False

    def macs(self, view: NodeView) -> int:
        _, kh, kw, c = view.input(1).shape
        return view.output().elements * kh * kw * c

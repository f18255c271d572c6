"""AVERAGE_POOL_2D, L2_POOL_2D and MAX_POOL_2D share all but the reduction."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.conv_geometry import window_fields
from edgepack.ops.shared.fixed_point import FLOAT_ACTIVATION_RANGE, activation_range
from edgepack.ops.shared.kernel import Input, Isa, KernelCall, Lowered, Output, Params
from edgepack.ops.shared.quantized import check_quantized
from edgepack.ops.shared.streaming import window_overlap
from edgepack.ops.shared.window import ACTIVATIONS, PADDINGS, Window, patches, window
from edgepack.types import Array, DType, Shape

# Converters copy the scale; one that was computed again may differ in its last float32 bits.
_SCALE_TOLERANCE = 1e-6


@dataclass(frozen=True)
class PoolAttributes(Attributes):
    """Window, strides, padding and fused activation."""

    padding: str = "VALID"
    stride_h: int = 1
    stride_w: int = 1
    filter_h: int = 1
    filter_w: int = 1
    activation: str = "NONE"


class Pool2D(Op):
    """Base of the pooling ops; `kernel` is the C family, such as ep_average_pool."""

    types: ClassVar[tuple[DType, ...]] = (DType.INT8, DType.INT16, DType.FLOAT32)
    arity = (1, 1)
    kernel: ClassVar[str]

    @abstractmethod
    def reduce(self, windows: Array, inside: Array) -> Array:
        """Reduce windows [n, y, x, h, w, c]; `inside` [1, y, x, h, w, 1] is False on padding."""

    def attributes(self, options: Any) -> Attributes:
        return PoolAttributes(
            padding=PADDINGS[options.padding],
            stride_h=options.strideH,
            stride_w=options.strideW,
            filter_h=options.filterHeight,
            filter_w=options.filterWidth,
            activation=ACTIVATIONS[options.fusedActivationFunction],
        )

    def check(self, view: NodeView) -> None:
        super().check(view)
        if len(view.input(0).shape) != 4:
            raise unsupported(view, "input must be NHWC")
        if self._attrs(view).activation not in FLOAT_ACTIVATION_RANGE:
            raise unsupported(view, f"no kernel with {self._attrs(view).activation}")
        x, out = view.input(0), view.output()
        if out.dtype is not x.dtype:
            raise unsupported(view, f"{x.dtype.value} input, {out.dtype.value} output")
        if x.dtype is not DType.FLOAT32:
            check_quantized(view, x, out)
            same = math.isclose(x.scale, out.scale, rel_tol=_SCALE_TOLERANCE)
            if not same or x.zero_point != out.zero_point:
                raise unsupported(view, "input and output must have one scale and zero point")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        x = view.input(0).shape
        vertical, horizontal = self._windows(view)
        return ((x[0], vertical.out, horizontal.out, x[3]),)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        x = inputs[0]
        assert x is not None
        out, attrs = view.output(), self._attrs(view)
        low, high = self._clamp(view)
        wide = x if out.dtype is DType.FLOAT32 else x.astype(np.int64)

        def windows_of(values: Array) -> Array:
            return patches(
                values,
                (attrs.filter_h, attrs.filter_w),
                (attrs.stride_h, attrs.stride_w),
                (1, 1),
                *self._windows(view),
                0,
            )

        inside = windows_of(np.ones((1, *x.shape[1:3], 1), np.bool_))
        return (ensure_shape(np.clip(self.reduce(windows_of(wide), inside), low, high), out),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        x, out, attrs = view.input(0), view.output(), self._attrs(view)
        vertical, horizontal = self._windows(view)
        low, high = self._clamp(view)
        strides, pads = (attrs.stride_h, attrs.stride_w), (vertical.pad, horizontal.pad)
        fields = (
            *window_fields(
                x.shape,
                out.shape,
                (attrs.filter_h, attrs.filter_w),
                strides,
                pads,
                channels="channels",
                window="filter",
            ),
            ("act_min", low),
            ("act_max", high),
        )
        overlap = window_overlap(view, strides, pads, by_channel=True)
        ctype = "ep_pool_f32_params" if x.dtype is DType.FLOAT32 else "ep_pool_params"
        vectors = isa.has("mve") and x.dtype is DType.INT8
        return KernelCall(
            f"{self.kernel}_{x.dtype.suffix}{'_mve' if vectors else ''}",
            "ep_pool_mve.h" if vectors else "ep_pool.h",
            (Params(ctype, fields), Input(0), Output(0)),
            overlaps=(overlap,),
            reason="Helium, several channels at a time" if vectors else "portable C99 reference",
        )

    def _clamp(self, view: NodeView) -> tuple[float, float]:
        out, attrs = view.output(), self._attrs(view)
        if out.dtype is DType.FLOAT32:
            return FLOAT_ACTIVATION_RANGE[attrs.activation]
        return activation_range(attrs.activation, out.dtype, out.scale, out.zero_point)

    def _attrs(self, view: NodeView) -> PoolAttributes:
        assert isinstance(view.node.attrs, PoolAttributes)
        return view.node.attrs

    def _windows(self, view: NodeView) -> tuple[Window, Window]:
        x, attrs = view.input(0).shape, self._attrs(view)
        return (
            window(x[1], attrs.filter_h, attrs.stride_h, 1, attrs.padding),
            window(x[2], attrs.filter_w, attrs.stride_w, 1, attrs.padding),
        )

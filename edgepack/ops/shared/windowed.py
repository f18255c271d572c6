"""What CONV_2D and DEPTHWISE_CONV_2D share: options, windows, requantization, choice of kernel."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.conv_geometry import Fields, window_fields
from edgepack.ops.shared.fixed_point import FLOAT_ACTIVATION_RANGE, float_activation
from edgepack.ops.shared.kernel import Isa, KernelCall, Lowered
from edgepack.ops.shared.mul import uses_mul
from edgepack.ops.shared.streaming import window_overlap
from edgepack.ops.shared.weighted import lower_weighted, requantize_output
from edgepack.ops.shared.window import ACTIVATIONS, PADDINGS, Window, patches, window
from edgepack.types import Array, DType


@dataclass(frozen=True)
class WindowAttributes(Attributes):
    """Strides, dilations, padding and fused activation."""

    padding: str = "VALID"
    stride_h: int = 1
    stride_w: int = 1
    dilation_h: int = 1
    dilation_w: int = 1
    activation: str = "NONE"


class FastLowering(Protocol):
    """The call of a fast kernel, or None where its conditions do not hold."""

    def __call__(
        self, view: NodeView, geometry: Fields, activation: str, macs: int
    ) -> KernelCall | None: ...


class FastLoweringFor(Protocol):
    """The same where the conditions depend on more of the core."""

    def __call__(
        self, view: NodeView, geometry: Fields, activation: str, macs: int, isa: Isa
    ) -> KernelCall | None: ...


@dataclass(frozen=True)
class FastKernels:
    """The lowerings of an op, best first."""

    mve: FastLowering
    dsp: FastLowering
    mul: FastLoweringFor


class WindowedOp(Op):
    """Base: an input, constant weights whose dimensions 1 and 2 are the window's, and a bias."""

    types = (DType.INT8, DType.INT16, DType.FLOAT32)
    arity = (2, 3)
    variants = ("mul", "dsp", "mve")
    family: ClassVar[str]  # of the portable kernels
    fast: ClassVar[FastKernels]

    @abstractmethod
    def geometry(self, view: NodeView) -> Fields:
        """The members with which the parameters of every kernel begin (window_fields)."""

    @abstractmethod
    def by_channel(self, view: NodeView) -> bool:
        """Whether output channel c reads input channel c only."""

    def window_attributes(self, options: Any) -> dict[str, Any]:
        """The members of WindowAttributes from a .tflite file's options."""
        return {
            "padding": PADDINGS[options.padding],
            "stride_h": options.strideH,
            "stride_w": options.strideW,
            "dilation_h": options.dilationHFactor,
            "dilation_w": options.dilationWFactor,
            "activation": ACTIVATIONS[options.fusedActivationFunction],
        }

    def check_activation(self, view: NodeView) -> None:
        """Refuse fused activations without a kernel."""
        activation = self.attrs(view).activation
        if activation not in FLOAT_ACTIVATION_RANGE:
            raise unsupported(view, f"no kernel with fused activation {activation}")

    def fields(self, view: NodeView, after_out: Fields, after_kernel: Fields = ()) -> Fields:
        """`geometry` with the members that only this op has."""
        w, attrs = view.input(1).shape, self.attrs(view)
        vertical, horizontal = self.windows(view)
        return window_fields(
            view.input(0).shape,
            view.output().shape,
            (w[1], w[2]),
            (attrs.stride_h, attrs.stride_w),
            (vertical.pad, horizontal.pad),
            dilations=(attrs.dilation_h, attrs.dilation_w),
            after_out=after_out,
            after_kernel=after_kernel,
        )

    def patches(self, view: NodeView, x: Array) -> Array:
        """All windows [n, out_h, out_w, kernel_h, kernel_w, c] of an input without zero point."""
        w, attrs = view.input(1).shape, self.attrs(view)
        return patches(
            x,
            (w[1], w[2]),
            (attrs.stride_h, attrs.stride_w),
            (attrs.dilation_h, attrs.dilation_w),
            *self.windows(view),
            0,
        )

    def centred(self, view: NodeView, x: Array) -> Array:
        """The input minus its zero point, in the type that the reference accumulates in."""
        wide = np.float32 if view.output().dtype is DType.FLOAT32 else np.int64
        return np.asarray(x.astype(wide) - view.input(0).zero_point)

    def finish(self, view: NodeView, acc: Array, inputs: Sequence[Array | None]) -> Array:
        """The output from sums of products: bias, requantization, fused activation."""
        bias = inputs[2] if len(inputs) > 2 else None
        out, activation = view.output(), self.attrs(view).activation
        if bias is not None:
            acc = acc + bias.astype(acc.dtype)
        if out.dtype is DType.FLOAT32:
            return ensure_shape(float_activation(acc, activation), out)
        return ensure_shape(requantize_output(view, acc, activation), out)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        attrs, geometry, macs = self.attrs(view), self.geometry(view), self.macs(view)
        call = None
        if isa.has("mve"):
            call = self.fast.mve(view, geometry, attrs.activation, macs)
        if call is None and isa.has("dsp"):
            call = self.fast.dsp(view, geometry, attrs.activation, macs)
        if call is None and uses_mul(isa):
            call = self.fast.mul(view, geometry, attrs.activation, macs, isa)
        if call is not None:
            return call
        vertical, horizontal = self.windows(view)
        overlap = window_overlap(
            view,
            (attrs.stride_h, attrs.stride_w),
            (vertical.pad, horizontal.pad),
            by_channel=self.by_channel(view),
        )
        return lower_weighted(
            view, self.family, attrs.activation, geometry, macs, overlaps=(overlap,)
        )

    def attrs(self, view: NodeView) -> WindowAttributes:
        """The node's attributes."""
        assert isinstance(view.node.attrs, WindowAttributes)
        return view.node.attrs

    def windows(self, view: NodeView) -> tuple[Window, Window]:
        """Vertical and horizontal window."""
        x, w, attrs = view.input(0).shape, view.input(1).shape, self.attrs(view)
        return (
            window(x[1], w[1], attrs.stride_h, attrs.dilation_h, attrs.padding),
            window(x[2], w[2], attrs.stride_w, attrs.dilation_w, attrs.padding),
        )

"""Which input rows and columns the output of a resize reads; the arithmetic is TFLite's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, unsupported
from edgepack.ops.shared.kernel import Params
from edgepack.ops.shared.move import check_moved, constant_ints
from edgepack.types import DType, Shape

_MAX_EXTENT = 1 << 15  # the tables hold int16 indices
_ONE = 1 << 10  # integer positions and weights count 1/1024 pixel

F32 = np.float32
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ResizeAttributes(Attributes):
    """How pixel positions are scaled, as in TensorFlow's resize ops."""

    align_corners: bool = False
    half_pixel_centers: bool = False


@dataclass(frozen=True, eq=False)
class Interpolation:
    """Per output index of one dimension: the two input indices and the upper one's weight.

    The weight is int64 in 1/1024 or float32.
    """

    lower: Ints
    upper: Ints
    weight: npt.NDArray[Any]


class ResizeOp(Op):
    """NHWC; input 1 holds the output's height and width."""

    arity = (2, 2)

    def attributes(self, options: Any) -> Attributes:
        if options is None:
            return ResizeAttributes()
        return ResizeAttributes(bool(options.alignCorners), bool(options.halfPixelCenters))

    def check(self, view: NodeView) -> None:
        super().check(view)
        check_moved(view)
        source, size = view.input(0), view.input(1)
        if len(source.shape) != 4:
            raise unsupported(view, f"rank {len(source.shape)}, must be 4")
        if size.dtype is not DType.INT32 or size.shape != (2,):
            raise unsupported(view, f"its size is {size.describe()}, must be INT32[2]")
        extents = (*source.shape[1:3], *constant_ints(view, 1, "size"))
        if min(extents) < 1 or max(extents) >= _MAX_EXTENT:
            raise unsupported(view, f"heights and widths {list(extents)}, allowed 1 to 32767")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        n, _, _, c = view.input(0).shape
        return ((n, *constant_ints(view, 1, "size"), c),)

    def attrs(self, view: NodeView) -> ResizeAttributes:
        assert isinstance(view.node.attrs, ResizeAttributes)
        return view.node.attrs

    def params(self, view: NodeView) -> Params:
        """ep_resize_params."""
        n, h, w, c = view.input(0).shape
        _, out_h, out_w, _ = view.output().shape
        names = ("batches", "in_h", "in_w", "out_h", "out_w", "channels")
        return Params(
            "ep_resize_params", tuple(zip(names, (n, h, w, out_h, out_w, c), strict=True))
        )


def nearest(size: int, out: int, attrs: ResizeAttributes) -> Ints:
    """The input index that each of `out` output indices shows, in float32 like TFLite."""
    aligned = attrs.align_corners and out > 1
    scale = F32(size - 1) / F32(out - 1) if aligned else F32(size) / F32(out)
    offset = F32(0.5 if attrs.half_pixel_centers else 0.0)
    at = (np.arange(out).astype(F32) + offset) * scale
    # positions are not negative, so that floor(x + 0.5) rounds halves away from zero
    whole = np.floor(at.astype(np.float64) + 0.5) if attrs.align_corners else np.floor(at)
    return np.minimum(whole.astype(np.int64), size - 1)


def interpolate_integer(size: int, out: int, attrs: ResizeAttributes) -> Interpolation:
    """Positions in 1/1024 pixel; C's division truncates towards zero."""
    scale = (_ONE * size + out // 2) // out
    if attrs.align_corners and out > 1:
        scale = (_ONE * (size - 1) + (out - 1) // 2) // (out - 1)
    at = np.arange(out, dtype=np.int64) * scale
    if attrs.half_pixel_centers:
        at = at + scale // 2 - _ONE // 2
    lower = np.maximum(_truncate(at), 0)
    upper = np.minimum(_truncate(at + _ONE - 1), size - 1)
    return Interpolation(lower, upper, at - _ONE * lower)


def interpolate_float(size: int, out: int, attrs: ResizeAttributes) -> Interpolation:
    """Positions in float32."""
    scale = F32(size) / F32(out)
    if attrs.align_corners and out > 1:
        scale = F32(size - 1) / F32(out - 1)
    at = np.arange(out).astype(F32)
    if attrs.half_pixel_centers:
        at = (at + F32(0.5)) * scale - F32(0.5)
    else:
        at = at * scale
    lower = np.maximum(np.floor(at).astype(np.int64), 0)
    upper = np.minimum(np.ceil(at).astype(np.int64), size - 1)
    return Interpolation(lower, upper, at - lower.astype(F32))


def _truncate(at: Ints) -> Ints:
    return np.asarray(np.where(at >= 0, at // _ONE, -(-at // _ONE)), np.int64)

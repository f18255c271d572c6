"""Reductions over a constant set of dimensions: axes, merged loops, the base of their ops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.fixed_point import (
    INTEGER_RANGE,
    Multiplier,
    quantize_multiplier,
    requantize,
    wrap_int32,
)
from edgepack.ops.shared.kernel import (
    FieldValue,
    Input,
    Isa,
    KernelCall,
    Lowered,
    Output,
    Overlap,
    Params,
)
from edgepack.ops.shared.quantized import check_quantized
from edgepack.types import Array, DType, Shape

_LOOPS = 3  # of each kind in firmware/kernels/ep_reduce.h
_MAX_RANK = 6


@dataclass(frozen=True)
class ReduceAttributes(Attributes):
    """Whether reduced dimensions stay as 1."""

    keep_dims: bool = False


@dataclass(frozen=True)
class ReducePlan:
    """Sizes and element strides of the merged dimensions, outermost first."""

    kept: tuple[tuple[int, int], ...]
    reduced: tuple[tuple[int, int], ...]

    def fields(self) -> tuple[tuple[str, FieldValue], ...]:
        """The members of ep_reduce."""
        return (
            *_loops("kept", self.kept),
            *_loops("reduced", self.reduced),
        )


def _loops(name: str, dims: tuple[tuple[int, int], ...]) -> tuple[tuple[str, FieldValue], ...]:
    padded = ((1, 0),) * (_LOOPS - len(dims)) + dims
    return (
        (f"walk.{name}", tuple(size for size, _ in padded)),
        (f"walk.{name}_stride", tuple(stride for _, stride in padded)),
    )


def plan_reduce(shape: Shape, axes: tuple[int, ...]) -> ReducePlan:
    """Merge neighbouring dimensions of one kind and drop those of size 1."""
    groups: list[tuple[bool, int, int]] = []  # reduced?, size, stride
    stride = math.prod(shape)
    for dim, size in enumerate(shape):
        if size == 1:
            continue
        stride //= size
        reduced = dim in axes
        if groups and groups[-1][0] == reduced:
            groups[-1] = (reduced, groups[-1][1] * size, stride)
        else:
            groups.append((reduced, size, stride))
    return ReducePlan(
        tuple((size, step) for reduced, size, step in groups if not reduced),
        tuple((size, step) for reduced, size, step in groups if reduced),
    )


class Reduce(Op):
    """Base of the reductions; `kernel` is the C family, such as ep_reduce_max."""

    arity = (2, 2)
    kernel: ClassVar[str]

    def attributes(self, options: Any) -> Attributes:
        return ReduceAttributes(bool(options.keepDims)) if options else ReduceAttributes()

    def check(self, view: NodeView) -> None:
        super().check(view)
        x, axes = view.input(0), view.const(1, "axes").reshape(-1)
        if view.input(1).dtype is not DType.INT32:
            raise unsupported(view, "axes must be INT32")
        if view.output().dtype is not x.dtype:
            raise unsupported(view, f"{x.dtype.value} input, {view.output().dtype.value} output")
        if len(x.shape) > _MAX_RANK:
            raise unsupported(view, f"more than {_MAX_RANK} dimensions")
        if any(not -len(x.shape) <= a < len(x.shape) for a in axes):
            raise unsupported(view, f"axes {axes.tolist()} of {len(x.shape)} dimensions")
        if x.elements == 0:
            raise unsupported(view, "no elements to reduce")

    def axes(self, view: NodeView) -> tuple[int, ...]:
        """The reduced dimensions, ascending, each once, not negative."""
        rank = len(view.input(0).shape)
        given = view.const(1, "axes").reshape(-1)
        return tuple(sorted({int(a) % rank for a in given}))

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        axes, shape = self.axes(view), view.input(0).shape
        assert isinstance(view.node.attrs, ReduceAttributes)
        if view.node.attrs.keep_dims:
            return (tuple(1 if d in axes else size for d, size in enumerate(shape)),)
        return (tuple(size for d, size in enumerate(shape) if d not in axes),)

    def call(
        self, view: NodeView, suffix: str, ctype: str, extra: Sequence[tuple[str, FieldValue]]
    ) -> Lowered:
        """The kernel call with the merged loops and further params."""
        walk = plan_reduce(view.input(0).shape, self.axes(view))
        return KernelCall(
            f"{self.kernel}_{suffix}",
            "ep_reduce.h",
            (Params(ctype, (*walk.fields(), *extra)), Input(0), Output(0)),
            overlaps=(Overlap(0, 0, 0),),
            reason="portable C99 reference",
        )


class ExtremeReduce(Reduce):
    """REDUCE_MAX and REDUCE_MIN: no requantization, so the scales must be equal."""

    types = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)

    def check(self, view: NodeView) -> None:
        super().check(view)
        x, out = view.input(0), view.output()
        if x.dtype in (DType.INT8, DType.INT16) and x.quant != out.quant:
            raise unsupported(view, "input and output must have one scale and zero point")

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        return self.call(view, view.input(0).dtype.suffix, "ep_reduce_params", ())


class SumReduce(Reduce):
    """SUM and MEAN: an int32 sum, requantized; MEAN folds 1 / count into the multiplier."""

    kernel = "ep_reduce_sum"
    mean: ClassVar[bool]

    def check(self, view: NodeView) -> None:
        super().check(view)
        x, out = view.input(0), view.output()
        if x.dtype in (DType.INT8, DType.INT16):
            check_quantized(view, x, out)
            if self.multiplier(view).shift > 30:
                raise unsupported(view, "the output's scale is more than 2**30 times smaller")

    def count(self, view: NodeView) -> int:
        """How many elements one output sums."""
        return math.prod(view.input(0).shape[d] for d in self.axes(view))

    def multiplier(self, view: NodeView) -> Multiplier:
        """input scale / output scale, for MEAN divided by the count in integers as TFLM does."""
        part = quantize_multiplier(view.input(0).scale / view.output().scale)
        if not self.mean:
            return part
        count = self.count(view)
        shift = min(count.bit_length() - 1, 32, 31 + part.shift)
        return Multiplier((part.value << shift) // count, part.shift - shift)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        x, out, axes = inputs[0], view.output(), self.axes(view)
        assert x is not None
        if out.dtype is DType.FLOAT32:
            total = x.sum(axis=axes, dtype=np.float32)
            return (ensure_shape(total / self._divisor(view), out),)
        total = x.astype(np.int64).sum(axis=axes)
        if out.dtype is DType.INT32:
            return (ensure_shape(wrap_int32(total), out),)
        part = self.multiplier(view)
        acc = wrap_int32(total - view.input(0).zero_point * self.count(view))
        result = wrap_int32(requantize(acc, part.value, part.shift) + out.zero_point)
        return (ensure_shape(np.clip(result, *INTEGER_RANGE[out.dtype]), out),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        x, out = view.input(0), view.output()
        if x.dtype is DType.FLOAT32:
            extra = (("count", float(self._divisor(view))),)
            return self.call(view, "f32", "ep_reduce_sum_f32_params", extra)
        if x.dtype is DType.INT32:
            return self.call(view, "s32", "ep_reduce_params", ())
        part = self.multiplier(view)
        fields = (
            ("init", int(wrap_int32(-x.zero_point * self.count(view)))),
            ("multiplier", part.value),
            ("shift", part.shift),
            ("output_offset", out.zero_point),
        )
        return self.call(view, x.dtype.suffix, "ep_reduce_sum_params", fields)

    def _divisor(self, view: NodeView) -> np.float32:
        return np.float32(self.count(view) if self.mean else 1)

"""Ops that compute each output element from one element of each input."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from edgepack.ir import Tensor
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.fixed_point import INTEGER_RANGE
from edgepack.ops.shared.kernel import (
    Const,
    FieldValue,
    Input,
    Isa,
    KernelCall,
    Lowered,
    Output,
    Overlap,
    Params,
)
from edgepack.types import Array, DType, Shape

_QUANTIZED = (DType.INT8, DType.INT16, DType.UINT8)
_C_CHARACTERS = (DType.INT8, DType.UINT8)  # C lets these alias every other type


class Unary(Op):
    """One operand, an output of the same shape; int8 is a table made by the reference itself."""

    arity = (1, 1)
    header: ClassVar[str] = "ep_unary.h"
    kernel: ClassVar[str]  # C function without its type suffix
    params: ClassVar[str] = "ep_unary_params"
    same_type: ClassVar[bool] = True

    def check(self, view: NodeView) -> None:
        super().check(view)
        x, out = view.input(0), view.output()
        if self.same_type and x.dtype is not out.dtype:
            raise unsupported(view, f"an output of {out.dtype.value} from {x.dtype.value}")
        if x.dtype in (DType.INT8, DType.INT16):
            require_quantized(view, x, out)

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return (view.input(0).shape,)

    @abstractmethod
    def apply(self, view: NodeView, x: Array) -> Array:
        """The output's elements for input elements `x` (the input's dtype, any shape)."""

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        assert inputs[0] is not None
        return (ensure_shape(self.apply(view, inputs[0]), view.output()),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        if view.input(0).dtype is DType.INT8:
            return table_call(view, self.apply)
        return self.lower_wide(view)

    def lower_wide(self, view: NodeView) -> Lowered:
        """The kernel for types that have no table."""
        return unary_call(
            view, f"{self.kernel}_{view.input(0).dtype.suffix}", self.header, self.params
        )


def unary_call(
    view: NodeView,
    function: str,
    header: str,
    params: str,
    fields: Sequence[tuple[str, FieldValue]] = (),
    *,
    table: Const | None = None,
) -> KernelCall:
    """A call (params, input, [table,] output) whose params start with the element count."""
    count = ("count", view.output().elements)
    extra = (table,) if table is not None else ()
    return KernelCall(
        function,
        header,
        (Params(params, (count, *fields)), Input(0), *extra, Output(0)),
        overlaps=same_element_overlaps(view),
        reason="portable C99 reference",
    )


def table_call(view: NodeView, apply: Callable[[NodeView, Array], Array]) -> KernelCall:
    """One table look-up per byte; `apply` computes all 256 results."""
    x, out = view.input(0), view.output()
    every_byte = np.arange(256, dtype=np.uint8).view(x.dtype.numpy)
    table = np.ascontiguousarray(apply(view, every_byte), dtype=out.dtype.numpy)
    return KernelCall(
        f"ep_lut_{x.dtype.suffix}_{out.dtype.suffix}",
        "ep_lut.h",
        (
            Params("ep_lut_params", (("count", out.elements),)),
            Input(0),
            Const("table", table, role="tables", align=1),
            Output(0),
        ),
        overlaps=same_element_overlaps(view),
        reason="every result from a table made at build time",
    )


def same_element_overlaps(view: NodeView) -> tuple[Overlap, ...]:
    """Operands that a loop over ascending elements may overwrite with its output.

    They have as many elements as the output. A wider output must end with the operand, a narrower
    one may start with it. C allows two types at one place only where one is a character type.
    """
    out = view.output()
    return tuple(
        Overlap(slot, 0, max(0, out.nbytes - t.nbytes))
        for slot, t in enumerate(view.inputs)
        if t is not None
        and t.elements == out.elements
        and (t.dtype is out.dtype or t.dtype in _C_CHARACTERS or out.dtype in _C_CHARACTERS)
    )


def require_quantized(view: NodeView, *tensors: Tensor) -> None:
    """Refuse 8- and 16-bit tensors without one scale, and int16 with a zero point.

    Raises:
        UnsupportedError: as said.
    """
    for tensor in tensors:
        if tensor.dtype not in _QUANTIZED:
            continue
        if tensor.quant is None:
            raise unsupported(view, f"tensor {tensor.name!r} has no quantization parameters")
        if tensor.quant.per_channel:
            raise unsupported(view, f"tensor {tensor.name!r} is quantized per channel")
        low, high = INTEGER_RANGE[tensor.dtype]
        if tensor.dtype is DType.INT16:
            low = high = 0
        if not low <= tensor.zero_point <= high:
            raise unsupported(
                view,
                f"tensor {tensor.name!r} has zero point {tensor.zero_point}, "
                f"allowed {low} to {high}",
            )


def require_scale(view: NodeView, tensor: Tensor, scale: float, zero_point: int) -> None:
    """Refuse an output whose quantization differs from the one that TFLite prescribes.

    Raises:
        UnsupportedError: another scale or zero point.
    """
    if tensor.scale != scale or tensor.zero_point != zero_point:
        raise unsupported(
            view,
            f"its output has scale {tensor.scale:g} and zero point {tensor.zero_point}; "
            f"TFLite prescribes {scale:g} and {zero_point}",
        )


def require_one_scale(view: NodeView, *tensors: Tensor) -> None:
    """Refuse tensors of different scales or zero points where TFLM compares raw integers.

    Raises:
        UnsupportedError: they differ.
    """
    kinds = {(t.scale, t.zero_point) for t in tensors}
    if len(kinds) > 1:
        raise unsupported(
            view,
            "its tensors have different scales or zero points, which TFLM's kernel ignores",
            rewrite="put a QUANTIZE before it, so that its inputs and output share one scale",
        )


def float_table(
    view: NodeView, x: Array, function: Callable[[npt.NDArray[np.float32]], Array]
) -> npt.NDArray[np.int64]:
    """TFLite's table of a float function for one byte (its LUTPopulate for 8 bits), in float32.

    Args:
        function: float32 values to float32 values.
    """
    source, out = view.input(0), view.output()
    low, high = INTEGER_RANGE[out.dtype]
    real = np.float32(source.scale) * (x.astype(np.int64) - source.zero_point).astype(np.float32)
    with np.errstate(all="ignore"):
        scaled = np.asarray(function(real), np.float32) * (np.float32(1) / np.float32(out.scale))
        rounded = np.sign(scaled) * np.floor(np.abs(scaled).astype(np.float64) + 0.5)
        total = np.nan_to_num(rounded.astype(np.float32) + np.float32(out.zero_point), nan=low)
    return np.asarray(np.clip(total.astype(np.float64), low, high), np.int64)

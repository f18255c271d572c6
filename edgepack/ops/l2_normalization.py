"""L2_NORMALIZATION: rows of the last dimension divided by their Euclidean length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgepack.ir import Attributes
from edgepack.ops.shared.base import NodeView, Op, ensure_shape, unsupported
from edgepack.ops.shared.broadcast import elementwise_overlaps
from edgepack.ops.shared.fixed_point import requantize
from edgepack.ops.shared.inverse_sqrt import inverse_sqrt_multiplier
from edgepack.ops.shared.kernel import Input, Isa, KernelCall, Lowered, Output, Params
from edgepack.ops.shared.quantized import check_quantized
from edgepack.ops.shared.window import ACTIVATIONS
from edgepack.types import Array, DType, Shape

_OUTPUT = (1 / 128, 0)  # the int8 output's scale and zero point, fixed by TFLite
_OUTPUT_BITS = 7
_EPSILON = np.float32(1e-6)  # TFLite's shortest float length
_MAX_DEPTH = ((1 << 31) - 1) // (255 * 255)  # longer rows could overflow the sum of squares


@dataclass(frozen=True)
class L2NormalizationAttributes(Attributes):
    """The fused activation; TFLite has no kernel with one."""

    activation: str = "NONE"


class L2Normalization(Op):
    """Only differences to the zero point count, so that the input's scale does not matter."""

    name = "L2_NORMALIZATION"
    types = (DType.INT8, DType.FLOAT32)
    arity = (1, 1)

    def attributes(self, options: Any) -> Attributes:
        if options is None:
            return L2NormalizationAttributes()
        return L2NormalizationAttributes(ACTIVATIONS[options.fusedActivationFunction])

    def check(self, view: NodeView) -> None:
        super().check(view)
        x, out = view.input(0), view.output()
        assert isinstance(view.node.attrs, L2NormalizationAttributes)
        if view.node.attrs.activation != "NONE":
            raise unsupported(view, f"no kernel with {view.node.attrs.activation}")
        if not x.shape or x.elements == 0:
            raise unsupported(view, "the input must have a last dimension with elements")
        if out.dtype is not x.dtype:
            raise unsupported(view, f"{x.dtype.value} input, {out.dtype.value} output")
        if x.dtype is DType.FLOAT32:
            return
        check_quantized(view, x, out)
        if (out.scale, out.zero_point) != _OUTPUT:
            raise unsupported(
                view,
                f"output scale {out.scale!r} and zero point {out.zero_point}; "
                f"TFLite fixes them to {_OUTPUT[0]} and {_OUTPUT[1]}",
            )
        if x.shape[-1] > _MAX_DEPTH:
            raise unsupported(view, f"{x.shape[-1]} values in a row, allowed up to {_MAX_DEPTH}")

    def infer_shape(self, view: NodeView) -> tuple[Shape, ...]:
        return (view.input(0).shape,)

    def reference(self, view: NodeView, inputs: Sequence[Array | None]) -> tuple[Array, ...]:
        x, out = inputs[0], view.output()
        assert x is not None
        rows = x.reshape(-1, x.shape[-1])
        if out.dtype is DType.FLOAT32:
            length = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
            return (ensure_shape(rows / np.maximum(length, _EPSILON), out),)
        wide = rows.astype(np.int64) - view.input(0).zero_point
        parts = [inverse_sqrt_multiplier(int(s)) for s in (wide * wide).sum(axis=1)]
        value = np.array([p.value for p in parts], np.int64)[:, None]
        shift = np.array([p.shift + _OUTPUT_BITS for p in parts], np.int64)[:, None]
        return (ensure_shape(np.clip(requantize(wide, value, shift), -128, 127), out),)

    def lower(self, view: NodeView, isa: Isa) -> Lowered:
        x = view.input(0)
        fields: list[tuple[str, int]] = [
            ("rows", x.elements // x.shape[-1]),
            ("depth", x.shape[-1]),
        ]
        ctype = "ep_l2_normalization_f32_params"
        if x.dtype is DType.INT8:
            fields.append(("input_offset", -x.zero_point))
            ctype = "ep_l2_normalization_params"
        return KernelCall(
            f"ep_l2_normalization_{x.dtype.suffix}",
            "ep_l2_normalization.h",
            (Params(ctype, tuple(fields)), Input(0), Output(0)),
            overlaps=elementwise_overlaps(view),
            reason="portable C99 reference",
        )

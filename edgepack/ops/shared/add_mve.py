"""Lowering of int8 ADD of equal shapes for cores with Helium (ep_add_s8_mve.h)."""

from __future__ import annotations

from edgepack.ops.shared.base import NodeView
from edgepack.ops.shared.broadcast import elementwise_overlaps
from edgepack.ops.shared.fixed_point import Multiplier
from edgepack.ops.shared.kernel import FieldValue, Input, KernelCall, Output, Params
from edgepack.ops.shared.mve import OUTPUT_OPTIONAL, OUTPUT_STRUCTURE, output_fields
from edgepack.ops.shared.requant import one_multiplier
from edgepack.types import DType

_HALF = Multiplier(1 << 30, 0)


def lower_add_mve(
    view: NodeView, factors: tuple[Multiplier, Multiplier], output: Multiplier, activation: str
) -> KernelCall | None:
    """The Helium kernel's call, or None where its conditions do not hold.

    Args:
        factors: of both operands, as TFLite rescales them (left shift 20 comes before).
        output: of the sum.
    """
    a, b, out = view.input(0), view.input(1), view.output()
    if a.dtype is not DType.INT8 or not a.shape == b.shape == out.shape:
        return None
    if max(factor.shift for factor in factors) > 0:
        return None
    operands: list[tuple[str, FieldValue]] = []
    for name, tensor, factor in (("a", a, factors[0]), ("b", b, factors[1])):
        operands += [
            (f"{name}.zero_point", tensor.zero_point),
            (f"{name}.multiplier", factor.value),
            (f"{name}.shift", factor.shift),
            (f"{name}.half", factor == _HALF),
        ]
    params = Params(
        "ep_add_s8_mve_params",
        (
            ("count", out.elements),
            *operands,
            ("multiplier", output.value),
            ("shift", output.shift),
            *output_fields(view, activation, one_multiplier(output)),
        ),
        structural=OUTPUT_STRUCTURE,
        optional=("a.half", "b.half", *OUTPUT_OPTIONAL),
    )
    return KernelCall(
        "ep_add_s8_mve",
        "ep_add_s8_mve.h",
        (params, Input(0), Input(1), Output(0)),
        overlaps=elementwise_overlaps(view),
        reason="Helium, four elements at a time",
        cheap_to_share=True,
    )
